"""A commit is to blame if turning it back gives the old value; where none is, as few as possible together."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from shootdown import Change
from shootdown._questions.blame import Blame, Changes, blame, called, moved, turned_back

ALL = tuple(Change(commit=name, subject=name, mainline="6.1", sets={}) for name in "abcdefgh")
A, B, C, D = ALL[:4]


def names(changes: Changes) -> set[str]:
    return {change.commit for change in changes}


def when(*needed: str) -> Callable[[Changes], bool]:
    """Return the value of a kernel that does it if it has all of these commits."""
    return lambda changes: set(needed) <= names(changes)


def test_a_commit_that_alone_makes_the_difference_is_found() -> None:
    found = blame((), ALL, when("c"))
    assert found == Blame((C,), together=False)
    assert found.commits == ("c",)


def test_of_commits_that_only_work_together_each_one_is_named() -> None:
    found = blame((), ALL, when("b", "d"))
    assert found.commits == ("b", "d")
    assert not found.together


def test_commits_of_which_each_is_enough_are_to_blame_together() -> None:
    found = blame((), ALL, lambda changes: bool(names(changes) & {"b", "d"}))
    assert found.commits == ("b", "d")
    assert found.together


def test_equal_values_have_nobody_to_blame() -> None:
    assert blame((A,), ALL, lambda changes: 7) == Blame()


def test_a_commit_that_the_later_kernel_lacks_can_be_to_blame() -> None:
    """A fix of one stable series is not in the next mainline release."""
    assert moved((A, B), (B, C)) == (A, C)
    assert blame((A, B), (B, C), when("a")).commits == ("a",)


def test_two_rows_of_one_commit_are_turned_back_together() -> None:
    core, own = (Change(commit="x", subject=text, mainline="6.1", sets={}) for text in ("core", "own"))
    found = blame((), (A, core, own), lambda changes: core in changes or own in changes)
    assert found.commits == ("x",)
    assert not found.together


def test_a_proposal_is_called_by_its_name() -> None:
    change = Change(commit="v4", subject="", mainline=None, sets={}, proposal="targeted-sync")
    assert called(change) == "proposal:targeted-sync"


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.sets(st.sampled_from("abcdefgh"), min_size=1))
def test_what_is_to_blame_gives_the_old_value_and_no_part_of_it_does(one: set[str], other: set[str]) -> None:
    def value(changes: Changes) -> tuple[bool, bool]:
        return bool(names(changes) & one), other <= names(changes)

    found = blame((), ALL, value)
    old = value(())
    assert found.changes
    if not found.together:
        for change in found.changes:
            assert value(turned_back((), ALL, [change])) == old
        return
    assert value(turned_back((), ALL, found.changes)) == old
    for n in range(len(found.changes)):
        fewer = found.changes[:n] + found.changes[n + 1 :]
        assert value(turned_back((), ALL, fewer)) != old
