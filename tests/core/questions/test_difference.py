"""Difference: switches with their commits, and for each count, time and verdict the commits that are to blame."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

import shootdown
from shootdown import ShootdownError
from shootdown._questions import trials as t
from shootdown._questions.difference import diff
from shootdown._questions.differing import Difference, Differs

QEMU = {"arch": ("x86",), "platforms": ("qemu-tcg",)}


@functools.cache
def between(before: str, after: str, *programs: str, arch: str = "x86") -> Difference:
    """Return a difference on four CPUs, worked out once."""
    return diff(before, after, programs, arch=[arch], platforms=["qemu-tcg"])


def row(found: Difference, name: str) -> Differs:
    (one,) = (row for row in found.rows if row.name == name)
    return one


def test_a_switch_that_moved_has_its_values_and_its_commit() -> None:
    found = between("6.16", "7.0", "hugetlb-munmap")
    assert [switch.to_dict() for switch in found.switches] == [
        {
            "name": "unshare_sync",
            "from": "per-table",
            "to": "last-sharer",
            "commit": "8ce720d5bd91",
            "commits": ["8ce720d5bd91"],
            "arch": ["x86"],
        },
        {
            "name": "unshare_gather",
            "from": False,
            "to": True,
            "commit": "8ce720d5bd91",
            "commits": ["8ce720d5bd91"],
            "arch": ["x86"],
        },
        {
            "name": "madvise_locks_vma",
            "from": False,
            "to": True,
            "commit": "a6fde7add78d",
            "commits": ["a6fde7add78d"],
            "arch": ["x86"],
        },
        {
            "name": "switch_mm_orders_tlb_gen",
            "from": False,
            "to": True,
            "commit": "83b0177a6c48",
            "commits": ["83b0177a6c48"],
            "arch": ["x86"],
        },
    ]


def test_a_switch_that_two_commits_moved_names_the_last_one_and_both() -> None:
    found = between("6.15", "7.0", "hugetlb-munmap")
    (switch,) = (switch for switch in found.switches if switch.name == "unshare_sync")
    assert (switch.commit, switch.commits) == ("8ce720d5bd91", ("1013af4f585f", "8ce720d5bd91"))


def test_a_switch_that_follows_from_others_has_the_commit_that_selects_it() -> None:
    """PT_RECLAIM selects the freeing of tables by RCU: without PARAVIRT there was none before."""
    found = diff("5.10", "6.15", ["hugetlb-munmap"], settings=["kernel.paravirt=false"], **QEMU)
    assert found.set == {"kernel.paravirt": "false"}
    assert {switch.name: switch.commit for switch in found.switches}["pt_reclaim"] == "4817f70c25b6"


def test_each_count_that_differs_has_the_commit_that_is_to_blame() -> None:
    found = between("6.15", "6.18", "hugetlb-munmap", "hugetlb-madvise")
    blamed = {(row.program, row.name): row.blame.commits for row in found.rows}
    assert blamed["hugetlb-munmap", "sync_ipis"] == ("1013af4f585f",)
    assert blamed["hugetlb-madvise", "sync_ipis"] == ("1013af4f585f",)
    assert blamed["hugetlb-madvise", "gathers"] == ("43c4cfde7e37",)
    assert ("hugetlb-munmap", "gathers") not in blamed


def test_commits_of_which_none_alone_gives_the_old_count_are_to_blame_together() -> None:
    """7.0 has fewer syncs than 6.16 and more than 6.15: without 8ce720d5bd91 there would be even more."""
    found = row(between("6.15", "7.0", "hugetlb-munmap"), "sync_broadcasts")
    assert (found.before, found.after) == (0, 1)
    assert found.blame.commits == ("1013af4f585f", "8ce720d5bd91")
    assert found.blame.together
    assert found.alone == {"1013af4f585f": 1, "8ce720d5bd91": 4}


def test_times_differ_too_and_have_their_ranges() -> None:
    found = row(between("6.16", "7.0", "hugetlb-munmap"), "elapsed_ns")
    assert found.blame.commits == ("8ce720d5bd91",)
    value = found.to_dict()
    assert value["from"]["likely"] > value["to"]["likely"]
    assert set(value["to"]) == {"low", "likely", "high"}


def test_a_verdict_that_differs_has_its_commit() -> None:
    found = diff("7.0", "7.1", ["unshare-walk-cache"], arch=["arm64"], platforms=["neoverse-v2"])
    assert [one.to_dict() for one in found.rows] == [
        {
            "program": "unshare-walk-cache",
            "arch": "arm64",
            "platform": "neoverse-v2",
            "name": "verdict",
            "from": "bug walk-cache",
            "to": "safe",
            "commits": ["c2ff4764e03e"],
            "together": False,
            "alone": {"c2ff4764e03e": "bug walk-cache"},
            "timing": False,
        }
    ]


def test_a_call_that_the_earlier_kernel_lacks_is_a_difference() -> None:
    found = row(between("5.15", "5.16", "hugetlb-mremap"), "supported")
    assert (found.before, found.after, found.blame.commits) == (False, True, ("550a7d60bd5e",))


def test_backwards_is_the_same_with_the_sides_exchanged() -> None:
    there, back = between("6.16", "7.0", "hugetlb-exit"), between("7.0", "6.16", "hugetlb-exit")
    assert [(one.name, one.before, one.after, one.blame.commits) for one in there.rows] == [
        (one.name, one.after, one.before, one.blame.commits) for one in back.rows
    ]


def test_a_fix_that_mainline_lacks_is_found_where_it_is_missing() -> None:
    """6.12.118 moves 4 GiB of hugetlb; 7.3, which is newer, does not."""
    (moved,) = (
        one
        for one in between("6.12.118", "7.3", "hugetlb-exit").switches
        if one.name == "hugetlb_mremap_in_int"
    )
    assert (moved.before, moved.after, moved.commit) == (False, True, "6.12.118")


def test_a_proposal_is_named_as_what_is_to_blame() -> None:
    found = between("7.0", "proposal:skip-redundant-sync@7.0", "hugetlb-munmap")
    assert row(found, "sync_ipis").blame.commits == ("proposal:skip-redundant-sync",)


def test_kernels_that_give_a_program_the_same_machine_need_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "simulate", lambda case: pytest.fail("it ran"))
    monkeypatch.setattr(t, "explore_case", lambda case, **_: pytest.fail("it was searched"))
    found = diff("6.17", "6.18", ["hugetlb-munmap", "unshare-gup"], **QEMU)
    assert found.rows == ()
    assert [(one.differs, one.reason) for one in found.tried] == [
        (False, "both kernels give it the same machine: nothing was run")
    ] * 2


def test_without_programs_everything_that_is_installed_is_tried() -> None:
    from shootdown._plugins.registry import registry

    found = between("6.17", "6.17.3")
    installed = (*registry().workloads(), *registry().scenarios())
    assert [one.program for one in found.tried] == list(installed)
    assert found.switches == found.rows == ()


def test_a_search_that_is_no_matter_of_seconds_is_given_up_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shootdown._questions.difference.QUICK_STATES", 30)
    found = diff("6.18", "6.19", **QEMU)
    (flush,) = (one for one in found.tried if one.program == "nested-flush")
    assert flush.differs is None
    assert "the bound was hit" in str(flush.reason)


def test_two_releases_without_a_switch_between_them_differ_in_nothing() -> None:
    found = between("6.17", "6.17.3", "hugetlb-munmap")
    assert (found.switches, found.rows, found.changes) == ((), (), {})


def test_all_of_it_is_json() -> None:
    value: dict[str, Any] = json.loads(json.dumps(between("6.15", "7.0", "hugetlb-munmap").to_dict()))
    assert set(value) >= {"switches", "rows", "tried"}
    assert all({"name", "from", "to", "commit"} <= set(switch) for switch in value["switches"])
    assert all({"program", "name", "from", "to", "commits"} <= set(row) for row in value["rows"])


def test_what_compare_says_of_the_two_kernels_is_what_differs() -> None:
    found = between("6.12.73", "6.12.74", "hugetlb-munmap")
    old, new = shootdown.compare(
        "hugetlb-munmap", kernels=["6.12.73", "6.12.74"], parameters={"tables": 4}, **QEMU
    )
    differing = {name for name in new.counts if old.counts[name] != new.counts[name]}
    assert {row.name for row in found.rows if not row.name.endswith("_ns")} == differing
    for one in found.rows:
        if not one.name.endswith("_ns"):
            assert (one.before, one.after) == (old.counts[one.name], new.counts[one.name])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("7.0", "7.0"), "7.0 is named twice: name two releases that differ"),
        (("7.0", "v7.0.0"), "7.0 and v7.0.0 are one release"),
        (("7.3.4", "7.3.9"), "7.3.4 and 7.3.9 are one release"),
        (("7.0", "9.9"), "there is no series 9.9"),
        (("6.99", "7.0"), "there is no series 6.99"),
        (("7.0", "newest"), "is not a release"),
        (("7.3.4", "latest"), "are one release"),
        (("7.0", "proposal:nothing"), "there is no 'proposal:nothing'"),
        (("6.16", "7.0", ["no-such"]), "there is no workload or scenario 'no-such'"),
        (("6.16", "7.0", ["hugetlb-exit", "hugetlb-exit"]), "hugetlb-exit is named twice"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShootdownError) as refused:
        diff(*asked)
    assert message in str(refused.value)


def test_a_parameter_needs_a_program() -> None:
    with pytest.raises(ShootdownError, match="name the program as well"):
        diff("6.16", "7.0", parameters={"tables": 4})
