"""Kernel functions that a release calls otherwise than the one before."""

from __future__ import annotations

import attrs

from shootdown._values.errors import ShootdownError
from shootdown._values.series import parse_release


@attrs.frozen
class Rename:
    """One function that got another name.

    Args:
        before, after: its names.
        since: the series that has the later one.
        source: the commit, or the subject of the change.
        written: the name under which it is written here.
    """

    before: str
    after: str
    since: str
    source: str
    written: str


_GUP = "23babe1934d7 mm/gup: consistently name GUP-fast functions"
RENAMES = (
    Rename("lockless_pages_from_mm", "gup_fast", "6.10", _GUP, "gup_fast"),
    Rename("gup_pgd_range", "gup_fast_pgd_range", "6.10", _GUP, "gup_fast_pgd_range"),
    Rename("gup_pte_range", "gup_fast_pte_range", "6.10", _GUP, "gup_fast_pte_range"),
    Rename(
        "try_get_and_clear_pmd",
        "zap_empty_pte_table",
        "7.2",
        "mm: move pte table reclaim code to memory.c (in 7.2.13's mm/memory.c, and its mm/pt_reclaim.c is gone)",
        "try_get_and_clear_pmd",
    ),
)
_BY_NAME = {name: one for one in RENAMES for name in (one.before, one.after)}


def written_as(name: str) -> str:
    """Return the name under which a function is written here, from one that some release gives it."""
    one = _BY_NAME.get(name)
    return name if one is None else one.written


def outdated(name: str, release: str) -> Rename | None:
    """Return the rename because of which a release has no function of this name, if there is one.

    Args:
        name: of a function.
        release: the release; a kernel without a release of its own has functions by all their names.
    """
    one = _BY_NAME.get(name)
    if one is None or name != one.before:
        return None
    try:
        return one if parse_release(release)[0].key >= parse_release(one.since)[0].key else None
    except ShootdownError:
        return None
