"""What forks and exits that race leave open in a measured window; docs/reference/model.md says it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shootdown.measured import RACING_EXITS, Row, forks_of, syncs_of


def row(workload: str, **fields: Any) -> Row:
    return Row(1, "x86", "7.0", workload, 4, fields, {})


def case(unshare_sync: str) -> Any:
    return SimpleNamespace(kernel=SimpleNamespace(unshare_sync=unshare_sync))


@pytest.mark.parametrize(
    ("asked", "forks"),
    [
        (row("fork_storm", M=30), 30),
        (row("hugetlb_shared", step="fork", k=3), 3),
        (row("hugetlb_shared", step="munmap", k=3), 0),
        (row("anonymous", pages=1), 0),
    ],
)
def test_a_storm_forks_all_its_children_and_the_step_fork_those_of_one_row(asked: Row, forks: int) -> None:
    assert forks_of(asked) == forks


def test_children_that_exit_at_once_send_from_one_sync_to_one_each() -> None:
    together = row("fork_storm", M=30, conc=8)
    assert syncs_of(together, 30, 1, case("last-sharer")) == (1, 30)
    assert syncs_of(together, 90, 3, case("last-sharer")) == (3, 90)


def test_nobody_races_where_one_exits_after_another_or_each_sends_its_own() -> None:
    assert syncs_of(row("fork_storm", M=30), 30, 1, case("last-sharer")) == 30
    assert syncs_of(row("fork_storm", M=30, conc=8), 30, 1, case("per-table")) == 30
    assert syncs_of(row("fork_storm", M=30, conc=8), 0, 1, case("last-sharer")) == 0


def test_both_counts_of_syncs_are_open_for_the_same_reason() -> None:
    assert [one.count for one in RACING_EXITS] == ["sync_broadcasts", "sync_ipis"]
    assert len({one.reason for one in RACING_EXITS}) == 1
