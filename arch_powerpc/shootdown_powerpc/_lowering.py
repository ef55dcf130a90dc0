"""The common base of both MMUs' lowerings."""

from __future__ import annotations

import attrs

from shootdown import Geometry, Kernel, Lowering, MmRules, Platform
from shootdown.porting import Assembler, geometry_of, mm_rules
from shootdown.porting import ops as o
from shootdown_powerpc._formats import RADIX_4K, RADIX_64K
from shootdown_powerpc._kernel import NO_SHARING, PowerpcKernel
from shootdown_powerpc._platforms import PowerPlatform

#: By MMU and page size. The hash MMU does not walk Linux's own tree (book3s/64/hash-4k.h and hash-64k.h), for which
#: log2 of the bytes that an entry of each level spans is given: PTE, PMD, PUD, P4D and PGD.
_GEOMETRY = {
    ("radix", 4096): geometry_of(RADIX_4K),
    ("radix", 65536): geometry_of(RADIX_64K),
    ("hash", 4096): Geometry(12, 21, 28, 37, 37),
    ("hash", 65536): Geometry(16, 24, 34, 44, 44),
}


@attrs.frozen
class PowerpcLowering(Lowering):
    """The common parts of flushes of radix and hash kernels; see `shootdown.Lowering`."""

    kernel: Kernel
    platform: Platform

    @property
    def own(self) -> PowerpcKernel:
        """The kernel's powerpc switches."""
        own: PowerpcKernel = self.kernel.arch
        return own

    @property
    def cpu(self) -> PowerPlatform:
        """The platform's powerpc switches."""
        cpu: PowerPlatform = self.platform.arch
        return cpu

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces.

        A CPU stays in mm_cpumask until it is trimmed (switch_mm_irqs_off() sets its bit and never clears it); an idle
        CPU keeps the mm; a PID, or the VSIDs of a hash context, tag translations for the life of the mm.
        """
        return mm_rules(1 << self.cpu.pid_bits, clear_on_switch=False)

    @property
    def geometry(self) -> Geometry:
        """The levels of the page tables."""
        return _GEOMETRY[self.cpu.mmu, self.kernel.page_size]

    @property
    def table_pages(self) -> int:
        """The number of base pages that a PTE table maps."""
        return 1 << (self.geometry.pmd_shift - self.geometry.page_shift)

    def no_thp(self) -> str | None:
        """Return why there are no transparent huge pages, or None where there are."""
        return None if self.own.thp else "this kernel has no THP (CONFIG_TRANSPARENT_HUGEPAGE)"

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware sets no dirty bit: the ISA leaves that open; these processors interrupt instead."""
        return (
            "a store to a clean page interrupts (POWER9 Processor User's Manual, 4.10.13.1): software sets C"
        )

    def no_break_before_make(self) -> str | None:
        """Return why TLB entries of different page sizes do not conflict; UNVERIFIED beyond the plugin's sources."""
        return "the Power ISA has no conflict abort for translations of two sizes"

    def no_contiguous_entries(self) -> str | None:
        """Return why no TLB entry covers several page-table entries: there is no contiguous bit."""
        return "radix and hash entries have no contiguous bit"

    def serialize_against_pte_lookup(self, asm: Assembler) -> None:
        """Write `serialize_against_pte_lookup()`: an IPI to mm_cpumask, taken only outside of a lockless walk."""
        with (
            asm.function("serialize_against_pte_lookup", "arch/powerpc/mm/book3s64/pgtable.c"),
            asm.because("lockless look-ups"),
        ):
            asm.fence(text="smp_mb")
            asm.target_mm_cpumask()
            with asm.if_targets():
                asm.send(o.CALL_INVALIDATE, 0, text="IPI: do_serialize, which does nothing")
                asm.wait_for_answers()

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are not shared, or None in the what-if in which they are."""
        return None if self.kernel.pmd_sharing else NO_SHARING
