"""Section 1, rules and levels: what a format says of accesses, faults, levels and addresses has to hold together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from shootdown._compliance import capabilities, entries, twin
from shootdown._compliance.formats import bits_in_words, title_of
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._pagetables.format import EVERY_ACCESS, Deny, Fault, Format, Reason, Settings

#: Linux's names of the levels, from the root.
LINUX = ("pgd", "p4d", "pud", "pmd", "pte")
#: The widths of registers: a root that fills one may hold more or less than an entry.
_REGISTERS = (32, 64)


def _rules_can_apply(subject: Subject) -> Iterator[Said]:
    seen: set[object] = set()
    for format_ in subject.formats:
        title = title_of(subject, format_)
        key = (format_.deny, format_.attributes, format_.settings_known)
        if key not in seen:
            seen.add(key)
            yield from _deny_rules(format_, title)
        yield from _faults(format_, title)


def _deny_rules(format_: Format, title: str) -> Iterator[Said]:
    applied: set[int] = set()
    decided: set[int] = set()
    names = {name for rule in format_.deny for name in (*rule.when, *rule.unless)}
    tried = 0
    for settings in _every_setting(format_, names):
        for access in EVERY_ACCESS:
            for index in range(1 << len(format_.attributes)):
                held = format_.held(index)
                tried += 1
                by = [n for n, rule in enumerate(format_.deny) if rule.applies(access, held, settings)]
                applied.update(by)
                if len(by) == 1:
                    decided.update(by)
    for n, rule in enumerate(format_.deny):
        if n not in applied:
            yield Finding(f"{title}: the rule {_named(rule)} never applies to any access and any page")
        elif n not in decided:
            yield Finding(
                f"{title}: the rule {_named(rule)} decides nothing: other rules refuse all that it does"
            )
    yield Tried(tried, "accesses to pages")


def _every_setting(format_: Format, names: set[str]) -> Iterator[Settings]:
    switches = [
        one.name for one in format_.settings_known if one.name in names and isinstance(one.default, bool)
    ]
    for values in itertools.product((0, 1), repeat=min(len(switches), 8)):
        yield format_.settings(**dict(zip(switches, values, strict=False)))


def _named(rule: Deny) -> str:
    fields = {name: getattr(rule, name) for name in ("kinds", "user", "has", "lacks", "when", "unless")}
    text = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value not in ((), None))
    return f"Deny({text})" + (f" ({rule.why})" if rule.why else "")


def _faults(format_: Format, title: str) -> Iterator[Said]:
    possible = _reasons(format_)
    raised: set[int] = set()
    for reason in possible:
        for access in EVERY_ACCESS:
            raised.update(
                n for n, fault in enumerate(format_.faults) if fault is format_.exception(reason, access)
            )
    for n, fault in enumerate(format_.faults):
        if n not in raised:
            yield Finding(f"{title}: the fault {fault.name!r} is never raised{_why(fault, possible)}")
        for part in fault.code:
            levels = {format_.level_number(level) for level in range(len(format_.levels))}
            if part.levels and not levels & set(part.levels):
                continue  # one row for formats of several depths
    for reason in possible:
        if all(format_.exception(reason, access).name == "" for access in EVERY_ACCESS):
            yield Finding(f"{title}: nothing is raised for: {reason.text}")
    yield Tried(len(format_.faults), "faults")


def _reasons(format_: Format) -> set[Reason]:
    """Return how walks of a format can fail."""
    found = {Reason.NOT_PRESENT, Reason.NO_MEMORY}
    found |= {Reason.PERMISSION} if format_.deny else set()
    found |= {Reason.RESERVED} if format_.reserved or format_.refused else set()
    found |= {Reason.NONCANONICAL} if format_.va_bits < 64 else set()
    found |= {Reason.ADDRESS_SIZE} if format_.output_bits is not None else set()
    found |= {Reason.ACCESS_FLAG} if format_.used is not None and format_.used.hardware is not None else set()
    found |= {Reason.MALFORMED} if format_.next_bits or format_.levels[-1].leaf == "flag" else set()
    return found


def _why(fault: Fault, possible: set[Reason]) -> str:
    if fault.reasons and not possible & set(fault.reasons):
        return f": no walk of this format ends so ({', '.join(reason.text for reason in fault.reasons)})"
    return ": faults before it have all its reasons"


def _levels_make_sense(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        title = title_of(subject, format_)
        names = [row.name for row in format_.levels]
        linux = [row.linux for row in format_.levels]
        if len(set(names)) < len(names):
            yield Finding(f"{title}: two levels have one name: {', '.join(names)}")
        order = [LINUX.index(name) for name in linux if name in LINUX]
        if len(order) < len(linux) or order != sorted(set(order)):
            yield Finding(
                f"{title}: Linux's names are {', '.join(linux)}; they are some of {', '.join(LINUX)}, in this order"
            )
        for row in format_.levels:
            if row.bits < 1:
                yield Finding(f"{title}: {row.bits} address bits index a {row.name}; at least 1 must")
            if row.sizes and row.bits not in row.sizes:
                yield Finding(
                    f"{title}: {row.bits} bits index a {row.name}, which is none of its sizes {row.sizes}"
                )
        if format_.levels[-1].leaf == "never":
            yield Finding(
                f"{title}: no {names[-1]} maps a page: the last level's `leaf` is 'always' or 'flag'"
            )
        for row in format_.levels[:-1]:
            if row.leaf == "always":
                yield Finding(
                    f"{title}: every {row.name} maps a page, so that no walk reaches the levels below it"
                )
        if format_.level_step not in (1, -1):
            yield Finding(
                f"{title}: level_step is {format_.level_step}; a manual counts levels up or down by 1"
            )
        yield from _addresses_fit(format_, title)
        yield Tried(len(format_.levels), "levels")


def _addresses_fit(format_: Format, title: str) -> Iterator[Said]:
    """Find holes in addresses, and address bits below what tables are aligned to."""
    for level, part in entries.slots(format_):
        row = format_.levels[level]
        pieces = (row.leaf_address if part == "leaf" else None) or format_.address
        if part == "leaf":
            lowest = twin.spans(format_)[level]
        else:
            below = format_.levels[level + 1]
            sizes = below.sizes if format_.next_bits and below.sizes else (below.bits,)
            lowest = (format_.entry_bytes << min(sizes)).bit_length() - 1
        finest = min(format_.table_bytes(n) for n in range(1, len(format_.levels))) if part == "table" else 0
        below_tables = (
            entries.address_bits(pieces, 0) & (finest - 1) if finest and not format_.next_bits else 0
        )
        if below_tables:
            yield Finding(
                f"{title}: {entries.where(format_, level, part)} has address "
                f"{bits_in_words(below_tables)}, but no table is "
                f"smaller than {finest} bytes or lies at less than a multiple of that"
            )
        held = entries.address_bits(pieces, lowest)
        place = f"{title}: {entries.where(format_, level, part)}"
        if not held:
            yield Finding(f"{place} holds no address bit from {lowest} on")
            continue
        first = (held & -held).bit_length() - 1
        if part == "leaf" and first > lowest:
            yield Finding(
                f"{place} lacks address bits {lowest} to {first - 1}, but a page of it is aligned to 2**{lowest}"
            )
        if part == "table" and first > max(lowest, format_.page_shift):
            yield Finding(
                f"{place} lacks address bits {lowest} to {first - 1}, but the next table is aligned to 2**{lowest}"
            )
        holes = ((1 << held.bit_length()) - 1) & ~((1 << first) - 1) & ~held
        if holes:
            yield Finding(f"{place} lacks address {bits_in_words(holes)} between those that it has")
        if len(pieces) == 2 and pieces[0].read(pieces[0].mask) & pieces[1].read(pieces[1].mask):
            yield Finding(f"{place} has one address bit in both pieces of its address")


def _roots_fit(subject: Subject) -> Iterator[Said]:
    # One register takes the roots of all formats.
    aligned = min((_first_bit(entries.address_bits(one.address, 0)) for one in subject.formats), default=0)
    for format_ in subject.formats:
        title = title_of(subject, format_)
        size = format_.table_bytes(0)
        first = _first_bit(format_.root_mask)
        if format_.root_mask <= 0:
            yield Finding(f"{title}: root_mask is {format_.root_mask:#x}: no root has an address")
            continue
        if 1 << first > max(size, 1 << format_.page_shift):
            yield Finding(
                f"{title}: root_mask begins at bit {first}, but a top table has {size} bytes and may "
                "lie at any multiple of that"
            )
        least = min(size.bit_length() - 1, aligned)
        if first < least:
            yield Finding(
                f"{title}: root_mask lets {bits_in_words((1 << least) - (1 << first))} through: a top table has "
                f"{size} bytes, and no table lies at less than a multiple of {1 << least}"
            )
        top = format_.root_mask.bit_length()
        if ((1 << top) - (1 << first)) & ~format_.root_mask:
            yield Finding(f"{title}: root_mask {format_.root_mask:#x} has holes")
        address = entries.address_bits(format_.address, 0)
        if len(format_.levels) > 1 and top not in (address.bit_length(), *_REGISTERS):
            which = "below" if top < address.bit_length() else "above"
            yield Finding(
                f"{title}: root_mask ends at bit {top - 1}, {which} what entries can point to: bit "
                f"{address.bit_length() - 1}"
            )
        yield Tried(1, "roots")


def _first_bit(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


_NEEDS = (capabilities.formats,)

STATEMENTS = (
    Statement(
        "1.6",
        "Every Deny decides about some access, and every Fault is raised by some walk",
        "A rule that never applies was meant to say something that the format does not say now.",
        "Look for a setting, an attribute or an access that contradicts another one of the same "
        "rule, and for a rule before "
        "it that takes all its cases.",
        _rules_can_apply,
        _NEEDS,
    ),
    Statement(
        "1.7",
        "Levels have names, sizes and addresses that fit together",
        "A hole in an address mask drops an address bit of every page; a level without leaves at the "
        "end maps nothing.",
        "Compare `levels`, `page_shift` and `address` with the manual's figures of the address and of the entry.",
        _levels_make_sense,
        _NEEDS,
    ),
    Statement(
        "1.8",
        "A root register holds the address of any top table",
        "A root whose low bits are cut off is another table; so is one with bits of the register that are no address.",
        "`root_mask` begins at log2 of the size of the top table, or at the alignment that the manual asks for. It "
        "ends where addresses in entries do, or where the register does: if not, one of the two has another width.",
        _roots_fit,
        _NEEDS,
    ),
)
