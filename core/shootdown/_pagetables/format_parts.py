"""The parts of a page-table format: frozen values, each of which states one rule of a manual.

Levels count from the root, which is 0; bits count from the least significant, which is 0, in an entry that
has already been read in the format's byte order.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import attrs

from shootdown._pagetables.format_settings import Settings
from shootdown._values.checked import Between, checked
from shootdown._values.sites import mistake

Kind = Literal["read", "write", "execute"]
Slot = Literal["any", "table", "leaf"]
#: All bits of an entry.
WORD = (1 << 64) - 1
KINDS: tuple[Kind, ...] = ("read", "write", "execute")


def bit(position: int) -> int:
    """Return the mask of one bit."""
    return 1 << position


def bits(low: int, high: int) -> int:
    """Return the mask of the bits from `low` to `high`, both included.

    Raises:
        MistakeError: `high` is below `low`.
    """
    if high < low:
        raise mistake(f"bits({low}, {high}): the lower bit comes first, and both are included")
    return (1 << (high + 1)) - (1 << low)


class Reason(enum.IntEnum):
    """How a walk ended. The numbers are what kernels return."""

    OK = 0
    NOT_PRESENT = 1
    PERMISSION = 2
    RESERVED = 3
    NONCANONICAL = 4
    ADDRESS_SIZE = 5
    ACCESS_FLAG = 6
    MALFORMED = 7  # the levels are used up without a leaf, or an entry names an impossible next table
    NO_MEMORY = 8  # a table lies where there is no physical memory

    @property
    def text(self) -> str:
        """The reason in words, for a person."""
        return _REASON_TEXTS[self]


_REASON_TEXTS = {
    Reason.OK: "translated",
    Reason.NOT_PRESENT: "not present",
    Reason.PERMISSION: "permission",
    Reason.RESERVED: "reserved bit set",
    Reason.NONCANONICAL: "non-canonical address",
    Reason.ADDRESS_SIZE: "output address too large",
    Reason.ACCESS_FLAG: "accessed or dirty flag clear",
    Reason.MALFORMED: "malformed tree of tables",
    Reason.NO_MEMORY: "table outside of physical memory",
}


@attrs.frozen(field_transformer=checked)
class Access:
    """An access whose address is translated.

    Args:
        kind: a data read, a data write or an instruction fetch.
        user: made in user mode (CPL 3, EL0, problem state, U-mode); else in supervisor mode.
    """

    kind: Kind = attrs.field(default="read", validator=attrs.validators.in_(KINDS))
    user: bool = True


USER_READ = Access()
EVERY_ACCESS: tuple[Access, ...] = tuple(Access(kind, user) for user in (True, False) for kind in KINDS)


@attrs.frozen(field_transformer=checked)
class Test:
    """A condition on an entry: `entry & mask == value`."""

    __test__ = False  # pytest collects classes whose names begin so

    mask: Annotated[int, Between(0, WORD)]
    value: Annotated[int, Between(0, WORD)]

    def holds(self, entry: int) -> bool:
        """Whether an entry meets the condition."""
        return entry & self.mask == self.value


@attrs.frozen(field_transformer=checked)
class Piece:
    """A part of an address as it lies in an entry: `(entry & mask) << up >> down` are its address bits.

    Args:
        mask: its bits in the entry.
        up: how many places they move up, 0 to 63: PFNs that lie below bit 12, as riscv's.
        down: how many places they move down, 0 to 63: PFNs that lie above bit 12, as MIPS's, 0 where `up` is not.

    Raises:
        MistakeError: the bits move both up and down.
    """

    mask: Annotated[int, Between(0, WORD)]
    up: Annotated[int, Between(0, 63)] = 0
    down: Annotated[int, Between(0, 63)] = attrs.field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.up and self.down:
            raise mistake(
                f"piece: its bits move up by {self.up} and down by {self.down}; one of the two is 0"
            )

    def read(self, entry: Any) -> Any:
        """Return the address bits that lie in an entry, an int, or in each of an array of uint64."""
        return (entry & self.mask) << self.up >> self.down

    def written(self, address: Any) -> Any:
        """Return the bits of an entry that hold an address, or each of an array, as far as they can."""
        return address << self.down >> self.up & self.mask


def address_in(pieces: tuple[Piece, ...], entry: int) -> int:
    """Return the address that lies in the pieces of an entry."""
    address = 0
    for piece in pieces:
        address |= piece.read(entry)
    return address


def entry_with(pieces: tuple[Piece, ...], address: int) -> int:
    """Return the bits of an entry that hold an address, as far as its pieces can."""
    entry = 0
    for piece in pieces:
        entry |= piece.written(address)
    return entry


@attrs.frozen(field_transformer=checked)
class Level:
    """One level of tables.

    Args:
        name: the manual's name of an entry, such as `PDE`.
        linux: Linux's name of the level, such as `pmd`.
        bits: how many address bits index the table.
        leaf: whether an entry maps a page: `never`, `always`, or by the format's `points_to_table`.
        leaf_needs: a setting without which this level has no leaves, whatever the entry says.
        leaf_bits: bits set in each leaf written here, where they differ from the format's.
        table_bits: bits set in each entry written here that points to a table, likewise.
        leaf_address: where the address lies in a leaf, where it differs from the format's `address`.
        present: when an entry is present, where it differs from the format's.
        leaf_present: a further test of entries that map a page: those of which it does not hold are absent. For
            formats whose tables need no valid bit, such as LoongArch's (a huge page is valid if V is set).
        global_page: when a leaf here belongs to all address spaces, where it differs from the format's: LoongArch's
            huge pages have another bit for it than PTEs.
        empty: the entry that maps nothing, with which new tables are filled and which unmapping writes: 0, or the
            invalid bit where entries have one (s390's I).
        attributes: entries that point to tables carry permissions and an accessed flag (PAE's PDPTEs do not).
        sizes: where entries hold the size of the next table (`Format.next_bits`): what `bits` a table of this
            level may have; any where empty.
    """

    name: str
    linux: str
    bits: Annotated[int, Between(0, 48)]
    leaf: Literal["never", "flag", "always"]
    leaf_needs: str | None = None
    leaf_bits: int | None = None
    table_bits: int | None = None
    leaf_address: tuple[Piece, ...] | None = None
    present: Test | None = None
    attributes: bool = True
    leaf_present: Test | None = attrs.field(default=None, kw_only=True)
    global_page: Test | None = attrs.field(default=None, kw_only=True)
    empty: Annotated[int, Between(0, WORD)] = attrs.field(default=0, kw_only=True)
    sizes: tuple[int, ...] = ()


@attrs.frozen(field_transformer=checked)
class Attribute:
    """One permission attribute of a translation and how the tables on the way contribute to it.

    Args:
        name: the manual's word, such as `writable`.
        leaf: its bit in a leaf; None where only tables carry it.
        table: its bit in an entry that points to a table; None where only leaves carry it.
        combine: `and`: set only if set everywhere; `or`: set if set anywhere; `and-not`: set in the leaf, and
            removed by any table that has its bit set.
    """

    name: str
    leaf: int | None
    table: int | None = None
    combine: Literal["and", "or", "and-not"] = "and"


@attrs.frozen(field_transformer=checked)
class Deny:
    """A rule that refuses accesses. What no rule refuses is allowed.

    A rule applies if the access matches, all attributes in `has` are set, all in `lacks` are clear, all
    settings in `when` are on and none in `unless` is.

    Args:
        kinds: the kinds of access; all where empty.
        user: user mode alone, supervisor mode alone, or both (None).
        has: attributes that must be set.
        lacks: attributes that must be clear.
        when: settings that must be on.
        unless: settings that must be off.
        why: manual and section.
    """

    kinds: tuple[Kind, ...] = ()
    user: bool | None = None
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    why: str = ""

    def applies(self, access: Access, held: frozenset[str], settings: Settings) -> bool:
        """Whether the rule refuses this access to a page with these attributes."""
        return (
            (not self.kinds or access.kind in self.kinds)
            and (self.user is None or self.user == access.user)
            and held.issuperset(self.has)
            and held.isdisjoint(self.lacks)
            and settings.meet(self.when, self.unless)
        )


@attrs.frozen(field_transformer=checked)
class Reserved:
    """Bits of a present entry that must be zero.

    Args:
        mask: the bits.
        levels: names of the levels; all where empty.
        slot: in entries that point to tables, in leaves, or in both.
        above: the name of a setting that holds a number of address bits: of `mask`, only bits from there up.
        above_shift: added to that number, where an entry keeps the address shifted.
        when: settings that must be on for the bits to be reserved.
        unless: settings that must be off.
        why: manual and section.
    """

    mask: Annotated[int, Between(0, WORD)]
    levels: tuple[str, ...] = ()
    slot: Slot = "any"
    above: str | None = None
    above_shift: int = 0
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    why: str = ""

    def effective(self, settings: Settings) -> int:
        """Return the mask under these settings, 0 where the rule is off."""
        if not settings.meet(self.when, self.unless):
            return 0
        if self.above is None:
            return self.mask
        return self.mask & ~((1 << max(0, settings[self.above] + self.above_shift)) - 1)


@attrs.frozen(field_transformer=checked)
class Refused:
    """A pattern that no present entry may show, such as riscv's writable without readable.

    Args:
        test: the pattern.
        levels: names of the levels; all where empty.
        slot: in entries that point to tables, in leaves, or in both.
        why: manual and section.
    """

    test: Test
    levels: tuple[str, ...] = ()
    slot: Slot = "any"
    why: str = ""


@attrs.frozen(field_transformer=checked)
class Contiguous:
    """A run of neighbouring leaves that translates as one larger page.

    Args:
        level: the level's name.
        test: the mark in an entry.
        bits: log2 of how many entries make a run.
        napot: the entry's own address bits within the run encode its size and are replaced by the address's
            (riscv Svnapot); otherwise each entry holds its own address (arm64).
    """

    level: str
    test: Test
    bits: Annotated[int, Between(1, 48)]
    napot: bool = False


@attrs.frozen(field_transformer=checked)
class UsedFlags:
    """The accessed and dirty flags.

    Args:
        accessed: the bit set in each entry that a translation used.
        on_tables: entries that point to tables have it too.
        dirty_set: bits set in the leaf by a write.
        dirty_clear: bits cleared in the leaf by a write (arm64's AP[2] under DBM).
        hardware: the setting under which hardware writes the flags; None: always. Where it does not, a clear
            flag is a fault (`Reason.ACCESS_FLAG`).
        before_permission: that fault comes before a permission fault.
    """

    accessed: Annotated[int, Between(0, WORD)]
    on_tables: bool
    dirty_set: Annotated[int, Between(0, WORD)] = 0
    dirty_clear: Annotated[int, Between(0, WORD)] = 0
    hardware: str | None = None
    before_permission: bool = False


@attrs.frozen(field_transformer=checked)
class CodeBit:
    """Part of a fault's code: `value` is in it if the reason, the access and the settings match.

    Args:
        value: the bits.
        reasons: the reasons; all where empty.
        kinds: the kinds of access; all where empty.
        user: user mode alone, supervisor mode alone, or both (None).
        any_of: settings of which one at least must be on; none needed where empty.
        level_shift: adds the level's number (`Format.level_number`) shifted so far.
        levels: numbers of the levels; all where empty.
    """

    value: int
    reasons: tuple[Reason, ...] = ()
    kinds: tuple[Kind, ...] = ()
    user: bool | None = None
    any_of: tuple[str, ...] = ()
    level_shift: int | None = None
    levels: tuple[int, ...] = ()


@attrs.frozen(field_transformer=checked)
class Fault:
    """One exception.

    Args:
        name: the manual's; `{level}` in it stands for the level's number.
        reasons: the reasons that raise it; if empty, all that no fault before it has.
        code: the parts that its code is made of.
        kinds: the kinds of access that raise it; all where empty.
        code_name: what the manual calls the code, or the register that holds it.
    """

    name: str
    reasons: tuple[Reason, ...] = ()
    code: tuple[CodeBit, ...] = ()
    kinds: tuple[Kind, ...] = ()
    code_name: str = "code"


@attrs.frozen(field_transformer=checked)
class BitField:
    """A named field of an entry, for a person to read.

    Args:
        name: the manual's, or Linux's where the manual leaves the bits to software.
        mask: the bits.
        slot: in entries that point to tables, in leaves, or in both.
        levels: names of the levels; all where empty.
        software: hardware never looks at it.
    """

    name: str
    mask: Annotated[int, Between(1, WORD)]
    slot: Slot = "any"
    levels: tuple[str, ...] = ()
    software: bool = False
