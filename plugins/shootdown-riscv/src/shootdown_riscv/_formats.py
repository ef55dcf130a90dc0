"""Sv32, Sv39, Sv48 and Sv57, from the RISC-V Instruction Set Manual, volume II (Privileged Architecture).

Section names are those of version 20240411. Hardware that leaves the A and D bits to software (Svade, which the
RVA profiles ask for) is the default; `svadu` lets it write them. Not modelled: shadow stacks (Zicfiss), pointer
masking, the two-stage translation of the hypervisor extension, physical memory protection.
"""

from __future__ import annotations

from typing import Any

from shootdown.formats import (
    Attribute,
    BitField,
    CodeBit,
    Contiguous,
    Deny,
    Fault,
    Format,
    Kind,
    Level,
    Piece,
    Reason,
    Refused,
    Reserved,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)
from shootdown_riscv import _examples

V, R, W, X, U, G, A, D = (bit(n) for n in range(8))
N = bit(63)

# --- "Addressing and Memory Protection": the U, R, W and X bits under mstatus.SUM and mstatus.MXR.
_DENY = (
    Deny(user=True, lacks=("u",), why="U: U-mode accesses pages with U = 1 alone"),
    Deny(kinds=("read",), lacks=("r",), unless=("mxr",), why="R"),
    Deny(kinds=("read",), lacks=("r", "x"), why="R, and X under mstatus.MXR"),
    Deny(kinds=("write",), lacks=("w",), why="W"),
    Deny(kinds=("execute",), lacks=("x",), why="X"),
    Deny(kinds=("execute",), user=False, has=("u",), why="S-mode never executes pages with U = 1"),
    Deny(kinds=("read", "write"), user=False, has=("u",), unless=("sum",), why="mstatus.SUM"),
)


def _by_kind(read: int, write: int, execute: int) -> tuple[CodeBit, ...]:
    kinds: tuple[tuple[Kind, int], ...] = (("read", read), ("write", write), ("execute", execute))
    return tuple(CodeBit(code, kinds=(kind,)) for kind, code in kinds)


_PAGE_FAULT = _by_kind(13, 15, 12)  # scause
_ACCESS_FAULT = _by_kind(5, 7, 1)
_NAMES: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("instruction", ("execute",)),
    ("store/AMO", ("write",)),
    ("load", ()),
)
_FAULTS = (
    # A table where no memory answers fails its PMA check: "Virtual Address Translation Process", step 2.
    *(
        Fault(f"{name} access fault", (Reason.NO_MEMORY,), _ACCESS_FAULT, kinds, "scause")
        for name, kinds in _NAMES
    ),
    *(Fault(f"{name} page fault", (), _PAGE_FAULT, kinds, "scause") for name, kinds in _NAMES),
)

_SETTINGS = (
    Setting("mxr", False, "mstatus.MXR: executable pages can be read"),
    Setting("sum", False, "mstatus.SUM: S-mode can access pages of U-mode"),
    Setting("svadu", False, "menvcfg.ADUE (Svadu): hardware sets A and D; otherwise a clear one faults"),
)
_WIDE_SETTINGS = (
    *_SETTINGS,
    Setting("svnapot", True, "Svnapot: N makes 16 PTEs one page of 64 KiB; otherwise it is reserved"),
    Setting("svpbmt", True, "menvcfg.PBMTE (Svpbmt): PBMT is a memory type; otherwise it is reserved"),
    Setting("svrsw60t59b", False, "Svrsw60t59b: bits 60 and 59 are software's; otherwise they are reserved"),
)

_FIELDS = (
    *(BitField(name, bit(n)) for n, name in enumerate("VRWXUGAD")),
    BitField("RSW", bits(8, 9), software=True),
)
_NO_AD_U = Reserved(D | A | U, slot="table", why="non-leaf PTEs: D, A and U are reserved")
_NO_WRITE_ONLY = Refused(Test(R | W, W), why="W without R is reserved")


def _format(name: str, mode: str, linux: tuple[str, ...], examples: tuple[Any, ...]) -> Format:
    """Write one mode of RV64 down; `linux` names its levels from the root."""
    top = len(linux) - 1
    levels = tuple(Level(f"PTE{top - n}", name_, 9, leaf="flag") for n, name_ in enumerate(linux))
    large = tuple(level.name for level in levels[:-1])
    return Format(
        name=f"riscv-{name}",
        summary=f"riscv {mode}: {12 + 9 * len(linux)}-bit addresses; "
        + ", ".join(("4 KiB", "64 KiB (Svnapot)", "2 MiB", "1 GiB", "512 GiB", "256 TiB")[: len(linux) + 1]),
        source=f'RISC-V Privileged Architecture, "{mode}"',
        levels=levels,
        page_shift=12,
        va_bits=12 + 9 * len(linux),
        va_upper="sign",
        root_mask=bits(12, 55),
        present=Test(V, V),
        points_to_table=Test(R | W | X, 0),
        address=(Piece(bits(10, 53), up=2),),
        attributes=(Attribute("r", 1), Attribute("w", 2), Attribute("x", 3), Attribute("u", 4)),
        deny=_DENY,
        used=UsedFlags(accessed=A, on_tables=False, dirty_set=D, hardware="svadu"),
        reserved=(
            Reserved(bits(54, 58), why="reserved for standard use"),
            Reserved(bits(59, 60), unless=("svrsw60t59b",), why="bits 60 and 59 without Svrsw60t59b"),
            Reserved(N, unless=("svnapot",), why="N without Svnapot"),
            Reserved(bits(61, 62), unless=("svpbmt",), why="PBMT without Svpbmt"),
            _NO_AD_U,
            Reserved(bits(61, 63), slot="table", why="non-leaf PTEs: N and PBMT are reserved"),
            Reserved(N, levels=large, why="Svnapot: N in a PTE above level 0"),
            *(
                Reserved(
                    bits(10, 9 + 9 * (top - n)), levels=(level.name,), slot="leaf", why="misaligned superpage"
                )
                for n, level in enumerate(levels[:-1])
            ),
        ),
        refused=(
            _NO_WRITE_ONLY,
            Refused(Test(bits(61, 62), bits(61, 62)), slot="leaf", why="Svpbmt: PBMT = 3 is reserved"),
            # Svnapot: of ppn[0], bits 3:0 must be 0b1000; every other value is reserved.
            *(Refused(Test(N | bit(n), N | bit(n)), levels=("PTE0",), slot="leaf") for n in (10, 11, 12)),
            Refused(Test(N | bit(13), N), levels=("PTE0",), slot="leaf"),
        ),
        contiguous=(Contiguous("PTE0", Test(N, N), 4, napot=True),),
        table_bits=V,
        leaf_bits=V | A | D,
        global_page=Test(G, G),
        settings_known=_WIDE_SETTINGS,
        faults=_FAULTS,
        fields=(*_FIELDS, BitField("PBMT", bits(61, 62)), BitField("N", N)),
        first_level=top,
        level_step=-1,
        examples=examples,
    )


SV32 = Format(
    name="riscv-sv32",
    summary="riscv Sv32: 32-bit addresses and entries; 4 KiB, 4 MiB",
    source='RISC-V Privileged Architecture, "Sv32"',
    levels=(Level("PTE1", "pgd", 10, leaf="flag"), Level("PTE0", "pte", 10, leaf="flag")),
    page_shift=12,
    va_bits=32,
    va_upper="zero",
    root_mask=bits(12, 33),
    entry_bytes=4,
    present=Test(V, V),
    points_to_table=Test(R | W | X, 0),
    address=(Piece(bits(10, 31), up=2),),
    attributes=(Attribute("r", 1), Attribute("w", 2), Attribute("x", 3), Attribute("u", 4)),
    deny=_DENY,
    used=UsedFlags(accessed=A, on_tables=False, dirty_set=D, hardware="svadu"),
    reserved=(
        _NO_AD_U,
        Reserved(bits(10, 19), levels=("PTE1",), slot="leaf", why="misaligned superpage"),
    ),
    refused=(_NO_WRITE_ONLY,),
    table_bits=V,
    leaf_bits=V | A | D,
    global_page=Test(G, G),
    settings_known=_SETTINGS,
    faults=_FAULTS,
    fields=_FIELDS,
    first_level=1,
    level_step=-1,
    examples=_examples.SV32,
)
SV39 = _format("sv39", "Sv39", ("pgd", "pmd", "pte"), _examples.SV39)
SV48 = _format("sv48", "Sv48", ("pgd", "pud", "pmd", "pte"), _examples.SV48)
SV57 = _format("sv57", "Sv57", ("pgd", "p4d", "pud", "pmd", "pte"), _examples.SV57)

FORMATS = (SV32, SV39, SV48, SV57)
