"""vmalloc() and vfree(): kernel addresses, whose flush is put off until many of them are free (mm/vmalloc.c)."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import CallParts

#: Bytes that may be free and not flushed yet, for each bit of the number of online CPUs: lazy_max_pages().
LAZY_BYTES = 32 << 20
#: More pages than any program frees: a variable that counts from below it has this bit once there are too many.
_TOO_MANY = 1 << 40


def lazy_max_pages(cpus: int, page_size: int) -> int:
    """Return the most pages that lazy_max_pages() lets wait for a flush: 32 MiB for each bit of the number of CPUs."""
    return cpus.bit_length() * (LAZY_BYTES // page_size)


def none_waits(cpus: int, page_size: int) -> int:
    """Return what the variable of `vfree` holds when no page waits."""
    return _TOO_MANY - 1 - lazy_max_pages(cpus, page_size)


class KernelRanges(CallParts):
    """Write calls on kernel addresses, for a process that enters the kernel for them."""

    def vmalloc(self, pages: int) -> None:
        """Write vmalloc(): entries are made where there were none, so that nothing is flushed."""
        with self.asm.function("vmalloc", "mm/vmalloc.c"):
            self.asm.work("syscall_ns", text="vmalloc: find addresses")
            self.asm.work("small_fault_ns", pages, text="allocate and map the pages")

    @function("vfree", "mm/vmalloc.c")
    def vfree(self, pages: int, lazy: int, cpus: int) -> None:
        """Write vfree(): entries are cleared and pages freed at once; their addresses wait for a flush.

        They are handed out again only after it. It comes when more wait than lazy_max_pages(): the pages of each area
        and the one after it that guards it. Later releases leave the flush to a kworker of the same CPU, which
        interrupts the same CPUs; it is written here as the caller's own.

        Args:
            pages: of the area.
            lazy: the variable that counts what waits, from `none_waits` on.
            cpus: online CPUs.
        """
        asm = self.asm
        asm.work("syscall_ns", text="vfree: find the area")
        asm.work("zap_ns", pages, text="clear the entries, free the pages")
        with asm.aside():
            asm.v_add(lazy, pages + 1, o.SCRATCH, text="vmap_lazy_nr")
        with asm.if_bits(o.SCRATCH, _TOO_MANY), asm.because("vmalloc"):
            self.purge_vmap_area_lazy()
            with asm.aside():
                asm.v_store(lazy, none_waits(cpus, self.kernel.page_size))

    @function("__purge_vmap_area_lazy", "mm/vmalloc.c")
    def purge_vmap_area_lazy(self) -> None:
        """Write __purge_vmap_area_lazy(): one flush of everything from the first to the last area that waits.

        That is more than 32 MiB, so that no architecture goes page by page.
        """
        self.lowering.flush_kernel_addresses(self.asm)
