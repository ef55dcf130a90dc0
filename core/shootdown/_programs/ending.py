"""How the threads of a counted process end when one of them exits: each leaves the address space, the caller last."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._programs.exits import others_of
from shootdown._programs.program import Process
from shootdown._values.platform import NANOSECOND

#: How often a thread that computes looks whether it was killed, or what it waits for is over.
POLL_NS = 10_000


class Ending:
    """Write the end of one process of several threads.

    Args:
        model: the model.
        process: the process.
    """

    def __init__(self, model: Model, process: Process) -> None:
        self.model = model
        self.asm = model.asm
        self._others = others_of(process)
        self._killed = model.variable()
        self._told, self._left = model.event(), model.event()

    def kill(self) -> None:
        """Write that the others are killed, and the caller waits until they have left."""
        with self.asm.aside():
            self.asm.v_store(self._killed, 1)
        self.model.signal(self._told)
        self.asm.await_event(self._left, self._others, text="the other threads of the process leave")

    def look(self, out: Label) -> None:
        """Write a jump for a thread that was killed."""
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, self._killed)
            with self.asm.if_nonzero(o.SCRATCH):
                self.asm.jump(out)

    def spin(self, out: Label) -> None:
        """Write: compute until the thread is killed."""
        again = self.model.label()
        self.asm.place(again)
        self.asm.work(NANOSECOND, POLL_NS, text="run in user mode")
        self.look(out)
        self.asm.jump(again)

    def sleep(self) -> None:
        """Write: sleep until the thread is killed."""
        self.asm.await_event(self._told, 1, text="sleep")

    def leave(self) -> None:
        """Write do_exit() of a thread that is not the last one."""
        self.model.calls.exit_mm()
        self.model.signal(self._left)
        self.asm.halt()
