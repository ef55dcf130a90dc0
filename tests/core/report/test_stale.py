"""Where stale entries survive, the explanation shows the steps that left them, and on which CPUs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shootdown import _cli
from shootdown._questions.compare import cases
from shootdown._report.explanation import Explanation, explain, explanation
from shootdown._report.stale import Story


def explained(
    workload: str, arch: str, platform: str, kernel: str, *settings: str, cpus: int = 6, **parameters: Any
) -> Explanation:
    (case,) = cases(
        workload, arch=(arch,), platforms=(platform,), kernels=(kernel,), cpus=(cpus,),
        parameters=parameters, settings=settings,
    )  # fmt: skip
    return explain(case)


def story(*arguments: Any, **parameters: Any) -> Story:
    found = explained(*arguments, **parameters).stale
    assert found is not None
    return found


ARM = ("arm64", "neoverse-v2", "7.0")


def test_a_last_level_flush_leaves_walk_cache_entries_on_each_cpu_that_runs_the_mm() -> None:
    found = story("hugetlb-munmap", *ARM, threads=3)
    assert (found.stale.walk, found.stale.leaf, found.stale.tables) == ((0, 1, 2, 3), (), 1)
    clear, flush, release = found.parts
    assert (clear.function, clear.text) == ("huge_pmd_unshare < __unmap_hugepage_range", "pud_clear")
    assert flush.function == "__flush_tlb_range < tlb_flush"
    assert flush.text.startswith("TLBI RVALE1IS: ")
    assert flush.effect == "drops TLB entries alone; walk-cache entries stay"
    assert flush.targets == 6
    assert release.effect == "CPUs 0-3 can still use walk-cache entries into a table given up"
    assert found.too_late is not None
    assert "TLBI ASIDE1IS" in found.too_late.text


def test_with_the_fix_nothing_is_left_and_nothing_is_told() -> None:
    fixed = explained("hugetlb-munmap", *ARM, "kernel.honour_unshared_tables=true", threads=3)
    assert fixed.stale is None
    assert "Stale entries: how" not in "\n".join(explanation(fixed, 100))
    assert fixed.to_dict()["stale"] is None


def test_with_16k_pages_the_range_is_empty_and_both_kinds_of_entries_stay() -> None:
    found = story("hugetlb-munmap", *ARM, "kernel.page_size=16k", threads=1)
    assert (found.stale.walk, found.stale.leaf) == ((0, 1), (0, 1))
    assert [part.effect for part in found.parts[1:]] == [
        "nothing is invalidated: unsharing recorded no range",
        "nothing was flushed in between: CPUs 0-1 can still use TLB and walk-cache entries into a table given up",
    ]


def test_lazy_cpus_that_a_flush_leaves_out_are_named() -> None:
    found = story("hugetlb-munmap", "x86", "intel-server", "7.0", threads=2, state="lazy")
    assert (found.stale.walk, found.stale.lazy) == ((1, 2), (1, 2))
    effects = [part.effect for part in found.parts]
    assert effects[1:4] == [
        "lazy CPUs keep theirs",
        "reaches no CPU",
        "drops TLB and walk-cache entries",
    ]
    assert "(lazy: 1-2)" in effects[-1]


def test_an_exit_flushes_nothing_before_the_lock_is_released() -> None:
    found = story("hugetlb-exit", *ARM, tables=3)
    assert [part.times for part in found.parts] == [3, 1]
    assert found.parts[-1].effect.startswith("nothing was flushed in between: ")


@pytest.mark.parametrize("workload", ["hugetlb-mprotect", "hugetlb-punch", "hugetlb-migrate", "hugetlb-uffd"])
def test_each_caller_of_unsharing_has_its_steps_in_order(workload: str) -> None:
    found = story(workload, *ARM, threads=1)
    effects = [part.effect for part in found.parts]
    assert effects[0] == "turn stale in TLBs and walk caches"
    assert "drops TLB entries alone; walk-cache entries stay" in effects[1:-1]
    assert found.stale.walk == (0, 1)


def test_a_run_that_leaves_entries_time_and_again_says_how_often() -> None:
    found = story("hugetlb-munmap", *ARM, tables=4, vmas=4)
    assert found.stale.times == 4


def test_the_command_shows_the_steps_to_people_and_programs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    words = "explain hugetlb-munmap --arch arm64 --platform neoverse-v2 --kernel 7.0 --cpus 4 -p threads=1"
    assert _cli.run(words.split()) == 0
    out = capsys.readouterr().out
    assert "Stale entries: how they survive, once" in out
    assert "CPUs 0-1 can still use walk-cache entries" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    assert _cli.run([*words.split(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["stale"]
    assert (told["walk_cache_entries_on_cpus"], told["tlb_entries_on_cpus"]) == ([0, 1], [])
    assert told["steps"][1]["effect"] == "drops TLB entries alone; walk-cache entries stay"
    assert "ASIDE1IS" in told["dropped_too_late_by"]["text"]
