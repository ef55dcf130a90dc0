"""Which changes make the difference between two kernels: each is turned back by itself, then as few as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from shootdown._values.changes import Change

Changes = tuple[Change, ...]


@attrs.frozen
class Blame:
    """The commits that make a difference.

    Args:
        changes: in the order of the table.
        together: no single one of them, turned back, gives the old value; all of them do, and no fewer. Otherwise each
            one by itself gives the old value.
    """

    changes: Changes = ()
    together: bool = False

    @property
    def commits(self) -> tuple[str, ...]:
        """What the changes are called, each once."""
        return tuple(dict.fromkeys(map(called, self.changes)))


def called(change: Change) -> str:
    """Return what a change is called: its commit, or `proposal:NAME`."""
    return f"proposal:{change.proposal}" if change.proposal else change.commit


def moved(before: Sequence[Change], after: Sequence[Change]) -> Changes:
    """Return the changes that only one of two kernels has."""
    old, new = set(map(id, before)), set(map(id, after))
    gone = [change for change in before if id(change) not in new]
    return (*gone, *(change for change in after if id(change) not in old))


def blame(
    before: Sequence[Change],
    after: Sequence[Change],
    value: Callable[[Changes], Any],
    *,
    among: Sequence[Change] | None = None,
    whole: bool = False,
) -> Blame:
    """Find the changes that make a value of two kernels differ.

    Args:
        before, after: the changes that the kernels have.
        value: returns the value on the kernel that has these changes.
        among: look at these only; turned back together they give the old value.
        whole: return a set that together gives the old value, even if one change by itself does.

    Returns:
        Those that by themselves, turned back, give the old value; if there are none, a set of changes that together do
        and of which none can be left out. Empty if the values are equal.
    """
    old = value(tuple(before))
    if value(tuple(after)) == old:
        return Blame()
    groups = _by_commit(moved(before, after) if among is None else among)

    def gives_the_old(back: Sequence[Changes]) -> bool:
        return bool(value(turned_back(before, after, [change for group in back for change in group])) == old)

    alone = [] if whole else [group for group in groups if gives_the_old([group])]
    if alone:
        return Blame(tuple(change for group in alone for change in group))
    kept = list(groups)
    size = len(kept) // 2
    while size:  # large parts first: most of many changes have nothing to do with it
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            if len(fewer) < len(kept) and gives_the_old(fewer):
                kept = fewer
                break
        else:
            size //= 2
    return Blame(tuple(change for group in kept for change in group), together=len(kept) > 1)


def turned_back(before: Sequence[Change], after: Sequence[Change], back: Sequence[Change]) -> Changes:
    """Return the changes of the later kernel, but for these as the earlier one has them."""
    old, new, named = (set(map(id, changes)) for changes in (before, after, back))
    kept = [change for change in after if id(change) not in named or id(change) in old]
    return (*kept, *(change for change in before if id(change) in named and id(change) not in new))


def _by_commit(changes: Sequence[Change]) -> list[Changes]:
    """Group the rows of one commit: an architecture's table can have one of mm/ too."""
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(called(change), []).append(change)
    return [tuple(group) for group in groups.values()]
