"""Machines of IBM Z. Nobody published what their IPTE and IDTE take: all costs are estimates."""

from __future__ import annotations

import attrs

from shootdown import Platform, switch
from shootdown.porting import estimated_costs, tcg_tlb, typical_tlb, with_entries
from shootdown_s390._formats import REGION3

#: Entries are tagged with their ASCE. How many a TLB tells apart was not published: an estimate, as its sizes are.
ASCE_BITS = 12
#: Bytes that an entry of a page, segment and region-third table translates.
LEVELS = (1 << 12, 1 << 20, 1 << 31)


@attrs.frozen
class S390Platform:
    """What only a machine of s390 has."""

    local_clearing: bool = switch(True, "IPTE and IDTE can clear the TLB of this CPU alone (facility 51)")


def _machine(name: str, summary: str, ghz: float, cpus: int) -> Platform:
    """Return a machine of which the clock rate and the number of CPUs were announced."""
    return Platform(
        name,
        summary,
        estimated_costs(ghz),
        tlb=typical_tlb(REGION3, asid_bits=ASCE_BITS),
        arch=S390Platform(),
        ghz=ghz,
        cpus=cpus,
    )


PLATFORMS = with_entries(
    _machine("z15", "IBM z15, a logical partition", 5.2, 190),
    _machine("z16", "IBM z16, a logical partition", 5.2, 200),
    _machine("z13", "IBM z13, a logical partition", 5.0, 141),
    Platform(
        "qemu-tcg",
        "QEMU's emulation (TCG), with the local TLB clearing facility (target/s390x/gen-features.c)",
        estimated_costs(1.0),
        tlb=tcg_tlb(LEVELS),
        walk_entries=0,
        arch=S390Platform(),
        ghz=1.0,
        cpus=4,
    ),
)
