"""Memory of devices in explored programs: pages that move to one, and mappings of what one has (VM_PFNMAP).

migrate_vma_collect_pmd() (mm/migrate_device.c) makes migration entries of what an address maps, for a driver that
moves the pages to its device. A VM_PFNMAP mapping leads to pages by their number: it holds no reference to them, and
the driver that has them takes them away by unmap_mapping_range().
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.atoms import AtomEntry, AtomStretch
from shootdown._mm.call_parts import OUTER
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import QUEUE


class PfnEntry(AtomEntry):
    """An entry of a VM_PFNMAP mapping: nothing waits for its flush, as it holds no reference."""

    def queue(self) -> None:
        """Write that the page loses what stands for this mapping, at once."""
        self.asm.put_frames(o.SCRATCH, text="a VM_PFNMAP entry holds no reference to the page")


class PfnStretch(AtomStretch):
    """The entry of a VM_PFNMAP mapping.

    Args:
        calls: the calls of the program.
        atom: the address.
    """

    def __init__(self, calls: Ordinary, atom: int) -> None:
        super().__init__(calls, [atom])
        self.entries = [PfnEntry(calls, atom)]


class DeviceMemory:
    """Write calls on memory of devices.

    Args:
        calls: the other calls.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.model = calls.model
        self.asm = calls.asm
        self.gathers = calls.gathers
        self._in_file = self.model.variable(1, "the VMA is in the file's tree")
        self._i_mmap = self.model.lock()

    # --- pages that move to a device

    def migrate_vma(self, atom: int) -> None:
        """Write a driver's move of one page to its device: migrate_vma_setup() and what follows."""
        asm, calls = self.asm, self.calls
        calls.enter_kernel("ioctl() of a driver")
        locks = self.model.locks
        with asm.because("migration"):
            asm.lock(locks.mmap, index=1, write=False, sleeps=True, text="mmap_lock")
            self._migrate_vma_collect_pmd(atom)
            asm.unlock(locks.mmap, index=1, write=False, text="mmap_lock")
            asm.put_frames(QUEUE, text="migrate_vma_finalize: the old page is free")
            asm.set(QUEUE, 0)
        asm.user_mode(True, text="returns to user mode")

    @function("migrate_vma_collect_pmd", "mm/migrate_device.c")
    def _migrate_vma_collect_pmd(self, atom: int) -> None:
        """Write migrate_vma_collect_pmd() of one entry, which becomes a migration entry: it is not present."""
        locked, entry = self.model.kernel.migrate_device_flushes_locked, AtomEntry(self.calls, atom)
        with entry.locked(), entry.present():
            entry.take("ptep_get_and_clear")
            entry.cleared()
            self.asm.queue_frames(QUEUE, o.SCRATCH, text="a migration entry is there instead")
            if locked:
                self.calls.flush_atoms([atom])
        if not locked:
            with self.asm.if_nonzero(QUEUE):
                self.calls.flush_atoms([atom])

    # --- VM_PFNMAP mappings

    def munmap(self, atom: int) -> None:
        """Write munmap() of a VM_PFNMAP mapping: its VMA leaves the file's tree before tlb_finish_mmu()."""
        asm, calls = self.asm, self.calls
        with calls.syscall("munmap", "mm/mmap.c", write=True), asm.because("munmap"):
            self.gathers.begin(OUTER)
            self.model.calls.page_tables.zap_pte_range(OUTER, [PfnStretch(calls, atom)])
            self.gathers.end_vma(OUTER, pfn_map=True)
            self.model.calls.free_pgtables(self._unlink_file_vma)
            calls.finish()
        calls.returns([atom])

    @function("unlink_file_vma", "mm/mmap.c")
    def _unlink_file_vma(self) -> None:
        with self._tree(write=True):
            self.asm.v_store(self._in_file, 0, text="unmap_mapping_range() finds the VMA no more")

    def revoke(self, atom: int, frame: int) -> None:
        """Write a driver that takes a page away, and frees it: unmap_mapping_range() of the mappings that it finds."""
        asm, calls = self.asm, self.calls
        calls.enter_kernel("a driver takes its page back")

        def zap() -> None:
            with self._tree(write=False):
                asm.v_load(o.SCRATCH, self._in_file, text="is a VMA in the file's tree?")
                with asm.if_nonzero(o.SCRATCH):
                    self.gathers.begin(OUTER)
                    self.model.calls.page_tables.zap_pte_range(OUTER, [PfnStretch(calls, atom)])
                    calls.finish()

        self.model.calls.unmap_mapping_range(zap)
        calls.leave_page_cache(frame, "__free_pages", "mm/page_alloc.c")
        asm.user_mode(True, text="returns to user mode")

    @contextmanager
    def _tree(self, *, write: bool) -> Iterator[None]:
        """Hold i_mmap_rwsem within, which guards the tree of a file's VMAs."""
        self.asm.lock(self._i_mmap, write=write, sleeps=True, text="i_mmap_rwsem")
        yield
        self.asm.unlock(self._i_mmap, write=write, text="i_mmap_rwsem")
