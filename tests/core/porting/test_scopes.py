"""What an instruction drops becomes the scope of a flush."""

from __future__ import annotations

import pytest

from shootdown.porting import NOTHING, FlushScope, ops, scope_of


@pytest.mark.parametrize(
    ("rule", "scope"),
    [
        (FlushScope(), ops.SCOPE_BOTH),
        (FlushScope(start=0, walk_cache="leading-to-va"), ops.SCOPE_BOTH),
        (FlushScope(start=0, walk_cache="none"), ops.SCOPE_LEAF),
        (FlushScope(leaf=False), ops.SCOPE_WALK),
        (NOTHING, 0),
    ],
)
def test_a_scope_says_of_which_caches_entries_go(rule: FlushScope, scope: int) -> None:
    assert scope_of(rule) == scope
