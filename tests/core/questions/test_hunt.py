"""A hunt finds bugs in programs that nobody wrote, shrinks them, and says what makes them go away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from shootdown import Expected
from shootdown._programs.sketch import Sketch
from shootdown._programs.worlds import programs
from shootdown._questions import hunt as hunting
from shootdown._questions import hunt_causes
from shootdown._questions.hunt import Hunt, grounds
from shootdown._questions.hunt_finds import Finding, Hunted
from shootdown._questions.hunt_ground import Ground, explored, shrunk

_16K = ("kernel.page_size=16k", "kernel.va_bits=47")


def _hunt(
    monkeypatch: pytest.MonkeyPatch,
    arch: str,
    kernel: str,
    settings: tuple[str, ...] = (),
    *,
    patch: Path | None = None,
    size: int = 1,
    only: Callable[[Sketch], bool] = lambda _: True,
) -> Hunted:
    """Hunt in some of the programs that a hunt tries."""
    monkeypatch.setattr(hunting, "programs", lambda *args: filter(only, programs(*args)))
    (ground,) = grounds(
        arch=[arch], kernels=[kernel], settings=settings, patch=None if patch is None else str(patch)
    )
    return Hunt(ground, size=size).run()


def _fixes(found: Hunted) -> list[tuple[str, list[str]]]:
    return [(one.invariant, [fix.name for fix in one.fixed_by]) for one in found.findings]


def _huge(sketch: Sketch) -> bool:
    """Whether two processes share a table, and one of them makes all calls of two threads."""
    return sketch.kind == "hugetlb" and len(sketch.processes) == 2 and sketch.processes[1] == (("spin",),)


def test_the_walk_cache_of_arm64_is_found_and_its_commit_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _hunt(monkeypatch, "arm64", "7.0")
    assert _fixes(found) == [("walk-cache", ["c2ff4764e03e"])]
    (one,) = found.findings
    assert one.explained
    assert one.since == "5.10"
    assert one.platform in one.platforms
    assert one.verdict.story is not None
    assert one.sketch.calls == 1


def test_a_bug_that_another_one_hides_is_found_once_that_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """munmap() of 6.15 leaves the walk cache too, so that GUP-fast is not the first to go wrong."""
    only = [(("gup @",), ("munmap @",)), (("spin",), ("munmap @",))]
    found = _hunt(
        monkeypatch, "arm64", "6.15", size=2, only=lambda one: _huge(one) and one.processes[0] in only
    )
    assert _fixes(found) == [("walk-cache", ["c2ff4764e03e"]), ("gup-fast", ["1013af4f585f"])]


@pytest.mark.parametrize(
    ("arch", "settings", "fix"),
    [
        ("arm64", _16K, "kernel.range_truncation_16k=false"),
        ("x86", (), "kernel.honour_unshared_tables=true"),
        ("arm64", ("kernel.unshare_flush=none",), "kernel.unshare_flush=locked"),
    ],
)
def test_a_defect_without_a_commit_is_explained_by_its_switch(
    monkeypatch: pytest.MonkeyPatch, arch: str, settings: tuple[str, ...], fix: str
) -> None:
    found = _hunt(
        monkeypatch, arch, "7.3.4", settings, only=lambda one: one.kind == "hugetlb" and not one.has("exit")
    )
    assert _fixes(found) == [("walk-cache", [fix])]
    assert found.findings[0].explained


@pytest.mark.parametrize("arch", ["x86", "arm64"])
@pytest.mark.parametrize(
    ("switch", "commit", "kind"),
    [
        ("nested_gathers_flush", "99baac21e458", "anonymous"),
        ("mremap_flushes_locked", "eb66ae030829", "file"),
    ],
)
def test_an_old_fix_that_is_turned_off_is_missed(
    monkeypatch: pytest.MonkeyPatch, arch: str, switch: str, commit: str, kind: str
) -> None:
    calls = (("madvise @ DONTNEED",), ("mremap @",), ("truncate @",))
    found = _hunt(
        monkeypatch,
        arch,
        "7.3.4",
        (f"kernel.{switch}=false",),
        size=2,
        only=lambda one: one.kind == kind and all(thread in calls for thread in one.processes[0]),
    )
    assert _fixes(found) == [("stale-tlb-entry", [commit])]
    assert found.findings[0].since is None


@pytest.mark.parametrize("arch", ["x86", "arm64"])
@pytest.mark.parametrize("call", ["munmap @[0:4K]", "madvise @[0:4K] DONTNEED", "mprotect @[0:4K] read"])
def test_a_call_that_does_not_look_at_reclaim_is_found(
    monkeypatch: pytest.MonkeyPatch, arch: str, call: str
) -> None:
    found = _hunt(
        monkeypatch,
        arch,
        "7.3.4",
        ("kernel.flush_batched_pending=false",),
        size=2,
        only=lambda one: one.processes == (tuple(sorted((("reclaim @[0:4K]",), (call,)))),),
    )
    assert _fixes(found) == [("stale-tlb-entry", ["3ea277194daa"])]
    assert found.findings[0].explained


@pytest.mark.long
def test_a_flush_of_a_batch_that_is_taken_for_an_old_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _hunt(
        monkeypatch,
        "x86",
        "7.3.4",
        ("kernel.flush_without_gen_is_done=false",),
        size=1,
        only=lambda one: one.has("reclaim"),
    )
    assert _fixes(found) == [("stale-tlb-entry", ["8f1d56f64f8d"])]
    assert found.findings[0].explained


@pytest.mark.parametrize("arch", ["x86", "arm64"])
@pytest.mark.parametrize(
    ("kernel", "settings"), [("7.3.4", ("kernel.delayed_rmap=false",)), ("6.1", ())], ids=["off", "before"]
)
def test_a_page_that_leaves_the_reverse_map_before_its_flush_is_found(
    monkeypatch: pytest.MonkeyPatch, arch: str, kernel: str, settings: tuple[str, ...]
) -> None:
    found = _hunt(
        monkeypatch,
        arch,
        kernel,
        settings,
        size=2,
        only=lambda one: one.processes == ((("mkclean @",), ("munmap @",)),),
    )
    assert _fixes(found) == [("stale-tlb-entry", ["5df397dec7c4"])]
    assert found.findings[0].explained


@pytest.mark.parametrize(
    ("arch", "kernel", "settings", "invariant", "commit"),
    [
        ("arm64", "7.3.4", ("kernel.khugepaged_sync=false",), "gup-fast", "2ba99c5e0881"),
        ("arm64", "5.10.148", (), "gup-fast", "2ba99c5e0881"),
        ("x86", "5.10.159", (), "walk-cache", "3ef938c35035"),
    ],
)
def test_a_collapse_that_does_not_wait_for_walkers_is_found(
    monkeypatch: pytest.MonkeyPatch,
    arch: str,
    kernel: str,
    settings: tuple[str, ...],
    invariant: str,
    commit: str,
) -> None:
    other = ("gup @[0:4K]",) if invariant == "gup-fast" else ("spin",)
    found = _hunt(
        monkeypatch,
        arch,
        kernel,
        settings,
        size=2,
        only=lambda one: one.has("khugepaged") and other in one.processes[0] and one.threads == 2,
    )
    assert _fixes(found) == [(invariant, [commit])]
    assert found.findings[0].explained


def test_a_dsb_that_waits_for_no_other_cpu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _hunt(
        monkeypatch,
        "arm64",
        "6.12",
        size=2,
        only=lambda one: one.processes == ((("mprotect @[0:4K] read",), ("reclaim @[0:4K]",)),),
    )
    assert _fixes(found) == [("stale-tlb-entry", ["4b634918384c"])]
    assert found.findings[0].since == "6.6"


_SEEDS = {
    "a flush is missing": """
@replaces("tlb_flush_mmu_tlbonly")
def seed(call, g):
    with call.asm.if_flags(g, ops.FREED_TABLES | ops.UNSHARED_TABLES):
        call.original()
""",
    "the flush comes before the clear": """
@replaces("zap_pte_range")
def seed(call, g, stretches):
    call.asm.request(2, flags=ops.FULLMM)
    call.lowering.flush_mm(call.asm, 2)
    call.original()
    call.asm.gather_reset(g)
""",
    "the range is that of the next page": """
@replaces("tlb_remove_tlb_entry")
def seed(call, g, lo, hi):
    call.original(lo=lo + 1, hi=hi + 1)
""",
    "the lazy CPU is forgotten": """
@replaces("tlb_flush", arch="x86")
def seed(call, g):
    call.asm.clear_flags(g, ops.FREED_TABLES)
    call.original()
""",
}


@pytest.mark.parametrize("seed", list(_SEEDS))
def test_a_seeded_defect_is_found_in_a_program_of_one_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: str
) -> None:
    path = tmp_path / "seed.py"
    path.write_text(f"from shootdown.patches import ops, replaces\n{_SEEDS[seed]}")
    found = _hunt(monkeypatch, "x86", "7.3.4", patch=path, only=lambda one: one.kind != "hugetlb")
    ((_, (fix,)),) = _fixes(found)
    assert fix.startswith("without ")
    assert found.findings[0].explained
    assert found.findings[0].sketch.calls == 1


def test_what_only_some_other_switch_makes_go_away_is_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunt_causes, "_of_the_settings", lambda _: [])
    found = _hunt(
        monkeypatch,
        "arm64",
        "7.3.4",
        ("kernel.nested_gathers_flush=false",),
        size=2,
        only=lambda one: one.processes == ((("madvise @ DONTNEED",), ("madvise @ DONTNEED",)),),
    )
    assert _fixes(found)[0][1] == ["kernel.nested_gathers_flush=true"]
    assert not found.findings[0].explained


def test_what_the_plugin_expects_of_hunts_is_explained_by_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the invariant that it names alone, and where its condition holds."""
    (ground,) = grounds(arch=["arm64"], kernels=["7.0"])
    why = "a walk that nobody waits for"
    one = Expected(
        ("7.2",), why, about="walk-cache", when=lambda kernel, platform: platform.name == "neoverse-v2"
    )
    architecture = attrs.evolve(ground.case.architecture, expected=(one,))
    monkeypatch.setattr(Ground, "case", attrs.evolve(ground.case, architecture=architecture))
    assert hunt_causes.expected_of(ground, "walk-cache") == why
    assert hunt_causes.expected_of(ground, "gup-fast") == ""


def test_what_nothing_makes_go_away_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunting, "cause_of", lambda *_: ())
    found = _hunt(
        monkeypatch,
        "arm64",
        "7.0",
        size=2,
        only=lambda one: (
            one.kind == "hugetlb"
            and not one.has("exit")
            and all(
                call in ("munmap @", "spin")
                for threads in one.processes
                for thread in threads
                for call in thread
            )
        ),
    )
    assert _fixes(found) == [("walk-cache", [])]
    assert not found.findings[0].explained


def test_today_s_kernel_has_no_other_defects_of_one_call_than_those_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for arch in ("x86", "arm64", "powerpc"):
        assert all(one.explained for one in _hunt(monkeypatch, arch, "7.3.4").findings)


def test_a_program_is_shrunk_to_what_the_bug_needs() -> None:
    (ground,) = grounds(arch=["arm64"], kernels=["7.0"])
    whole = Sketch(
        "hugetlb", 1 << 30, ((("munmap @",), ("gup @",)), (("spin",),), (("madvise @ DONTNEED",),))
    )
    small = shrunk(ground, whole, "walk-cache")
    assert small.processes in (((("munmap @",),), (("spin",),)), ((("spin",),), (("madvise @ DONTNEED",),)))
    assert all(explored(ground, one).invariant != "walk-cache" for one in small.smaller())


def test_what_was_found_before_an_interrupt_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    done = hunting.run_batch
    batches = []

    def run(batch: hunting.Batch) -> list[hunting.Result]:
        batches.append(batch)
        if len(batches) > 1:
            raise KeyboardInterrupt
        return done(batch)

    monkeypatch.setattr(hunting, "run_batch", run)
    told: list[Finding] = []
    (ground,) = grounds(arch=["arm64"], kernels=["7.0"])
    found = Hunt(ground, size=2, told=told.append).run()
    assert found.interrupted
    assert _fixes(found) == [("walk-cache", ["c2ff4764e03e"])]
    assert told == found.findings
