"""Programs of a hunt have the verdict that a search by brute force gives them, in a model that shares no code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twins.brute_force.program import TABLE, Call, Small
from twins.brute_force.search import verdict

from shootdown._explore.engine import Explorer
from shootdown._programs.explored import build
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import RUNS, Sketch
from shootdown._programs.worlds import programs
from shootdown._questions.hunt import grounds

#: States after which brute force gives a program up.
FEW = 15_000
#: A frame that no address maps.
_NONE = 9


def _small(sketch: Sketch, way: str, flaw: str) -> Small | None:
    """Return a program for brute force; None for one that it does not know."""
    (threads,) = sketch.processes
    calls = [call.split(" ")[0] for thread in threads for call in thread]
    if "touch" in calls or calls.count("munmap") > 1 or calls.count("mremap") > 1:
        return None
    if sketch.kind == "file":
        pages: tuple[int, ...] = (0, TABLE)
        atoms = {"@": (0,)}
        maps: tuple[int | None, ...] = (0, None)
    else:
        pages, maps = (0, 1, TABLE), (0, 1, 2)
        first, last, both, whole = sketch.parts
        atoms = {first: (0,), last: (2,), both: (0, 1), whole: (0, 1, 2)}
    written = []
    for thread in threads:
        moved = False
        body = []
        for call in thread if thread != (RUNS,) else ():
            name, *words = call.split(" ")
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
            body.append(Call(name, part, tables, flaws))
        written.append(tuple(body))
    return Small(
        pages=pages,
        maps=maps,
        writable=(True,) * len(pages),
        file=0 if sketch.kind == "file" else _NONE,
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
}
#: The call that a flaw is about, if not every program of a file shows it.
_ABOUT = {"no look at reclaim": "reclaim", "rmap first": "mkclean", "no sync": "khugepaged"}


def _is_chosen(sketch: Sketch, number: int, flaw: str, every: int) -> bool:
    """Whether a program is compared: those that a flaw is about, and some others."""
    about = _ABOUT.get(flaw, "")
    if sketch.kind == "hugetlb" or (sketch.has("mkclean") and sketch.has("reclaim")):
        return False
    if about:
        return sketch.has(about) and (sketch.kind == "file" or sketch.has("gup") or not number % 4)
    return not number % (every if sketch.kind == "file" else 14)


@pytest.mark.compiled
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", ["", *_OFF])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_hunted_programs_have_the_verdict_of_brute_force(arch: str, flaw: str, every: int) -> None:
    """One in so many, or all, on a file, and some on anonymous memory."""
    settings = (f"kernel.{_OFF[flaw]}=false", "memory_model=sc") if flaw else ("memory_model=sc",)
    (ground,) = grounds(arch=[arch], kernels=["7.0"], settings=settings)
    compared = {"safe": 0, "bug": 0}
    for number, sketch in enumerate(programs(ground.scene, 2)):
        small = _small(sketch, arch, flaw) if _is_chosen(sketch, number, flaw, every) else None
        if small is None:
            continue
        try:
            slow, _ = verdict(small, FEW)
        except OverflowError:
            continue
        program = read_values(sketch.tables()).program({})
        found = Explorer(build(program, ground.scene, idle=False, marks=False)).search()
        assert found.verdict == slow, f"{sketch.said}: {small}"
        compared[slow] += 1
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
    settings += ["kernel.khugepaged_deposits_new_table=true", "memory_model=sc"]
    (ground,) = grounds(arch=["arm64"], kernels=["7.0"], settings=settings)
    verdicts = set()
    for sketch in programs(ground.scene, 2):
        if not (sketch.kind == "anonymous" and sketch.has("khugepaged") and sketch.has("gup")):
            continue
        small = _small(sketch, "arm64", "no sync + new table")
        if small is None or len(small.threads) < 2:
            continue
        try:
            slow, _ = verdict(replace(small, rechecks=rechecks), FEW)
        except OverflowError:
            continue
        program = read_values(sketch.tables()).program({})
        found = Explorer(build(program, ground.scene, idle=False, marks=False)).search()
        assert found.verdict == slow, f"{sketch.said}: {small}"
        verdicts.add(slow)
    assert ("bug" in verdicts) == (not rechecks)
