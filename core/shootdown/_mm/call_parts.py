"""What every call is written with: the parts of a model, and the frame of a system call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from shootdown._machine.assembler import Assembler
from shootdown._mm.entries import PageTables
from shootdown._mm.gather import Gathers
from shootdown._mm.hugetlb import Hugetlb, Locks
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering

#: The task's gathers: that of the call, one within it, and the request of a flush without a gather.
OUTER, INNER, SCRATCH = 0, 1, 2


class CallParts:
    """The parts of a model that calls are written with.

    Args:
        asm, kernel, lowering, gathers, hugetlb, locks: the model's parts.
    """

    def __init__(
        self,
        asm: Assembler,
        kernel: Kernel,
        lowering: Lowering,
        gathers: Gathers,
        hugetlb: Hugetlb,
        locks: Locks,
    ) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.gathers = gathers
        self.hugetlb = hugetlb
        self.locks = locks
        self.page_tables = PageTables(asm, kernel, lowering, gathers)

    @contextmanager
    def syscall(
        self, name: str, where: str = "mm/mmap.c", *, write: bool = True, locks: bool = True
    ) -> Iterator[None]:
        """Write a system call around the steps within: entry, mmap_lock unless it takes none, return."""
        lock = self.mmap_locked(write=write) if locks else nullcontext()
        with self.asm.function(name, where), lock:
            self.asm.work("syscall_ns", text=f"{name}: entry and VMA work")
            yield

    @contextmanager
    def mmap_locked(self, *, write: bool) -> Iterator[None]:
        """Hold the mmap_lock of the task's mm within."""
        self.asm.lock(self.locks.mmap, index=1, write=write, sleeps=True, text="mmap_lock")
        yield
        self.asm.unlock(self.locks.mmap, index=1, write=write, text="mmap_lock")
