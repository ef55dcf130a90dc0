"""Page tables of LoongArch: LoongArch Reference Manual vol. 1, 5.4; Linux 5.19: arch/loongarch/include/asm/pgtable*.h.

Directory entries have no valid bit: one that maps nothing points to a table that maps nothing, Linux's
`invalid_pte_table` and its like. A PTE has P (the page exists) and V (the TLB may use it). Linux uses V as the accessed
flag and D as the dirty flag. A core with a page table walker (PTW) sets both; otherwise a clear flag traps.
"""

from __future__ import annotations

from shootdown.formats import (
    Attribute,
    BitField,
    CodeBit,
    Deny,
    Fault,
    Format,
    Kind,
    Level,
    Piece,
    Reason,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)
from shootdown_loongarch._examples import EXAMPLES

MANUAL = "LoongArch Reference Manual vol. 1 (1.10), 5.4.5"
V, D, COHERENT, HUGE, P, W, HGLOBAL = bit(0), bit(1), bit(4), bit(6), bit(7), bit(8), bit(12)
ABSENT = (Reason.NOT_PRESENT,)
FLAG = (Reason.ACCESS_FLAG,)
DENIED = (Reason.PERMISSION,)


def _fault(name: str, code: int, reasons: tuple[Reason, ...], *kinds: Kind) -> Fault:
    """Return an exception with its Ecode (manual, 7.4.6, the table of exception codes)."""
    return Fault(name, reasons, (CodeBit(code),), kinds, "ESTAT.Ecode")


FAULTS = (
    _fault("PIL", 1, ABSENT + FLAG, "read"),
    _fault("PIS", 2, ABSENT, "write"),
    _fault("PIF", 3, ABSENT + FLAG, "execute"),
    _fault("PME", 4, FLAG + DENIED, "write"),
    _fault("PNR or PPI", 5, DENIED, "read"),
    _fault("PNX or PPI", 6, DENIED, "execute"),
    _fault("ADE", 8, ()),
)
# Manual, 5.4.2 and 5.4.4: PLV is a page's least privileged level, RPLV restricts the page to that level alone.
DENY = (
    Deny(user=True, lacks=("plv0",), why="5.4.2: user mode is level 3"),
    Deny(user=True, lacks=("plv1",), why="5.4.2: user mode is level 3"),
    Deny(user=False, has=("rplv", "plv0"), why="5.4.2: RPLV"),
    Deny(user=False, has=("rplv", "plv1"), why="5.4.2: RPLV"),
    Deny(kinds=("read",), has=("no_read",), why="5.4.2: NR"),
    Deny(kinds=("execute",), has=("no_execute",), why="5.4.2: NX"),
    Deny(kinds=("write",), lacks=("writable",), why="5.4.5: W"),
)


def _format(page_shift: int, levels: int) -> Format:
    """Describe tables of one page each; Linux's layout chooses page size and levels (arch/loongarch/Kconfig)."""
    index = page_shift - 3
    names = {2: ("PGD", "PTE"), 3: ("PGD", "PMD", "PTE"), 4: ("PGD", "PUD", "PMD", "PTE")}[levels]
    anything = Test(0, 0)
    huge_shift = page_shift + index

    def directory(name: str) -> Level:
        if name != names[-2]:
            return Level(name, name.lower(), index, "never", present=anything)
        return Level(
            name,
            name.lower(),
            index,
            "flag",
            leaf_bits=P | COHERENT | HUGE,
            leaf_address=(Piece(bits(huge_shift, 47)),),
            present=anything,
            leaf_present=Test(P, P),
            global_page=Test(HGLOBAL, HGLOBAL),
        )

    size, va_bits = 1 << page_shift - 10, page_shift + index * levels
    name = f"loongarch-{size}k-{levels}level"
    return Format(
        name=name,
        summary=f"LoongArch: {levels} levels, {va_bits}-bit addresses, pages of {size} KiB",
        levels=(*map(directory, names[:-1]), Level("PTE", "pte", index, "always")),
        page_shift=page_shift,
        va_bits=va_bits,
        va_upper="either",  # PGDL has the root of the lower half, PGDH that of the upper one
        present=Test(P, P),
        points_to_table=Test(HUGE, 0),
        address=(Piece(bits(page_shift, 47)),),
        attributes=(
            Attribute("plv0", 2),
            Attribute("plv1", 3),
            Attribute("writable", 8),
            Attribute("no_read", 61),
            Attribute("no_execute", 62),
            Attribute("rplv", 63),
        ),
        deny=DENY,
        used=UsedFlags(V, False, dirty_set=D, hardware="ptw", before_permission=True),
        settings_known=(
            Setting("ptw", False, "hardware walks and sets V and D (PWCH.HPTW_En); else a clear flag traps"),
        ),
        leaf_bits=P | COHERENT,
        root_mask=bits(12, 47),
        global_page=Test(bit(6), bit(6)),
        faults=FAULTS,
        fields=(
            BitField("V", V, "leaf"),
            BitField("D", D, "leaf"),
            BitField("PLV", bits(2, 3), "leaf"),
            BitField("MAT", bits(4, 5), "leaf"),
            BitField("G", bit(6), "leaf", ("PTE",)),
            BitField("H", HUGE, "leaf", names[:-1]),
            BitField("P", P, "leaf"),
            BitField("W", W, "leaf"),
            BitField("NR", bit(61), "leaf"),
            BitField("NX", bit(62), "leaf"),
            BitField("RPLV", bit(63), "leaf"),
        ),
        empty_tables=True,
        source=MANUAL,
        examples=EXAMPLES.get(name, ()),
    )


FORMATS = tuple(_format(*layout) for layout in ((14, 3), (12, 3), (12, 4), (14, 2), (16, 2)))
BY_LAYOUT = {(1 << each.page_shift, each.va_bits): each for each in FORMATS}
