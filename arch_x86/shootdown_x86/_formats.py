"""The four paging modes of x86, from the Intel SDM, volume 3A, chapter 4.

Section numbers are those of editions in which paging is chapter 4. Assumed as on every 64-bit CPU: PAT and
PSE-36 exist. Not modelled: protection keys (CR4.PKE and CR4.PKS are 0, so bits 62:59 are ignored), shadow
stacks, LAM.
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
from shootdown_x86 import _examples

P, RW, US, PWT, PCD, A, D, PS, G = (bit(n) for n in range(9))
XD = bit(63)

# --- 4.6: access rights. Attributes combine over all levels: R/W and U/S as AND, XD as OR.
_DENY = (
    Deny(user=True, lacks=("user",), why="4.6.1: user-mode accesses to supervisor-mode addresses"),
    Deny(kinds=("write",), user=True, lacks=("writable",), why="4.6.1"),
    Deny(kinds=("write",), user=False, lacks=("writable",), when=("wp",), why="4.6.1: CR0.WP"),
    Deny(kinds=("execute",), has=("no_execute",), when=("nxe",), why="4.6.1: IA32_EFER.NXE"),
    Deny(kinds=("execute",), user=False, has=("user",), when=("smep",), why="4.6.1: CR4.SMEP"),
    Deny(
        kinds=("read", "write"),
        user=False,
        has=("user",),
        when=("smap",),
        unless=("ac",),
        why="4.6.1: CR4.SMAP",
    ),
)

# --- 4.7: page-fault error code.
_CODE = (
    CodeBit(bit(0), reasons=(Reason.PERMISSION, Reason.RESERVED)),
    CodeBit(bit(1), kinds=("write",)),
    CodeBit(bit(2), user=True),
    CodeBit(bit(3), reasons=(Reason.RESERVED,)),
    CodeBit(bit(4), kinds=("execute",), any_of=("smep", "nxe")),
)
_FAULTS = (
    Fault("#GP", reasons=(Reason.NONCANONICAL,), code_name="error code"),
    # Not in the manual: the platform decides what happens if no memory answers.
    Fault("bus error", reasons=(Reason.NO_MEMORY,)),
    Fault("#PF", code=_CODE, code_name="error code"),
)

_SETTINGS = (
    Setting("maxphyaddr", 46, "CPUID.80000008H:EAX[7:0], bits of a physical address", minimum=32, maximum=52),
    Setting("nxe", True, "IA32_EFER.NXE: XD is a permission; otherwise it is reserved"),
    Setting("pages_1g", True, "CPUID.80000001H:EDX.Page1GB: a PDPTE may map 1 GiB"),
    Setting("wp", True, "CR0.WP: read-only pages are so for supervisor mode too"),
    Setting("smep", False, "CR4.SMEP: supervisor mode can't execute user pages"),
    Setting("smap", False, "CR4.SMAP: supervisor mode can't access user pages"),
    Setting("ac", False, "EFLAGS.AC: suspends SMAP"),
)


_UPPER_SOFTWARE = tuple(BitField(f"SOFTW{n}", bit(53 + n), slot="leaf", software=True) for n in (4, 5))


def _fields(above: tuple[str, ...], large: tuple[str, ...], *, wide: bool = True) -> tuple[BitField, ...]:
    """Return the named bits of entries: `above` the last level, `large` for levels with pages larger than 4 KiB."""
    return (
        BitField("P", P),
        BitField("RW", RW),
        BitField("US", US),
        BitField("PWT", PWT),
        BitField("PCD", PCD),
        BitField("A", A),
        BitField("D", D, slot="leaf"),
        BitField("PAT", bit(7), levels=("PTE",)),
        BitField("PS", PS, levels=above),
        BitField("G", G, slot="leaf"),
        BitField("PAT", bit(12), slot="leaf", levels=large),
        # Bits that the manual leaves to software, by Linux's names (asm/pgtable_types.h).
        *(BitField(f"SOFTW{n}", bit(8 + n), slot="leaf", software=True) for n in (1, 2, 3)),
        *(
            (*_UPPER_SOFTWARE, BitField("PKEY", bits(59, 62), slot="leaf"), BitField("XD", XD))
            if wide
            else ()
        ),
    )


_NO_XD = Reserved(XD, unless=("nxe",), why="4.5.4: XD with IA32_EFER.NXE = 0")
_LARGE_PDE = Reserved(bits(13, 20), levels=("PDE",), slot="leaf", why="4.5.4: 2 MiB pages")

X86_64_4LEVEL = Format(
    name="x86_64-4level",
    summary="x86-64 with 4-level paging: 48-bit addresses; 4 KiB, 2 MiB, 1 GiB pages",
    source="Intel SDM vol. 3A, 4.5",
    levels=(
        Level("PML4E", "pgd", 9, leaf="never"),
        Level("PDPTE", "pud", 9, leaf="flag", leaf_bits=P | PS),
        Level("PDE", "pmd", 9, leaf="flag", leaf_bits=P | PS),
        Level("PTE", "pte", 9, leaf="always"),
    ),
    page_shift=12,
    va_bits=48,
    va_upper="sign",
    root_mask=bits(12, 51),
    present=Test(P, P),
    points_to_table=Test(PS, 0),
    address=(Piece(bits(12, 51)),),
    attributes=(
        Attribute("writable", leaf=1, table=1, combine="and"),
        Attribute("user", leaf=2, table=2, combine="and"),
        Attribute("no_execute", leaf=63, table=63, combine="or"),
    ),
    deny=_DENY,
    reserved=(
        Reserved(bits(12, 51), above="maxphyaddr", why="4.5.4: address bits at and above MAXPHYADDR"),
        Reserved(PS, levels=("PML4E",), why="4.5.4: PS in a PML4E"),
        Reserved(bits(13, 29), levels=("PDPTE",), slot="leaf", why="4.5.4: 1 GiB pages"),
        Reserved(PS, levels=("PDPTE",), unless=("pages_1g",), why="4.5.4: PS in a PDPTE without 1 GiB pages"),
        _LARGE_PDE,
        _NO_XD,
    ),
    used=UsedFlags(accessed=A, on_tables=True, dirty_set=D),
    table_bits=P | RW | US | A,
    leaf_bits=P,
    global_page=Test(G, G),
    settings_known=_SETTINGS,
    faults=_FAULTS,
    fields=_fields(("PML4E", "PDPTE", "PDE"), ("PDPTE", "PDE")),
    examples=_examples.FOUR,
)

X86_64_5LEVEL = attrs.evolve(
    X86_64_4LEVEL,
    name="x86_64-5level",
    summary="x86-64 with 5-level paging (LA57): 57-bit addresses; 4 KiB, 2 MiB, 1 GiB pages",
    levels=(
        Level("PML5E", "pgd", 9, leaf="never"),
        attrs.evolve(X86_64_4LEVEL.levels[0], linux="p4d"),
        *X86_64_4LEVEL.levels[1:],
    ),
    va_bits=57,
    reserved=(*X86_64_4LEVEL.reserved, Reserved(PS, levels=("PML5E",), why="4.5.4: PS in a PML5E")),
    fields=_fields(("PML5E", "PML4E", "PDPTE", "PDE"), ("PDPTE", "PDE")),
    examples=_examples.FIVE,
)

X86_PAE = attrs.evolve(
    X86_64_4LEVEL,
    name="x86-pae",
    summary="x86 with PAE: 32-bit addresses, 64-bit entries; 4 KiB, 2 MiB pages",
    source="Intel SDM vol. 3A, 4.4",
    levels=(
        # 4.4.1: PDPTEs carry no permissions. Hardware loads them at a write of CR3, where a reserved bit is
        # #GP; the walk here reads them each time and reports the same bits as RESERVED.
        Level("PDPTE", "pgd", 2, leaf="never", table_bits=P, attributes=False),
        Level("PDE", "pmd", 9, leaf="flag", leaf_bits=P | PS),
        Level("PTE", "pte", 9, leaf="always"),
    ),
    va_bits=32,
    va_upper="zero",
    root_mask=bits(5, 31),
    reserved=(
        Reserved(bits(12, 62), above="maxphyaddr", why="4.4.2: up to bit 62, no ignored bits as in 4-level"),
        Reserved(bits(1, 2) | bits(5, 8) | XD, levels=("PDPTE",), why="4.4.1"),
        _LARGE_PDE,
        _NO_XD,
    ),
    settings_known=tuple(s for s in _SETTINGS if s.name != "pages_1g"),
    # 4.4.2: bits 62:52 are reserved here.
    fields=tuple(
        f for f in _fields(("PDPTE", "PDE"), ("PDE",)) if f.name != "PKEY" and f not in _UPPER_SOFTWARE
    ),
    examples=_examples.PAE,
)

X86_32BIT = Format(
    name="x86-32bit",
    summary="x86 with 32-bit paging: 32-bit addresses and entries; 4 KiB and, with PSE, 4 MiB pages",
    source="Intel SDM vol. 3A, 4.3",
    levels=(
        Level(
            "PDE",
            "pgd",
            10,
            leaf="flag",
            leaf_needs="pse",
            leaf_bits=P | PS,
            # PSE-36: bits 39:32 of the address lie in bits 20:13.
            leaf_address=(Piece(bits(22, 31)), Piece(bits(13, 20), up=19)),
        ),
        Level("PTE", "pte", 10, leaf="always"),
    ),
    page_shift=12,
    va_bits=32,
    va_upper="zero",
    root_mask=bits(12, 31),
    entry_bytes=4,
    present=Test(P, P),
    points_to_table=Test(PS, 0),
    address=(Piece(bits(12, 31)),),
    attributes=(
        Attribute("writable", leaf=1, table=1, combine="and"),
        Attribute("user", leaf=2, table=2, combine="and"),
    ),
    deny=tuple(rule for rule in _DENY if "nxe" not in rule.when),
    reserved=(
        Reserved(bit(21), levels=("PDE",), slot="leaf", why="4.3: bits 21:(M-19) of a PDE that maps 4 MiB"),
        Reserved(bits(13, 20), levels=("PDE",), slot="leaf", above="maxphyaddr", above_shift=-19, why="4.3"),
    ),
    used=UsedFlags(accessed=A, on_tables=True, dirty_set=D),
    table_bits=P | RW | US | A,
    leaf_bits=P,
    global_page=Test(G, G),
    settings_known=(
        attrs.evolve(_SETTINGS[0], default=40),
        Setting("pse", True, "CR4.PSE: a PDE may map 4 MiB; otherwise PS is ignored"),
        *(s for s in _SETTINGS if s.name in ("wp", "smep", "smap", "ac")),
    ),
    faults=(
        *_FAULTS[:-1],
        attrs.evolve(_FAULTS[-1], code=(*_CODE[:-1], attrs.evolve(_CODE[-1], any_of=("smep",)))),
    ),
    fields=_fields(("PDE",), ("PDE",), wide=False),
    examples=_examples.LEGACY,
)

FORMATS = (X86_64_4LEVEL, X86_64_5LEVEL, X86_PAE, X86_32BIT)
