"""An imaginary machine, duo: kernels with pages of 4 or 16 KiB, and flushes that spare others as LoongArch's do."""

import attrs

from shootdown import Architecture, CacheGeometry, Kernel, MmRules, Platform, TlbGeometry, hookimpl, switch
from shootdown.formats import Attribute, Deny, Format, Level, Piece, Test, bit, bits
from shootdown.porting import (
    Contradiction,
    FlushWay,
    PlainLowering,
    estimated_costs,
    mm_rules,
)


def tables(page_shift: int) -> Format:
    """Describe three levels of tables, each of one page."""
    index = page_shift - 3
    return Format(
        name=f"duo-{1 << page_shift - 10}k",
        summary=f"imaginary duo: pages of {1 << page_shift - 10} KiB",
        levels=(
            Level("L2", "pgd", index, "never"),
            Level("L1", "pmd", index, "flag"),
            Level("L0", "pte", index, "always"),
        ),
        page_shift=page_shift,
        va_bits=page_shift + 3 * index,
        present=Test(bit(0), bit(0)),
        points_to_table=Test(bit(1), 0),
        address=(Piece(bits(page_shift, 47)),),
        attributes=(Attribute("user", 2), Attribute("writable", 3)),
        deny=(Deny(user=True, lacks=("user",)), Deny(kinds=("write",), lacks=("writable",))),
        table_bits=bit(0),
        leaf_bits=bit(0) | bit(1),
    )


FORMATS = {(1 << each.page_shift, each.va_bits): each for each in (tables(12), tables(14))}
DEFAULT_VA_BITS = {4096: 39, 16384: 47}


def tlb(page_size: int, huge: int) -> TlbGeometry:
    """Describe the TLB of a kernel with pages of this size."""
    return TlbGeometry(
        l1=CacheGeometry(64, 64, (page_size, huge)),
        levels=(page_size, huge),
        asid_bits=10,
        pages_in_pairs=True,
        source="estimate: imaginary",
    )


MACHINE = Platform(
    "duo-1",
    "the imaginary machine",
    estimated_costs(1.0),
    tlb={4096: tlb(4096, 2 << 20), 16384: tlb(16384, 32 << 20)},
    cpus=4,
    walk_entries=0,
)


@attrs.frozen
class DuoKernel:
    """What a duo kernel is built for: both switches are those of `Kernel`, with this architecture's values."""

    page_size: int = switch(16384, "bytes in a base page", choices=(4096, 16384), configured=True)
    va_bits: int = switch(47, "bits of user virtual address", choices=(39, 47), configured=True)


def configure(kernel: Kernel) -> Kernel:
    """Set what follows: va_bits, where only page_size was given, in both of its places."""
    va_bits = kernel.va_bits
    if (kernel.page_size, va_bits) not in FORMATS:
        va_bits = DEFAULT_VA_BITS[kernel.page_size]
    arch = attrs.evolve(kernel.arch, va_bits=va_bits)
    return attrs.evolve(kernel, pmd_sharing=False, va_bits=va_bits, arch=arch)


class DuoLowering(PlainLowering):
    """Flush here alone where this task is the mm's only user; otherwise by IPI, too."""

    source = "arch/duo/mm/tlb.c"
    page_instruction, all_instruction = "inv_page", "new_asid"
    pages_in_pairs, ceiling = True, 8
    only_user_flushes_here = True  # as flush_tlb_range() of arch/loongarch/kernel/smp.c
    tracked = True  # who is not reached drops its context, and gets a new ASID as it loads the mm

    @property
    def format(self) -> Format:
        """The tables that this kernel is built for; `geometry` follows from them."""
        return FORMATS[self.kernel.page_size, self.kernel.va_bits]

    @property
    def mm(self) -> MmRules:
        """A CPU stays in mm_cpumask as it switches to another mm, and keeps the old one's ASID."""
        return mm_rules(1 << self.platform.tlb.asid_bits, clear_on_switch=False)

    def no_hardware_walker(self) -> str:
        """A CPU that is not interrupted walks nothing meanwhile."""
        return "a TLB miss traps, and the handler refills"


@hookimpl
def shootdown_architectures() -> list[Architecture]:
    """Offer duo."""
    duo = Architecture(
        api=1,
        name="duo",
        summary="imaginary duo: two page sizes, flushes by IPI",
        formats=tuple(FORMATS.values()),
        switches=DuoKernel,
        configure=configure,
        platforms=(MACHINE,),
        lower=DuoLowering,
        flush_ways=(FlushWay("ipi", "IPIs whose handlers invalidate, whichever mm their CPU runs"),),
        contradictions=(
            Contradiction(
                ("kernel.va_bits",),
                lambda kernel, platform: (kernel.page_size, kernel.va_bits) not in FORMATS,
                "pages of 4 KiB have 39 bits, of 16 KiB 47",
            ),
        ),
    )
    return [duo]
