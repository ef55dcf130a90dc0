"""A toy MMU with two levels of tables, for docs/tutorial/your-own-mmu.md."""

import attrs

from shootdown import Architecture, Platform, hookimpl, switch
from shootdown.formats import Attribute, Deny, Format, Level, Piece, Test, bit, bits
from shootdown.porting import PLAIN_WAYS, PlainLowering, estimated_costs, ops, typical_tlb, with_entries

TOY = Format(
    name="toy",
    summary="toy: 32-bit addresses, two levels, pages of 4 KiB",
    levels=(Level("L1", "pgd", 10, leaf="never"), Level("L0", "pte", 10, leaf="always")),
    page_shift=12,
    va_bits=32,
    va_upper="zero",
    entry_bytes=4,
    present=Test(bit(0), bit(0)),
    address=(Piece(bits(12, 31)),),
    attributes=(Attribute("user", 1), Attribute("writable", 2)),
    deny=(Deny(user=True, lacks=("user",)), Deny(kinds=("write",), lacks=("writable",))),
    table_bits=bit(0),
    leaf_bits=bit(0),
    root_mask=bits(12, 31),
)
MACHINE = Platform("toy-board", "toy: four CPUs of 1 GHz", estimated_costs(1.0), tlb=typical_tlb(TOY), cpus=4)


@attrs.frozen
class ToyKernel:
    """What only a toy kernel decides."""

    tables_flush_all: bool = switch(
        True, "a flush after tables were freed drops everything, not only the range"
    )


class ToyLowering(PlainLowering):
    """Flush by IPI: each page by its address up to eight, else everything."""

    source, format = "arch/toy/mm/tlb.c", TOY
    page_instruction, all_instruction = "tlbp", "tlba"
    ceiling = 8
    page_scope = ops.SCOPE_LEAF  # tlbp drops a translation, and keeps what the walker remembers of the root

    @property
    def flags_that_flush_everything(self):
        """Flags of a gather after which the range alone is not enough."""
        return super().flags_that_flush_everything if self.kernel.arch.tables_flush_all else ops.FULLMM

    def no_thp(self):
        """Return why there are no huge pages."""
        return "two levels: every page is a base page"


def configure(kernel):
    """No hugetlb PMD tables are shared: there is no PMD level."""
    return attrs.evolve(kernel, pmd_sharing=False)


@hookimpl
def shootdown_architectures():
    """Offer toy."""
    toy = Architecture(
        api=1,
        name="toy",
        summary="toy: two levels of tables, flushes by IPI",
        formats=(TOY,),
        switches=ToyKernel,
        configure=configure,
        platforms=with_entries(MACHINE),
        lower=ToyLowering,
        flush_ways=PLAIN_WAYS,
    )
    return [toy]
