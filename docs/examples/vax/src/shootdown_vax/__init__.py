"""An imaginary VAX, for shootdown: page tables of three levels, and flushes by IPI to mm_cpumask."""

import attrs

from shootdown import Architecture, Platform, hookimpl, switch
from shootdown.formats import Attribute, Deny, Format, Level, Piece, Test, bit, bits
from shootdown.porting import PLAIN_WAYS, PlainLowering, estimated_costs, typical_tlb, with_entries

LEVELS = (Level("L2", "pgd", 9, "never"), Level("L1", "pmd", 9, "flag"), Level("L0", "pte", 9, "always"))
VAX = Format(
    name="vax",
    summary="imaginary VAX: 39-bit addresses; 4 KiB, 2 MiB",
    levels=LEVELS,
    page_shift=12,
    va_bits=39,
    present=Test(bit(0), bit(0)),
    points_to_table=Test(bit(1), 0),
    address=(Piece(bits(12, 63)),),
    attributes=(Attribute("user", 2), Attribute("writable", 3)),
    deny=(Deny(user=True, lacks=("user",)), Deny(kinds=("write",), lacks=("writable",))),
    table_bits=bit(0),
    leaf_bits=bit(0) | bit(1),
)
MACHINE = Platform("vax-9000", "VAX 9000, 62.5 MHz", estimated_costs(0.0625), tlb=typical_tlb(VAX), cpus=8)


@attrs.frozen
class VaxKernel:
    """What only a VAX kernel has."""

    most_pages: int = switch(16, "a range of more pages than these is flushed as everything", minimum=1)


class VaxLowering(PlainLowering):
    """Flush as a VAX kernel does: TBIS for each page up to `most_pages`, else TBIA, here and by IPI."""

    source, format = "arch/vax/mm/tlb.c", VAX
    page_instruction, all_instruction = "tbis", "tbia"

    @property
    def ceiling(self) -> int:
        """The most pages of a range that is flushed by address."""
        return int(self.kernel.arch.most_pages)


@hookimpl
def shootdown_architectures() -> list[Architecture]:
    """Offer vax; runs once, when anything installed is first asked for."""
    vax = Architecture(
        api=1,
        name="vax",
        summary="imaginary VAX: flushes by IPI; radix page tables",
        formats=(VAX,),
        switches=VaxKernel,
        configure=lambda kernel: attrs.evolve(kernel, pmd_sharing=False),
        platforms=with_entries(MACHINE),
        lower=VaxLowering,
        flush_ways=PLAIN_WAYS,
    )
    return [vax]
