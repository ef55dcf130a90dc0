"""Threads that share CPUs: where a thread of a program can be preempted, and until when one spins."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._programs.cast import Cast
from shootdown._programs.program import Program
from shootdown._programs.verbs import ENDLESS
from shootdown._values.platform import NANOSECOND

#: How many times within a slice a thread that computes can be preempted.
_POINTS = 8


class Scheduled:
    """Write where threads give way to others, in a program of which a scheduler places some.

    Args:
        model: the model.
        program: it; without such a thread nothing is written.
        cast: its threads.
    """

    def __init__(self, model: Model, program: Program, cast: Cast) -> None:
        self.model = model
        self.asm = model.asm
        self._on = program.scheduled
        self._slice = program.slice_ns
        ending = sum(role.thread.body[-1].verb not in ENDLESS for role in cast.roles)
        self._left = model.variable(ending) if self._on else -1
        #: How long a thread computes between two places where it can be preempted, in nanoseconds.
        self.piece_ns = self._slice // _POINTS if self._on else 1 << 62

    def preemptible(self) -> None:
        """Write: another thread of the CPU goes on, if this one's slice is over."""
        if self._on:
            self.asm.resched(self._slice)

    def ends(self) -> None:
        """Write: a thread has come to its end."""
        if self._on:
            with self.asm.aside():
                self.asm.v_add(self._left, -1, o.SCRATCH)

    def spin(self) -> None:
        """Write: compute for ever; where a scheduler places threads, until all others have come to their ends."""
        if self._on:
            asm, again, out = self.asm, self.model.label(), self.model.label()
            asm.place(again)
            asm.work(NANOSECOND, self.piece_ns, text="run in user mode")
            self.preemptible()
            with asm.aside():
                asm.v_load(o.SCRATCH, self._left)
                asm.jump_zero(o.SCRATCH, out)
                asm.jump(again)
                asm.place(out)
        self.model.spin()
