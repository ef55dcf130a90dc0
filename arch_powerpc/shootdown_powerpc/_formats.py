"""Book3S-64 page tables: radix, from Power ISA 3.1, Book III, 6.7.10 to 6.7.13. Hash is in `_hash_formats.py`.

The ISA numbers bits from the most significant, and so do its figures; here, as everywhere in the package, bits
count from the least significant. The processor determines the shapes of a tree: the model has those of POWER9 and
POWER10 (User's Manuals, 4.10.4.1 and 5.10.6.1), 52 bits by 13, 9, 9 and then 9 or 5. `process_table.py`
finds a root; walks also accept the process table entry's first doubleword (`RTS`, `RPDB` and `RPDS`
together) as a root, and use only its `RPDB`. EA bits 63:62 only choose the process table entry and are not looked at.

Fields that the ISA draws as reserved ("///") are not looked at, as in QEMU (target/ppc/mmu-radix64.c), KVM's
software walker (book3s_64_mmu_radix.c) and microwatt; Linux calls a directory entry with one of them set bad
(RADIX_PMD_BAD_BITS), which the setting `bad_bits` does. A table that is not aligned to its size is read as if it
were: POWER9 does, by tests on one (qemu-devel, 2022-06-24, "Check page dir/table base alignment").

Not modelled: partition-scoped tables (what is translated to is a guest real address where there are any),
authority masks of other keys than 0.
"""

from __future__ import annotations

import attrs

from shootdown.formats import (
    Attribute,
    BitField,
    CodeBit,
    Deny,
    Fault,
    Format,
    Level,
    Piece,
    Reason,
    Reserved,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)
from shootdown_powerpc import _examples
from shootdown_powerpc._hash_formats import HASH_4K, HASH_64K

V, LEAF = bit(63), bit(62)
REFERENCE, CHANGE = bit(8), bit(7)
BAD_BITS = bit(61) | bits(5, 7)

# --- 6.7.10.2, 6.7.13: the encoded access authority, and the attributes (58:59) of the ISA's bits.
_DENY = (
    Deny(user=True, has=("privileged",), why="EAA bit 0"),
    Deny(kinds=("read",), lacks=("read", "write"), why="EAA bits 1 and 2: read-write grants reads too"),
    Deny(kinds=("write",), lacks=("write",), why="EAA bit 2"),
    Deny(kinds=("execute",), lacks=("execute",), why="EAA bit 3"),
    Deny(kinds=("execute",), has=("att_0",), lacks=("att_1",), why="ATT 0b10: non-idempotent is guarded"),
    Deny(kinds=("read",), user=False, lacks=("privileged",), when=("amr_read",), why="AMR, key 0"),
    Deny(kinds=("write",), user=False, lacks=("privileged",), when=("amr_write",), why="AMR, key 0"),
    Deny(kinds=("execute",), user=False, lacks=("privileged",), when=("iamr",), why="IAMR, key 0"),
)

# --- 7.5.3 (data storage), 7.5.5 (instruction storage), 7.5.4, 7.5.6 (segment) interrupts: DSISR or SRR1.
_STORE = CodeBit(0x0200_0000, kinds=("write",))
_DATA = (
    CodeBit(0x4000_0000, reasons=(Reason.NOT_PRESENT,)),
    CodeBit(0x0800_0000, reasons=(Reason.PERMISSION,)),
    CodeBit(0x0008_0000, reasons=(Reason.MALFORMED, Reason.RESERVED)),
    CodeBit(0x0004_0000, reasons=(Reason.ACCESS_FLAG,)),
    _STORE,
)
_FETCH = (
    CodeBit(0x4000_0000, reasons=(Reason.NOT_PRESENT,)),
    # "No-execute or guarded" for each reason to refuse a fetch, as QEMU has it; UNVERIFIED for privileged pages.
    CodeBit(0x1000_0000, reasons=(Reason.PERMISSION,)),
    CodeBit(0x0008_0000, reasons=(Reason.MALFORMED, Reason.RESERVED)),
    CodeBit(0x0004_0000, reasons=(Reason.ACCESS_FLAG,)),
)
FAULTS = (
    Fault("instruction segment interrupt", reasons=(Reason.NONCANONICAL,), kinds=("execute",)),
    Fault("data segment interrupt", reasons=(Reason.NONCANONICAL,)),
    Fault("machine check", reasons=(Reason.NO_MEMORY,)),
    Fault("instruction storage interrupt", code=_FETCH, kinds=("execute",), code_name="SRR1"),
    Fault("data storage interrupt", code=_DATA, code_name="DSISR"),
)

_RPN = (Piece(bits(12, 56)),)

RADIX_4K = Format(
    name="ppc64-radix-4k",
    summary="powerpc radix with 4 KiB pages: 52-bit addresses, big-endian; 4 KiB, 2 MiB, 1 GiB",
    source="Power ISA 3.1, Book III, 6.7.10",
    levels=(
        # A leaf in the root would map 512 GiB: QEMU takes it, the User's Manuals name no such page size.
        Level("PDE1", "pgd", 13, leaf="flag", leaf_address=_RPN, sizes=(13,)),
        Level("PDE2", "pud", 9, leaf="flag", leaf_address=_RPN, sizes=(9,)),
        Level("PDE3", "pmd", 9, leaf="flag", leaf_address=_RPN, sizes=(9,)),
        Level("PTE", "pte", 9, leaf="flag", leaf_address=_RPN, sizes=(9, 5)),
    ),
    page_shift=12,
    va_bits=52,
    va_upper="zero",
    va_ignored=bits(62, 63),
    root_mask=bits(16, 59),
    big_endian=True,
    present=Test(V, V),
    points_to_table=Test(LEAF, 0),
    address=(Piece(bits(8, 59)),),
    next_bits=bits(0, 4),
    attributes=(
        Attribute("execute", 0),
        Attribute("write", 1),
        Attribute("read", 2),
        Attribute("privileged", 3),
        Attribute("att_0", 5),
        Attribute("att_1", 4),
    ),
    deny=_DENY,
    used=UsedFlags(accessed=REFERENCE, on_tables=False, dirty_set=CHANGE, hardware="hardware_rc"),
    reserved=(
        Reserved(
            BAD_BITS,
            slot="table",
            when=("bad_bits",),
            why="arch/powerpc/include/asm/book3s/64/radix.h:RADIX_PMD_BAD_BITS, v4.7, without the leaf bit",
        ),
    ),
    table_bits=V,
    leaf_bits=V | LEAF,
    settings_known=(
        Setting(
            "hardware_rc",
            True,
            "R and C are set by hardware; off: a storage interrupt where they would be (POWER9 and microwatt)",
        ),
        Setting(
            "bad_bits", False, "reserved bits of directory entries are refused, as Linux's pmd_bad() does"
        ),
        Setting("amr_read", False, "AMR, key 0: privileged loads from problem-state pages are refused"),
        Setting("amr_write", False, "AMR, key 0: privileged stores likewise"),
        Setting("iamr", False, "IAMR, key 0: privileged fetches likewise"),
    ),
    faults=FAULTS,
    fields=(
        BitField("V", V),
        BitField("L", LEAF, slot="leaf"),
        BitField("SW0", bit(61), slot="leaf", software=True),
        BitField("SW", bits(9, 11), slot="leaf", software=True),
        BitField("R", REFERENCE, slot="leaf"),
        BitField("C", CHANGE, slot="leaf"),
        BitField("ATT", bits(4, 5), slot="leaf"),
        BitField("PRIV", bit(3), slot="leaf"),
        BitField("READ", bit(2), slot="leaf"),
        BitField("WRITE", bit(1), slot="leaf"),
        BitField("EXEC", bit(0), slot="leaf"),
        BitField("NLS", bits(0, 4), slot="table"),
        BitField("reserved", BAD_BITS | bit(60), slot="table"),
        BitField("reserved", bits(57, 60) | bit(6), slot="leaf"),
    ),
    examples=_examples.RADIX_4K,
)

RADIX_64K = attrs.evolve(
    RADIX_4K,
    name="ppc64-radix-64k",
    summary="powerpc radix with 64 KiB pages: 52-bit addresses, big-endian; 64 KiB, 2 MiB, 1 GiB",
    levels=(*RADIX_4K.levels[:3], attrs.evolve(RADIX_4K.levels[3], bits=5)),
    page_shift=16,
    examples=_examples.RADIX_64K,
)

FORMATS = (RADIX_4K, RADIX_64K, HASH_4K, HASH_64K)
