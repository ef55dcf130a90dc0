"""execve(): a process takes a new address space, and the old one is torn down (fs/exec.c)."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine.functions import function
from shootdown._mm.fork_calls import ForkCalls
from shootdown._mm.mapping import Mapping
from shootdown._mm.teardown import Teardown


class ExecCalls(ForkCalls, Teardown):
    """Write execve() of a process that has one thread."""

    def exec(
        self,
        new_mm: int,
        old_mm: int,
        mappings: tuple[Mapping, ...],
        others: Callable[[], None],
        *,
        tables: Callable[[], None] = lambda: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write execve().

        Args:
            new_mm, old_mm: the address spaces.
            mappings: hugetlb VMAs of the old one, ascending.
            others: writes how entries of its other mappings are cleared.
            tables, freed: as for `exit`.
        """
        with self.asm.because("exec"):
            self.asm.work("syscall_ns", text="execve: entry")
            self.alloc_mm(new_mm, old_mm)
            self.asm.work("fork_ns", text="map the new program")
            self.exec_mmap(new_mm, old_mm, lambda: self.exit_mmap(mappings, others, tables, freed))

    @function("exec_mmap", "fs/exec.c")
    def exec_mmap(self, new_mm: int, old_mm: int, tear_down: Callable[[], None]) -> None:
        """Write exec_mmap(): the CPU switches to the new address space, then mmput() tears the old one down.

        Args:
            new_mm, old_mm: the address spaces.
            tear_down: writes exit_mmap() of the old one.

        So it is in all releases from 5.10 on: activate_mm() comes before mmput(), and the CPU has left the old address
        space when exit_mmap() flushes it.
        """
        asm = self.asm
        asm.use_mm(new_mm, text="activate_mm: tsk->mm is the new one")
        asm.on_mm(old_mm, text="mmput of the old mm: its last user is gone")
        tear_down()
        asm.on_mm(new_mm, text="back to the new mm")
