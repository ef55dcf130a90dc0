"""Page-table formats as frozen values: what a manual's chapter on paging says, one literal per format.

An author writes a `Format` and nothing else; `format_layout.py` derives from it what the walker reads. The
words to write it in are in `format_parts.py` and can be imported from here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal

import attrs

from shootdown._pagetables.format_examples import AddressExample, AnyExample, Example, WalkExample
from shootdown._pagetables.format_parts import (
    EVERY_ACCESS,
    USER_READ,
    WORD,
    Access,
    Attribute,
    BitField,
    CodeBit,
    Contiguous,
    Deny,
    Fault,
    Kind,
    Level,
    Piece,
    Reason,
    Refused,
    Reserved,
    Slot,
    Test,
    UsedFlags,
    bit,
    bits,
)
from shootdown._pagetables.format_problems import problems
from shootdown._pagetables.format_settings import FormatSetting, Settings, resolve_settings
from shootdown._values.checked import Between, checked
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.sites import mistake

__all__ = [
    "EVERY_ACCESS",
    "USER_READ",
    "Access",
    "AddressExample",
    "Attribute",
    "BitField",
    "CodeBit",
    "Contiguous",
    "CustomFormat",
    "Deny",
    "Example",
    "Fault",
    "Format",
    "FormatSetting",
    "Kind",
    "Level",
    "Piece",
    "Reason",
    "Refused",
    "Reserved",
    "Settings",
    "Slot",
    "Test",
    "UsedFlags",
    "WalkExample",
    "bit",
    "bits",
]


@attrs.frozen(cache_hash=True, field_transformer=checked)
class Format:
    """A page-table format.

    Args:
        name: as the command line has it, such as `x86_64-4level`.
        summary: one line for lists.
        levels: from the root to the last.
        page_shift: log2 of the bytes in a base page.
        va_bits: how many address bits the tables translate.
        present: when an entry is present.
        address: where the address of the next table, or of a page, lies in an entry.
        attributes: permission attributes (at most 8).
        deny: the accesses that are refused.
        used: accessed and dirty flags; None where there are none.
        entry_bytes: 4 or 8.
        big_endian: the byte order of entries.
        points_to_table: when an entry of a level with `leaf="flag"` points to a table.
        va_upper: what the bits above `va_bits` must be: a copy of the top bit (`sign`), all zeros or all ones
            (`either`: two halves, each with a root of its own), or zeros (`zero`).
        va_ignored: address bits that the walk does not look at.
        root_mask: the bits of a root pointer that are the top table's address.
        next_bits: the mask of the field, in an entry that points to a table, that holds log2 of the entries
            of the next table; 0 where levels decide (powerpc radix has it). Such tables lie aligned to
            their size: lower bits of their address are not looked at.
        reserved: bits that must be zero.
        refused: patterns that must not occur.
        output_bits: the setting that limits output addresses with `Reason.ADDRESS_SIZE`; None: no such check.
        contiguous: runs of leaves that translate as one page.
        table_bits: bits set in each entry that is written to point to a table.
        leaf_bits: bits set in each leaf that is written.
        global_page: when a leaf belongs to all address spaces; None where there are no such pages.
        settings_known: the CPU's settings that walks depend on.
        faults: exceptions; the first that has the reason is raised.
        fields: the named fields of an entry.
        first_level: the manual's number of the root's level.
        level_step: what the manual adds from a level to the next: -1 where it counts towards the last.
        source: manual and section.
        examples: entries, addresses and walks with their meaning, typed from a manual or a dump. `shootdown check`
            compares them; what none of them shows is called unevidenced.
        empty_tables: an entry above the last level that maps nothing points to a table that maps nothing, of which
            there is one for each level (LoongArch's and MIPS's invalid_pte_table, invalid_pmd_table...). A walk goes
            through them, and ends at the last level.
    """

    name: str
    summary: str
    levels: tuple[Level, ...]
    page_shift: Annotated[int, Between(6, 48)]
    va_bits: Annotated[int, Between(7, 64)]
    present: Test
    address: tuple[Piece, ...]
    attributes: tuple[Attribute, ...]
    deny: tuple[Deny, ...]
    used: UsedFlags | None = None
    entry_bytes: int = 8
    big_endian: bool = False
    points_to_table: Test = Test(0, 0)
    va_upper: Literal["sign", "either", "zero"] = "sign"
    va_ignored: Annotated[int, Between(0, WORD)] = 0
    root_mask: Annotated[int, Between(0, WORD)] = bits(12, 63)
    next_bits: Annotated[int, Between(0, WORD)] = 0
    reserved: tuple[Reserved, ...] = ()
    refused: tuple[Refused, ...] = ()
    output_bits: str | None = None
    contiguous: tuple[Contiguous, ...] = ()
    table_bits: Annotated[int, Between(0, WORD)] = 0
    leaf_bits: Annotated[int, Between(0, WORD)] = 0
    global_page: Test | None = None
    settings_known: tuple[FormatSetting, ...] = ()
    faults: tuple[Fault, ...] = (Fault("fault"),)
    fields: tuple[BitField, ...] = ()
    first_level: int = 0
    level_step: int = 1
    source: str = ""
    examples: tuple[AnyExample, ...] = attrs.field(default=(), repr=False, eq=False)
    empty_tables: bool = False

    def __attrs_post_init__(self) -> None:
        """Raise an error if the literal contradicts itself."""
        for problem in problems(self):
            raise mistake(f"format {self.name}: {problem}")

    @property
    def shifts(self) -> tuple[int, ...]:
        """Per level, log2 of the bytes that one entry maps (as expected, where entries hold sizes)."""
        shift = self.page_shift + sum(level.bits for level in self.levels)
        found = []
        for level in self.levels:
            shift -= level.bits
            found.append(shift)
        return tuple(found)

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """Bytes of the pages that there are under the default settings, contiguous runs among them."""
        settings, found = self.settings(), set()
        for index, shift in enumerate(self.shifts):
            if self.has_leaves(index, settings):
                runs = [run.bits for run in self.contiguous if run.level == self.levels[index].name]
                found |= {1 << shift, *(1 << shift + bits for bits in runs)}
        return tuple(sorted(found))

    def level_index(self, name: str) -> int:
        """Find a level by the manual's or Linux's name, or raise `ShootdownError`."""
        for index, level in enumerate(self.levels):
            if name in (level.name, level.linux):
                return index
        names = [n for level in self.levels for n in (level.name, level.linux)]
        raise ShootdownError(f"format {self.name} has no level {name!r}; {nearest(name, names)}")

    def level_number(self, level: int) -> int:
        """Return the manual's number of a level that is counted from the root."""
        return self.first_level + level * self.level_step

    def table_bytes(self, level: int) -> int:
        """Return the size of a table of a level."""
        return self.entry_bytes << self.levels[level].bits

    def has_leaves(self, level: int, settings: Settings) -> bool:
        """Whether entries of a level can map pages under these settings."""
        row = self.levels[level]
        return row.leaf != "never" and (row.leaf_needs is None or bool(settings[row.leaf_needs]))

    def global_test(self, level: int) -> Test | None:
        """Return when a leaf of a level belongs to all address spaces; None where there are no such pages."""
        return self.levels[level].global_page or self.global_page

    def is_global(self, entry: int, level: int) -> bool:
        """Whether a leaf of a level belongs to all address spaces."""
        test = self.global_test(level)
        return test is not None and test.holds(entry)

    def settings(self, **changes: int) -> Settings:
        """Return all settings, with changes, or raise `ShootdownError` for an unknown or impossible one."""
        return resolve_settings(self.name, self.settings_known, changes)

    def held(self, index: int) -> frozenset[str]:
        """Name the attributes in an index, as a walk returns it in `rights`: bit i is `attributes[i]`."""
        return _held(self.attributes, index)

    def index_of(self, names: Iterable[str]) -> int:
        """Return the index of a set of attributes, the inverse of `held`."""
        known = {a.name: 1 << i for i, a in enumerate(self.attributes)}
        total = 0
        for name in names:
            if name not in known:
                raise ShootdownError(f"format {self.name} has no attribute {name!r}; {nearest(name, known)}")
            total |= known[name]
        return total

    def allows(self, access: Access, held: frozenset[str], settings: Settings) -> bool:
        """Whether a page with these attributes may be accessed so."""
        return not any(rule.applies(access, held, settings) for rule in self.deny)

    def attributes_for(
        self, permissions: str, *, user: bool, settings: Settings | None = None
    ) -> frozenset[str]:
        """Choose the attributes of a page that grant the permissions.

        Args:
            permissions: some of the letters `rwx`; empty: nothing.
            user: to user mode; otherwise to supervisor mode, and nothing to user mode.
            settings: the CPU's; the defaults where None.

        Returns:
            The attributes that grant all that is asked and as little else as the format can express (x86 has
            no write-only pages).

        Raises:
            ShootdownError: no combination of attributes grants it.
        """
        return _attributes_for(self, permissions, user, settings or self.settings())

    def fault(
        self, reason: Reason, access: Access, settings: Settings | None = None, *, level: int = 0
    ) -> tuple[str, int]:
        """Return the exception that a failed walk raises, and its code.

        Args:
            reason: how the walk ended, not `Reason.OK`.
            access: what was asked.
            settings: the CPU's; the defaults where None.
            level: where the walk ended, counted from the root.

        Returns:
            The exception's name and its error code (x86), syndrome (arm64), DSISR (powerpc) or cause (riscv).
        """
        return _fault(self.faults, reason, access, settings or self.settings(), self.level_number(level))

    def exception(self, reason: Reason, access: Access) -> Fault:
        """Return the exception that a failed walk raises, as the format describes it."""
        return _exception(self.faults, reason, access)

    def decode(self, entry: int, level: int, *, leaf: bool) -> tuple[str, ...]:
        """Name the fields that are not zero: `("P", "RW", "PKEY=3")`."""
        shown = []
        for field in self.fields:
            if field.slot not in ("any", "leaf" if leaf else "table"):
                continue
            if field.levels and self.levels[level].name not in field.levels:
                continue
            value = (entry & field.mask) >> ((field.mask & -field.mask).bit_length() - 1)
            if value:
                shown.append(field.name if field.mask.bit_count() == 1 else f"{field.name}={value:#x}")
        return tuple(shown)


@attrs.frozen(field_transformer=checked)
class CustomFormat:
    """A translation that no table of levels can describe, such as powerpc's hashed page table.

    Args:
        name: as the command line has it.
        summary: one line for lists.
        va_bits: how many address bits are translated.
        walk: `walk(memory, check, root, va)`, a function that numba can compile, which returns `Walk`; or
            `module:name`, from where it is imported when a walk first runs, so that nothing else waits for
            numba. Kernels compiled for it are kept on disk until a source of its module changes, if it has a
            name to import it by.
        check: `check(access, settings, hardware_sets_flags)` gives the `Check` that `walk` is handed.
        steps: `steps(memory, root, va, access, settings)`, the same walk in plain Python, as a `Trace`.
        attributes: names of the bits in the `rights` that `walk` returns.
        settings_known: the CPU's settings that walks depend on.
        faults: exceptions.
        entry_bytes: bytes in an entry.
        big_endian: the byte order of entries.
        source: manual and section.
        first_level: the manual's number of level 0.
        levels: rows to show in lists; the walk doesn't use them.
        mappings: `mappings(memory, root, settings)` gives all that is mapped as `Mapping`s, in the order of
            addresses; None where it can't be listed.
        root_mask: the bits of a root that are an address.
        page_sizes: bytes of its pages, for lists.
        first_read: `first_read(memory, check, root, va)`, compiled and named as `walk` is: the physical address
            that the walk reads first. Batches prefetch it; None: they don't.
        examples: walks with their outcome, typed from a manual or a dump; `shootdown check` compares them.
    """

    name: str
    summary: str
    va_bits: int
    walk: Callable[..., Any] | str
    check: Callable[..., Any]
    steps: Callable[..., Any]
    attributes: tuple[Attribute, ...] = ()
    settings_known: tuple[FormatSetting, ...] = ()
    faults: tuple[Fault, ...] = (Fault("fault"),)
    entry_bytes: int = 8
    big_endian: bool = False
    source: str = ""
    first_level: int = 0
    levels: tuple[Level, ...] = ()
    mappings: Callable[..., Iterator[Any]] | None = None
    root_mask: int = bits(12, 63)
    page_sizes: tuple[int, ...] = ()
    first_read: Callable[..., Any] | str | None = None
    examples: tuple[WalkExample, ...] = attrs.field(default=(), repr=False, eq=False)

    def level_number(self, level: int) -> int:
        """Return the manual's number of a level."""
        return self.first_level + level

    def settings(self, **changes: int) -> Settings:
        """Return all settings, with changes, or raise `ShootdownError` for an unknown or impossible one."""
        return resolve_settings(self.name, self.settings_known, changes)

    def held(self, index: int) -> frozenset[str]:
        """Name the attributes in an index, as a walk returns it in `rights`: bit i is `attributes[i]`."""
        return _held(self.attributes, index)

    def fault(
        self, reason: Reason, access: Access, settings: Settings | None = None, *, level: int = 0
    ) -> tuple[str, int]:
        """Return the exception that a failed walk raises and its code, as `Format.fault` does."""
        return _fault(self.faults, reason, access, settings or self.settings(), self.level_number(level))

    def exception(self, reason: Reason, access: Access) -> Fault:
        """Return the exception that a failed walk raises, as the format describes it."""
        return _exception(self.faults, reason, access)


@functools.lru_cache(maxsize=4096)
def _attributes_for(format_: Format, permissions: str, user: bool, settings: Settings) -> frozenset[str]:
    kinds = {"r": "read", "w": "write", "x": "execute"}
    if not set(permissions) <= set(kinds):
        raise ShootdownError(f"permissions {permissions!r}: some of the letters r, w and x")
    asked = {(kinds[letter], user) for letter in permissions}
    best: tuple[tuple[int, int, int], frozenset[str]] | None = None
    for index in range(1 << len(format_.attributes)):
        held = format_.held(index)
        if _is_refused(format_, held):
            continue
        granted = {(a.kind, a.user) for a in EVERY_ACCESS if format_.allows(a, held, settings)}
        if not asked <= granted or (not user and any(u for _, u in granted)):
            continue
        extra = granted - asked
        cost = (sum(u == user for _, u in extra), len(extra), index.bit_count())
        if best is None or cost < best[0]:
            best = (cost, held)
    if best is None:
        who = "user" if user else "supervisor"
        raise ShootdownError(f"format {format_.name} has no pages that grant {permissions!r} to {who} mode")
    return best[1]


def _is_refused(format_: Format, held: frozenset[str]) -> bool:
    """Whether a leaf with these attributes shows a pattern that must not occur, whatever its other bits are."""
    every = sum(1 << a.leaf for a in format_.attributes if a.leaf is not None)
    entry = sum(1 << a.leaf for a in format_.attributes if a.leaf is not None and a.name in held)
    return any(
        not rule.test.mask & ~every and rule.slot != "table" and not rule.levels and rule.test.holds(entry)
        for rule in format_.refused
    )


def _held(attributes: tuple[Attribute, ...], index: int) -> frozenset[str]:
    return frozenset(a.name for i, a in enumerate(attributes) if index >> i & 1)


def _exception(faults: tuple[Fault, ...], reason: Reason, access: Access) -> Fault:
    return next(
        f
        for f in faults
        if (not f.reasons or reason in f.reasons) and (not f.kinds or access.kind in f.kinds)
    )


def _fault(
    faults: tuple[Fault, ...], reason: Reason, access: Access, settings: Settings, level: int
) -> tuple[str, int]:
    found = _exception(faults, reason, access)
    code = 0
    for part in found.code:
        if (
            (not part.reasons or reason in part.reasons)
            and (not part.kinds or access.kind in part.kinds)
            and (part.user is None or part.user == access.user)
            and (not part.any_of or any(settings[name] for name in part.any_of))
            and (not part.levels or level in part.levels)
        ):
            code |= part.value
            if part.level_shift is not None:
                code |= level << part.level_shift
    return found.name.format(level=level), code
