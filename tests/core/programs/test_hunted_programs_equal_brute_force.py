"""Programs of a hunt have the verdict that a search by brute force gives them, in a model that shares no code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from tests.core.programs.comparing import compare, explored, ground
from twins.brute_force.program import TABLE, Call, Small
from twins.brute_force.search import verdict

from shootdown._programs.sketch import FORK, RUNS, START, Sketch
from shootdown._programs.worlds import EXIT, programs
from shootdown._questions.hunt import Ground
from shootdown._values.setup import Setup

#: States after which brute force gives a program up.
FEW = 15_000
#: A frame that no address maps.
_NONE = 9
#: The size of the memory of one page.
_PAGE = 4096


def _small(sketch: Sketch, way: str, flaw: str) -> Small | None:
    """Return a program for brute force; None for one that it does not know.

    It knows no hugetlb memory, no huge page (`test_thp_equals_brute_force` is about those), no second process but a
    forked one that does nothing, no thread that is started, no exit(), and no page tables that come back: neither
    mmap() nor, after reclaim or migration, an access. Accesses are of one page.
    """
    threads, *others = sketch.processes
    calls = [call.split(" ")[0] for thread in threads for call in thread]
    forked = [((RUNS,),)] if FORK in calls else []
    if sketch.kind in ("hugetlb", "thp") or others != forked or {START, EXIT, "mmap"} & set(calls):
        return None
    if any(calls.count(call) > 1 for call in ("munmap", "mremap")):
        return None
    unmaps = {"reclaim", "migrate"} & set(calls)
    if "touch" in calls and (sketch.size > _PAGE or sketch.kind == "file" or unmaps):
        return None
    if any("munmap @" in thread[:-1] and thread[-1].startswith("touch") for thread in threads):
        return None  # programs refuse it: the thread would be killed
    pages: tuple[int, ...]
    maps: tuple[int | None, ...]
    if sketch.kind == "file":
        pages, maps, atoms = (0, TABLE), (0, None), {"@": (0,)}
    elif sketch.size == _PAGE:
        pages, maps, atoms = (0,), (0,), {"@": (0,)}
    else:
        pages, maps = (0, 1, TABLE), (0, 1, 2)
        first, last, both, whole = sketch.parts
        atoms = {first: (0,), last: (2,), both: (0, 1), whole: (0, 1, 2)}
    frame, written = 0, []
    for thread in threads:
        moved = False
        body = []
        for call in thread if thread != (RUNS,) else ():
            name, *words = (call if call != FORK else f"{FORK} @").split(" ")
            part = (1,) if moved else atoms[words[0]]
            flaws = frozenset(
                flaw.split(" + ") if flaw and (name == "mremap" or flaw != "late flush") else ()
            )
            if name == "mremap":
                part, moved = (0, 1), True
            elif name in ("truncate", "mkclean") or (name == "reclaim" and sketch.kind == "file"):
                part = (0, 1)
            elif name == "gup":
                part = part[:1]
            of_tables = {pages[atom] // TABLE for atom in part}
            tables = tuple(
                sorted(
                    table
                    for table in of_tables
                    if name == "munmap"
                    and all(n in part for n, page in enumerate(pages) if page // TABLE == table)
                )
            )
            frame += name == "touch"
            named = "write" if name == "touch" else "widen" if words[1:] == ["write"] else name
            body.append(Call(named, part, tables, flaws, frame=frame if name == "touch" else -1))
        written.append(tuple(body))
    return Small(
        pages=pages,
        maps=maps,
        writable=(True,) * len(pages),
        file=0 if sketch.kind == "file" else frame + _NONE,
        threads=tuple(body for body in written if body),
        user="runs" if () in written else "",
        way=way,
        ranges=True,
        forces=True,
    )


#: Switches that are turned off, by the flaw that is the same for brute force.
_OFF = {
    "late flush": "mremap_flushes_locked",
    "no look at reclaim": "flush_batched_pending",
    "rmap first": "delayed_rmap",
    "no sync": "khugepaged_sync",
    "faults meanwhile": "fork_locks_vmas",
    "no sequence": "gup_sees_fork",
}
#: The calls that a flaw is about, if not every program of a file shows it.
_ABOUT = {
    "no look at reclaim": ("reclaim", "migrate"),
    "rmap first": ("mkclean",),
    "no sync": ("khugepaged",),
    "faults meanwhile": (FORK,),
    "no sequence": (FORK,),
}


def _is_chosen(sketch: Sketch, number: int, flaw: str, every: int) -> bool:
    """Whether a program is compared: those that a flaw is about, and some others."""
    about = _ABOUT.get(flaw, ())
    if sketch.has("mkclean") and sketch.has("reclaim"):
        return False
    if about:
        small = sketch.kind == "file" or sketch.has(FORK) or sketch.has("gup")
        return any(map(sketch.has, about)) and (small or not number % 2)
    return not number % (every if sketch.size == _PAGE else 14)


def _translated(scene: Setup, way: str, flaw: str) -> Iterator[tuple[int, Sketch, Small]]:
    """Number the programs that brute force knows."""
    number = 0
    for sketch in programs(scene, 2):
        small = _small(sketch, way, flaw)
        if small is not None:
            yield number, sketch, small
            number += 1


def _compare(on: Ground, chosen: Iterable[tuple[Sketch, Small]]) -> Counter[str]:
    return compare(chosen, lambda one: verdict(one[1], FEW), lambda one: explored(on, one[0].tables()))


@pytest.mark.compiled
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", ["", *_OFF])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_hunted_programs_have_the_verdict_of_brute_force(arch: str, flaw: str, every: int) -> None:
    """One in so many, or all, on a file, and some on anonymous memory."""
    settings = [f"kernel.{_OFF[flaw]}=false"] if flaw else []
    settings.append("kernel.widening_flushes=true")  # brute force always flushes then
    on = ground(arch, *settings)
    compared = _compare(
        on,
        (
            (sketch, small)
            for number, sketch, small in _translated(on.scene, arch, flaw)
            if _is_chosen(sketch, number, flaw, every)
        ),
    )
    assert compared["safe"] > (16 if flaw in _ABOUT else 60 if every > 1 else 120)
    flushes_wait = (flaw, arch) == ("no sync", "x86")  # for GUP-fast, which they interrupt
    assert bool(compared["bug"]) == bool(flaw and not flushes_wait)


@pytest.mark.compiled
@pytest.mark.parametrize("rechecks", [True, False])
def test_khugepaged_needs_no_sync_if_it_deposits_a_new_table_and_gup_fast_reads_the_pmd_again(
    rechecks: bool,
) -> None:
    """What page-table freeing by RCU everywhere, v5, proposes; 70cbc3cc78a9 is the second reading."""
    settings = [
        f"kernel.{name}=false" for name in ("khugepaged_sync", *([] if rechecks else ["gup_rechecks_pmd"]))
    ]
    settings.append("kernel.khugepaged_deposits_new_table=true")
    on = ground("arm64", *settings)
    compared = _compare(
        on,
        (
            (sketch, replace(small, rechecks=rechecks))
            for _, sketch, small in _translated(on.scene, "arm64", "no sync + new table")
            if sketch.has("khugepaged") and sketch.has("gup") and len(small.threads) > 1
        ),
    )
    assert compared["safe"]
    assert bool(compared["bug"]) == (not rechecks)
