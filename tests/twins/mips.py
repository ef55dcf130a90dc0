"""Page tables of 64-bit MIPS with pages of 4 KiB, whose page numbers move down, and examples of their entries.

arch/mips/include/asm/pgtable-bits.h (6.6), `enum pgtable_bits` of CPUs with RI and XI, with huge pages and
PTE_SPECIAL: P 0, W 1, A 2, M 3, H 4, special 5, XI 6, RI 7, G 8, V 9, D 10, C 13:11; `PFN_PTE_SHIFT` is 14.
include/asm/pgtable-64.h: three levels, of which the top one has 1024 entries, so that 40 bits are translated;
directories hold the addresses at which the kernel sees its tables, in XKPHYS; those that map nothing point to tables
that map nothing.
"""

from __future__ import annotations

from shootdown.formats import (
    AddressExample,
    Attribute,
    Deny,
    Example,
    Fault,
    Format,
    Level,
    Piece,
    Test,
    bit,
    bits,
)

HUGE, VALID = bit(4), bit(9)
CACHED = 0xA8 << 56  # XKPHYS, cached: where 64-bit kernels see physical memory
NOTHING = Test(0, 0)

BITS = "arch/mips/include/asm/pgtable-bits.h, Linux 6.6"
TREE = "arch/mips/include/asm/pgtable-64.h, Linux 6.6"
EXAMPLES = (
    # page number 0x1234 << 14, C 3, D, V, M, A, W, P
    Example(0x048D_1E0F, "PTE", "leaf", BITS, address=0x0123_4000, span=4096, user="rwx", supervisor="rwx"),
    Example(0x048D_1A0F, "PTE", "leaf", BITS, user="rx", supervisor="rx"),
    Example(0x048D_1E8F, "PTE", "leaf", BITS, user="wx"),
    Example(0x048D_1E4F, "PTE", "leaf", BITS, user="rw", is_global=False),
    Example(0x048D_1F0F, "PTE", "leaf", BITS, is_global=True),
    Example(0x048D_1C0F, "PTE", "absent", BITS),
    Example(0, "PTE", "absent", BITS),
    Example(0x4E0F, "PTE", "leaf", BITS, address=0x1000),
    Example(0x0200_0000_0000_0E0F, "PTE", "leaf", BITS, address=0x0080_0000_0000_0000),
    Example(0x0400_0000_0000_4E0F, "PTE", "leaf", BITS, address=0x1000),
    Example(bytes.fromhex("0f 1e 8d 04 00 00 00 00"), "PTE", "leaf", BITS, address=0x0123_4000),
    # 2 MiB at 0x200000: page number 0x200 << 14, and H
    Example(0x0080_1E1F, "PMD", "leaf", BITS, address=0x20_0000, span=1 << 21, user="rwx", is_global=False),
    Example(0x0080_1A5F, "PMD", "leaf", BITS, user="r"),
    Example(0x0080_1C1F, "PMD", "absent", BITS),
    Example(0x0200_0000_0000_0E1F, "PMD", "leaf", BITS, address=0x0080_0000_0000_0000),
    *(
        Example(0xA800_0000_0000_0000 | table, level, "table", TREE, address=table)
        for level in ("PGD", "PMD")
        for table in (0x1000, 0x9234_5000, 0x0080_0000_0000_0000)
    ),
    AddressExample(0xFF_FFFF_F000, (1023, 511, 511), TREE),
    AddressExample(0x80_4020_1000, (513, 1, 1), TREE),
    AddressExample(1 << 40, None, TREE),
    AddressExample((1 << 64) - 4096, None, TREE),
)

MIPS64 = Format(
    name="mips64-4k",
    summary="64-bit MIPS with pages of 4 KiB",
    source=BITS,
    levels=(
        Level("PGD", "pgd", 10, "never", present=NOTHING),
        Level(
            "PMD",
            "pmd",
            9,
            "flag",
            present=NOTHING,
            leaf_present=Test(VALID, VALID),
            leaf_bits=HUGE | VALID,
            leaf_address=(Piece(bits(14, 57), down=2),),
        ),
        Level("PTE", "pte", 9, "always", leaf_address=(Piece(bits(14, 57), down=2),)),
    ),
    page_shift=12,
    va_bits=40,
    va_upper="zero",
    present=Test(VALID, VALID),
    points_to_table=Test(HUGE, 0),
    address=(Piece(bits(12, 55)),),
    table_bits=CACHED,
    leaf_bits=VALID,
    root_mask=bits(12, 55),
    empty_tables=True,
    attributes=(Attribute("dirty", 10), Attribute("read-inhibit", 7), Attribute("execute-inhibit", 6)),
    deny=(
        Deny(kinds=("write",), lacks=("dirty",), why="TLB Modified"),
        Deny(kinds=("read",), has=("read-inhibit",), why="TLB Read-Inhibit"),
        Deny(kinds=("execute",), has=("execute-inhibit",), why="TLB Execute-Inhibit"),
    ),
    global_page=Test(bit(8), bit(8)),
    faults=(Fault("TLB exception"),),
    examples=EXAMPLES,
)
