"""The formats: the hashed page table with its decode in C and in Python, and page tables of levels to compare with."""

from __future__ import annotations

from shootdown.formats import (
    Access,
    Attribute,
    CustomFormat,
    Deny,
    Fault,
    Format,
    Level,
    PhysicalMemory,
    Piece,
    Reason,
    Settings,
    Test,
    Trace,
    bit,
    bits,
)
from shootdown.kernels import Check, check_by
from shootdown_cdecode import _table

ATTRIBUTES = (Attribute("user", None), Attribute("writable", None))
DENY = (Deny(user=True, lacks=("user",)), Deny(kinds=("write",), lacks=("writable",)))
FAULT = Fault("page fault")


def check(access: Access, settings: Settings, hardware_sets_flags: bool) -> Check:
    """Return what an access is checked against."""
    return check_by(ATTRIBUTES, DENY, access, settings)


def steps(memory: PhysicalMemory, root: int, va: int, access: Access, settings: Settings) -> Trace:
    """Walk one address slowly and keep every slot that was read."""
    found = _table.search(memory, root, va)
    reason, rights = found.reason, found.entry & _table.RIGHTS
    there = reason is Reason.OK
    if there and not _table.may(access, rights):
        reason = Reason.PERMISSION
    pa = found.entry & _table.ADDRESS | va & 0xFFF if reason is Reason.OK else None
    shift = _table.PAGE_SHIFT if there else 0
    fault = "" if reason is Reason.OK else FAULT.name
    return Trace(va, pa, reason, 0, shift, _table.names(rights), fault, 0, found.steps)


def _hashed(name: str, how: str, module: str) -> CustomFormat:
    return CustomFormat(
        name=name,
        summary=f"made up: hashed page table of 48-bit addresses, decoded by {how}",
        source="shootdown_cdecode/_table.py",
        va_bits=_table.VA_BITS,
        walk=f"{module}:walk",
        first_read=f"{module}:first_read",
        check=check,
        steps=steps,
        mappings=_table.mappings,
        attributes=ATTRIBUTES,
        faults=(FAULT,),
        root_mask=_table.ADDRESS,
        page_sizes=(4096,),
        levels=(Level("HPTE", "hpte", _table.VA_BITS - _table.PAGE_SHIFT, leaf="always"),),
    )


#: The decode is in C: cdecode.c.
NATIVE = _hashed("cdecode-c", "a C function", "shootdown_cdecode._walk_c")
#: The same decode in Python, compiled by numba.
TWIN = _hashed("cdecode-twin", "the C function's twin", "shootdown_cdecode._walk_twin")
#: What needs no function at all: four levels, for the same addresses.
LEVELS = Format(
    name="cdecode-levels",
    summary="made up: four levels of tables for the same addresses, to compare with",
    levels=(
        Level("L3", "pgd", 9, "never"),
        Level("L2", "pud", 9, "never"),
        Level("L1", "pmd", 9, "never"),
        Level("L0", "pte", 9, "always"),
    ),
    page_shift=12,
    va_bits=48,
    va_upper="zero",
    present=Test(bit(0), bit(0)),
    address=(Piece(bits(12, 51)),),
    attributes=(Attribute("user", 1), Attribute("writable", 2)),
    deny=DENY,
    faults=(FAULT,),
    table_bits=bit(0),
    leaf_bits=bit(0),
)
FORMATS = (NATIVE, TWIN, LEVELS)
