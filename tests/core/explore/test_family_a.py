"""Tables that are withdrawn or freed, TLB entries that outlive their pages: verdicts, and why to trust them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.core.explore.expected import explored

from shootdown._explore.engine import Explorer
from shootdown._explore.mutate import Primitive, primitives, without
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._plugins.registry import registry
from shootdown._questions.explore import Verdict, explorations, explore_case
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Expect
from shootdown._values.verdict import BUG, SAFE

FAMILY = (
    "khugepaged-gup-page",
    "khugepaged-gup-table",
    "free-pgtables-gup",
    "lazy-freed-tables",
    "mremap-stale",
    "nested-flush",
)


def verdict_of(
    scenario: str,
    arch: str = "x86",
    platform: str = "",
    kernel: str = "7.0",
    *settings: str,
    **parameters: object,
) -> Verdict:
    """Explore one cell."""
    (case,) = explorations(
        scenario,
        arch=[arch],
        platforms=[platform] if platform else [],
        kernels=[kernel],
        settings=settings,
        parameters=parameters,
    )
    return explore_case(case)


def named(value: object) -> str:
    """Name a cell in a test's id."""
    if isinstance(value, Expect):
        chosen = (*value.settings, *(f"{k}={v}" for k, v in value.parameters.items()))
        return "-".join(filter(None, (value.arch, value.platform, value.kernel, *chosen)))
    return str(value)


EXPECTED = [(name, cell) for name in FAMILY for cell in registry().scenarios()[name].expected]


@pytest.mark.parametrize(("name", "cell"), EXPECTED, ids=named)
def test_each_cell_has_the_verdict_beside_its_scenario_and_a_safe_one_reached_the_race(
    name: str, cell: Expect
) -> None:
    """A SAFE without the racy window would be empty; a BUG is never a deadlock."""
    found = explored(name, cell)
    assert found.verdict == cell.verdict, (found.invariant, found.reason, cell.why)
    if found.verdict == "safe":
        assert set(registry().scenarios()[name].window) <= found.reached
    if found.verdict == "bug":
        assert found.invariant in ("gup-fast", "walk-cache", "stale-tlb-entry")


# --- mutations

BARE = ("scenario.recheck=false", "scenario.sync=false")
RECHECK = ("scenario.recheck=true", "scenario.sync=false")
SYNC = ("scenario.recheck=false", "scenario.sync=true")
#: Safe cells, each with as little protection as it needs: scenario, architecture, platform, settings, parameters.
CELLS = (
    *(
        (name, arch, platform, settings, {})
        for name in ("khugepaged-gup-page", "khugepaged-gup-table")
        for arch, platform, settings in (
            ("x86", "", BARE), ("x86", "kvm-guest", SYNC), ("arm64", "", SYNC), ("riscv", "", BARE),
            ("powerpc", "power9-hash", (*BARE, "kernel.page_size=64k")),
        )
    ),
    ("khugepaged-gup-page", "arm64", "", RECHECK, {}),
    ("khugepaged-gup-page", "x86", "hyper-v-guest", RECHECK, {}),
    ("free-pgtables-gup", "x86", "", ("kernel.rcu_table_free=false",), {}),
    ("free-pgtables-gup", "x86", "kvm-guest", (), {}),
    ("free-pgtables-gup", "arm64", "", (), {}),
    ("free-pgtables-gup", "powerpc", "power9-hash", (), {}),
    ("lazy-freed-tables", "x86", "", (), {}),
    ("lazy-freed-tables", "x86", "", (), {"lazy": False}),
    ("lazy-freed-tables", "x86", "", (), {"path": "collapse"}),
    ("lazy-freed-tables", "arm64", "", (), {}),
    ("lazy-freed-tables", "riscv", "", (), {}),
    ("mremap-stale", "x86", "", (), {}),
    ("mremap-stale", "arm64", "", (), {}),
    ("mremap-stale", "powerpc", "power9-hash", (), {}),
    ("nested-flush", "x86", "", (), {}),
    ("nested-flush", "arm64", "", (), {}),
    ("nested-flush", "riscv", "", (), {}),
)  # fmt: skip
#: Primitives that no cell of a scenario needs, and why.
NO_TLB = "GUP-fast uses no TLB: nothing depends on when an invalidation that interrupts nobody is over"
ONE_GATHER = "no other gather of the mm is pending"
FLUSHED = (
    "the page is dirty and a file's: who clears an entry of it flushes before the page-table lock is dropped"
)
NO_GUP = "nobody walks without a lock here: hardware walkers know nothing of interrupts and of RCU"
_LOCKS = ("mmap_lock", "anon_vma->root->rwsem", "page-table lock")
_COLLAPSED = {
    **dict.fromkeys(_LOCKS, "nobody else wants it: GUP-fast takes no lock"),
    "native_flush_hash_range: eieio; tlbsync; ptesync": NO_TLB,
}
REDUNDANT: dict[str, dict[str, str]] = {
    "khugepaged-gup-page": _COLLAPSED,
    "khugepaged-gup-table": _COLLAPSED,
    "free-pgtables-gup": {
        "mmap_lock": "nobody else wants it: GUP-fast takes no lock",
        "page-table lock": "nobody else wants it: GUP-fast takes no lock",
        "the nested check": ONE_GATHER,
        "call_rcu: what came before a grace period is seen by who comes after it": "explored programs free tables "
        "once mmap_lock is released, and that lets no store wait",
    },
    "lazy-freed-tables": {
        "mmap_lock": "nobody else wants it: hardware walkers take no lock",
        "the nested check": ONE_GATHER,
        "the sync": NO_GUP,
        "tlb_remove_table_sync_one: wait until no CPU is inside a lockless walk": NO_GUP,
        "the grace period": NO_GUP,
        "call_rcu: the grace period is over": NO_GUP,
        "call_rcu: what came before a grace period is seen by who comes after it": NO_GUP,
    },
    "mremap-stale": {
        "mmap_lock": "a truncation comes by the file and does not take it",
        "page-table lock of the new address": "a truncation visits the old address first, whose lock mremap() holds "
        "until it has flushed",
        "the nested check": FLUSHED,
        "flush_tlb_mm: DSB ISH": f"the nested check alone asks for it; {FLUSHED}",
    },
    "nested-flush": {
        "mmap_lock": "both take it for reading",
    },
}


def _problem(cell: tuple) -> Problem:
    name, arch, platform, settings, parameters = cell
    (case,) = explorations(
        name, arch=[arch], platforms=[platform] if platform else [], kernels=["7.0"], settings=settings,
        parameters=parameters,
    )  # fmt: skip
    return case.program.build(case.setup())


def _wholes(problem: Problem) -> Iterator[Primitive]:
    """List what is made of several steps: the flushes, the sync, the reads that are repeated, the nested check."""
    code = problem.machine.code
    for name, belongs in (
        ("the flush", lambda op, note: {"TLB flush", "lockless look-ups"} & set(note.reasons)),
        ("the sync", lambda op, note: "table sync" in note.reasons),
        ("the nested check", lambda op, note: op == o.NESTED),
        ("the grace period", lambda op, note: note.function == "call_rcu"),
    ):
        steps = [pc for pc, note in enumerate(code.notes) if belongs(int(code.steps[pc * 5]), note)]
        if steps:
            yield Primitive(name, tuple(steps))


def _goes_wrong(problem: Problem) -> bool:
    """Whether an invariant breaks, or a page is freed twice, which a search says in a line of its own."""
    try:
        return Explorer(problem).search().verdict == BUG
    except ShootdownError as error:
        if "has no reference left" not in str(error):
            raise
        return True


@pytest.mark.parametrize("name", FAMILY)
def test_each_primitive_is_needed_in_a_cell_or_has_a_reason_not_to_be(name: str) -> None:
    """Without its lock, fence, wait, flush, sync, grace period or masked interrupts some cell is no longer SAFE."""
    needed: set[str] = set()
    known: set[str] = set()
    for cell in CELLS:
        if cell[0] != name:
            continue
        problem = _problem(cell)
        explorer = Explorer(problem)
        assert explorer.search().verdict == SAFE, cell
        for primitive in (*primitives(problem), *_wholes(problem)):
            if set(primitive.steps) & explorer.taken:
                known.add(primitive.name)
                if _goes_wrong(without(problem, primitive)):
                    needed.add(primitive.name)
    assert known - needed == set(REDUNDANT[name])


# --- what must not change a verdict, and in which direction it may

GUP = ("khugepaged-gup-page", "khugepaged-gup-table")
WHERE = (
    *(("x86", platform) for platform in ("", "kvm-guest", "amd-server", "hyper-v-guest")),
    ("arm64", ""), ("powerpc", ""),
)  # fmt: skip
#: Switches of each scenario, and the value that protects more.
STRONGER = {
    **{name: {"scenario.recheck": "true", "scenario.sync": "true"} for name in GUP},
    "free-pgtables-gup": {"kernel.rcu_table_free": "true", "kernel.gup_rechecks_pmd": "true"},
    "lazy-freed-tables": {"kernel.honour_freed_tables": "true"},
    "mremap-stale": {"scenario.fix": "true"},
    "nested-flush": {"scenario.fix": "true"},
}


@pytest.mark.parametrize(("arch", "platform"), WHERE)
@pytest.mark.parametrize("name", FAMILY)
def test_more_protection_never_makes_a_bug(name: str, arch: str, platform: str) -> None:
    """Each switch on its own, whatever the others are."""
    switches = STRONGER[name]
    verdicts = {
        chosen: verdict_of(
            name, arch, platform, "7.0",
            *(f"{switch}={'true' if switch in chosen else 'false'}" for switch in switches),
        ).verdict
        for size in range(len(switches) + 1)
        for chosen in map(frozenset, itertools.combinations(switches, size))
    }  # fmt: skip
    for less, more in itertools.product(verdicts, verdicts):
        assert not (less <= more and verdicts[less] == SAFE and verdicts[more] == BUG), (less, more)
    assert verdicts[frozenset(switches)] == SAFE


@pytest.mark.parametrize("name", FAMILY)
def test_a_weaker_memory_never_hides_a_bug(name: str) -> None:
    """The walker's side is loads that depend on each other and fully ordered operations; the fixes hold everywhere."""
    for strength in ("true", "false"):
        settings = [f"{switch}={strength}" for switch in STRONGER[name]]
        for arch, platform in (("x86", ""), ("arm64", ""), ("powerpc", "")):
            found = [
                verdict_of(name, arch, platform, "7.0", *settings, f"memory_model={memory}").verdict
                for memory in ("sc", "tso", "weak")
            ]
            assert found == sorted(found, key=(SAFE, BUG).index), (settings, arch)
            assert strength == "false" or set(found) == {SAFE}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell[:3])))
def test_reductions_change_no_verdict(cell: tuple) -> None:
    """Neither of the safe cells nor of the same cells without what protects them."""
    name, arch, platform, settings, parameters = cell
    off = [f"{switch}=false" for switch in STRONGER[name]]
    for chosen in (settings, off):
        whole = None
        for reductions in (
            None,
            Reductions(fuse=False),
            Reductions(dead=False),
            Reductions(symmetry=False),
            Reductions(fuse=False, dead=False, symmetry=False, arrive=False),
        ):
            problem = _problem((name, arch, platform, (*chosen, *_KEPT.get(platform, ())), parameters))
            outcome = Explorer(problem, reductions).search()
            whole = whole or outcome
            assert (outcome.verdict, outcome.invariant) == (whole.verdict, whole.invariant), reductions
            assert whole.verdict == BUG or outcome.states >= whole.states


#: What a platform needs besides to run the scenario at all.
_KEPT = {"power9-hash": ("kernel.page_size=64k",)}


def test_khugepaged_protects_what_its_kernel_protects_unless_told_otherwise() -> None:
    """`auto`: 70cbc3cc78a9 came to 5.10 with 5.10.148, 2ba99c5e0881 with 5.10.159."""
    for kernel, page, table in (("5.10.147", BUG, BUG), ("5.10.148", SAFE, BUG), ("5.10.159", SAFE, SAFE)):
        assert verdict_of("khugepaged-gup-page", "arm64", "", kernel).verdict == page
        assert verdict_of("khugepaged-gup-table", "arm64", "", kernel).verdict == table


def test_the_sync_of_khugepaged_is_that_of_the_kernel() -> None:
    """Targeted and redundant syncs suffice for a walker of the same mm; a skipped one does not."""
    for targets in ("all", "own-mm", "walkers"):
        found = verdict_of(
            "khugepaged-gup-table", "arm64", "", "7.0", *SYNC, f"kernel.sync_targets={targets}"
        )
        assert found.verdict == SAFE, targets
    for skip, wanted in (("native-ipi", SAFE), ("always", BUG)):
        found = verdict_of(
            "khugepaged-gup-table", "arm64", "", "7.0", *SYNC, f"kernel.skip_redundant_sync={skip}"
        )
        assert found.verdict == wanted, skip
    for platform, wanted in (("intel-server", SAFE), ("kvm-guest", SAFE), ("amd-server", SAFE)):
        found = verdict_of("khugepaged-gup-table", "x86", platform, "proposal:skip-redundant-sync")
        assert found.verdict == wanted, platform
