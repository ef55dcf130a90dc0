"""Hunts in patches: seeded defects are found, also by tasks that are preempted while they wait; names are checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.explore.small_programs import HERE_LAST

from shootdown._programs.sketch import Sketch
from shootdown._programs.worlds import programs
from shootdown._questions import hunt as hunting
from shootdown._questions.hunt import Hunt, grounds
from shootdown._questions.hunt_finds import Hunted
from shootdown._values.errors import MistakeError, ShootdownError

_PATCHES = Path(__file__).parents[3] / "docs/examples/patches"
#: The example of each kind of defect, a platform on which it shows, and what breaks.
_DEFECTS = {
    "mkclean-without-flush": ("neoverse-v2", "stale-tlb-entry"),
    "collapse-flushed-first": ("intel-server", "stale-tlb-entry"),
    "sync-without-preempted": ("kvm-guest", "gup-fast"),
    "range-off-by-one": ("intel-server", "stale-tlb-entry"),
    "lazy-left-out": ("intel-server", "walk-cache"),
    "mprotect-without-flush": ("intel-server", "stale-tlb-entry"),
    "mremap-flushed-first": ("intel-server", "stale-tlb-entry"),
    "fork-flushed-first": ("intel-server", "stale-tlb-entry"),
    "migration-off-by-one": ("neoverse-v2", "stale-tlb-entry"),
    "reclaim-untold": ("intel-server", "stale-tlb-entry"),
}
#: Those whose files have a switch without which nothing is wrong.
_SWITCHED = (
    "mprotect-without-flush",
    "mremap-flushed-first",
    "fork-flushed-first",
    "migration-off-by-one",
    "reclaim-untold",
)


def _hunt(platform: str, kernel: str, patch: Path, size: int, *settings: str) -> Hunted:
    (ground,) = grounds(platforms=[platform], kernels=[kernel], settings=settings, patch=str(patch))
    return Hunt(ground, size=size).run()


def _only(monkeypatch: pytest.MonkeyPatch, wanted: Callable[[Sketch], bool]) -> None:
    """Hunt in some of the programs that a hunt tries."""
    monkeypatch.setattr(hunting, "programs", lambda *args: filter(wanted, programs(*args)))


def _of_the_patch(found: Hunted) -> list[str]:
    """Return what breaks if a function of the patch is not left out."""
    return [one.invariant for one in found.findings if any(fix.origin == "patch" for fix in one.fixed_by)]


def test_a_flush_that_is_missing_in_writeback_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, lambda one: one.has("mkclean"))
    found = _hunt("neoverse-v2", "7.2", _PATCHES / "defects/mkclean-without-flush.py", 1)
    assert _of_the_patch(found) == ["stale-tlb-entry"]
    assert found.findings[0].sketch.said == "mkclean heap"
    assert found.remarks == ()


def test_a_range_that_ends_a_page_early_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from shootdown.patches import replaces\n@replaces('tlb_remove_tlb_entry')\n"
        "def f(call, g, lo, hi): call.original(hi=hi - 1)\n"
    )
    _only(monkeypatch, lambda one: one.said == "spin | madvise heap DONTNEED" and len(one.parts) == 1)
    assert _of_the_patch(_hunt("intel-server", "7.2", path, 1)) == ["stale-tlb-entry"]


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("name", _DEFECTS)
def test_each_defect_is_found_by_all_programs_of_two_calls(name: str) -> None:
    platform, invariant = _DEFECTS[name]
    found = _hunt(platform, "7.3.4", _PATCHES / f"defects/{name}.py", 2)
    assert invariant in _of_the_patch(found)
    assert all(one.explained for one in found.findings)


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("name", _SWITCHED)
def test_nothing_of_a_patch_is_found_once_its_defect_is_switched_off(name: str) -> None:
    platform, _ = _DEFECTS[name]
    found = _hunt(platform, "7.3.4", _PATCHES / f"defects/{name}.py", 2, "patch.wrong=false")
    assert not _of_the_patch(found)
    assert all(one.explained for one in found.findings)


@pytest.mark.parametrize(("wrong", "broken"), [("true", ["stale-tlb-entry"]), ("false", [])])
def test_a_range_off_by_one_in_migration_is_found(
    monkeypatch: pytest.MonkeyPatch, wrong: str, broken: list[str]
) -> None:
    _only(monkeypatch, lambda one: one.has("migrate"))
    patch = _PATCHES / "defects/migration-off-by-one.py"
    assert _of_the_patch(_hunt("neoverse-v2", "7.2", patch, 1, f"patch.wrong={wrong}")) == broken


@pytest.mark.parametrize(("kernel", "broken"), [("7.2", []), ("7.3.4", ["stale-tlb-entry"])])
def test_a_flush_of_the_own_cpu_after_the_wait_is_found_where_that_can_be_another_cpu(
    monkeypatch: pytest.MonkeyPatch, kernel: str, broken: list[str]
) -> None:
    _only(monkeypatch, lambda one: one.said == "spin | madvise heap DONTNEED" and one.kind == "anonymous")
    assert _of_the_patch(_hunt("intel-server", kernel, HERE_LAST, 1)) == broken


def test_a_patch_of_what_no_program_calls_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _only(monkeypatch, lambda one: one.has("gup"))
    for name, words in (
        ("tlb_remove_tlb_entri", r"there is no kernel function tlb_remove_tlb_entri\(\) here"),
        ("tlb_remove_tlb_entry", r"tlb_remove_tlb_entry\(\) is never called here"),
    ):
        path = tmp_path / f"{name}.py"
        path.write_text(f"from shootdown.patches import replaces\n@replaces('{name}')\ndef f(call): pass\n")
        with pytest.raises(ShootdownError, match=words):
            _hunt("intel-server", "7.2", path, 1)


def test_what_is_wrong_in_a_patch_is_said_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _only(monkeypatch, lambda one: one.has("madvise"))
    path = tmp_path / "mine.py"
    path.write_text(
        "from shootdown.patches import replaces\n"
        "@replaces('tlb_remove_tlb_entry')\ndef f(call, g, lo, hi): call.asm.nothing()\n"
    )
    with pytest.raises(MistakeError, match=r"mine.py, line 3: .*nothing"):
        _hunt("intel-server", "7.2", path, 1)
