"""Section 4, counts: the instructions that a flush counts beside what it drops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shootdown._compliance import capabilities
from shootdown._compliance.lowered import Flush, Machine
from shootdown._compliance.protocol import Followed, every_flush
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._machine import ops as o
from shootdown._machine.steps.table import steps_that

_DROPS = (o.SEND, o.FLUSH_SELF)
#: Steps between a count and the drop that it belongs to; a branch on how much goes is taken before both.
_BETWEEN = {o.EXECUTE, o.NOTE, o.WORK, o.JUMP_WHOLE} | steps_that(lambda row: row.targets == "all")


class _Drop(NamedTuple):
    """A step that drops translations, and what was counted for it.

    Args:
        ranged: it drops a range; else everything.
        names: the instructions.
        site: the line that wrote it.
    """

    ranged: bool
    names: frozenset[str]
    site: str


def _drops(flush: Flush, paths: Followed) -> Iterator[_Drop]:
    """Yield the drops of which the steps say how much goes, with the counts right before each."""
    rows = flush.rows()
    for pc in flush.own:
        ways = paths.ranged.get(pc, set())
        if rows[pc][0] not in _DROPS or len(ways) != 1 or None in ways:
            continue
        names: set[str] = set()
        before = pc - 1
        while before in flush.own and rows[before][0] in _BETWEEN:
            if rows[before][0] == o.EXECUTE:
                names.add(flush.code.instructions[rows[before][1]])
            before -= 1
        yield _Drop(True in ways, frozenset(names), str(flush.code.sites[pc] or ""))


def _what_drops_everything_is_counted_there(subject: Subject) -> Iterator[Said]:
    every = every_flush(subject)
    told: dict[str, str] = {}
    drops: dict[Machine, list[tuple[Flush, _Drop]]] = {}
    for machine, flush, paths in every:
        drops.setdefault(machine, []).extend((flush, drop) for drop in _drops(flush, paths))
    for machine, its in drops.items():
        alone, with_ranges = (
            {drop.names for _, drop in its if drop.ranged is ranged} for ranged in (False, True)
        )
        whole = {name for names in alone - with_ranges if len(names) == 1 for name in names}
        for flush, drop in its:
            for name in sorted(whole & drop.names) if drop.ranged else ():
                site = f" ({drop.site})" if drop.site else ""
                told.setdefault(
                    name,
                    f"{machine.where}: {flush.request.name}: {name} is counted where a range is dropped{site}; where "
                    "it is counted alone, everything is: the flush drops more, or executes less",
                )
    for text in told.values():
        yield Finding(f"{subject.plugin}: {text}")
    yield Tried(len(every), "flushes, with what they count for each drop")


STATEMENTS = (
    Statement(
        "4.6",
        "An instruction that drops everything is counted only where everything is dropped",
        "A range that is invalidated page by page and then with everything else has two counts, and the model drops "
        "one of them.",
        "Count in `count_pages()` what a range takes, and in `count_all()` what everything takes. If one name stands "
        "for two instructions, give each its own.",
        _what_drops_everything_is_counted_there,
        (capabilities.flushes,),
    ),
)
