"""Explore programs that brute force knows too, and hold the verdicts side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import combinations, combinations_with_replacement, count, product
from typing import Any, TypeVar

from twins.brute_force.program import TABLE, Call, Small

from shootdown._explore.engine import Explorer
from shootdown._programs.explored import build
from shootdown._programs.reading import read_values
from shootdown._questions.hunt import Ground, grounds

Case = TypeVar("Case")
#: The calls of each thread.
Threads = tuple[tuple[str, ...], ...]
#: States after which brute force gives a program up.
FEW = 15_000


def two_or_three(calls: Collection[str]) -> list[Threads]:
    """Return all programs of two threads with a call each, and those of three calls, each once."""
    found: dict[Threads, None] = dict.fromkeys(combinations_with_replacement([(call,) for call in calls], 2))
    for first in product(calls, repeat=2):
        for second in calls:
            found[first, (second,)] = None
    return list(found)


def segfaults(threads: Threads) -> bool:
    """Whether a thread touches what it has unmapped itself: such programs are refused."""
    return any(
        first == "munmap heap" and then.startswith("touch")
        for calls in threads
        for first, then in combinations(calls, 2)
    )


def on_one_page(
    threads: Threads,
    names: Mapping[str, str],
    way: str,
    flaw: str,
    *,
    frees: Collection[str] = (),
    **more: Any,
) -> Small:
    """Return a program about one page, which a call may move, for brute force; a thread that does nothing runs.

    Args:
        threads: what each thread does.
        names: the calls, as brute force names them.
        way: as `Small.way`.
        flaw: what each call gets wrong; `""`: nothing.
        frees: the calls that free the page's table, as brute force names them.
        more: other fields of `Small`.
    """
    frames = count(1)
    flaws = frozenset({flaw} if flaw else ())
    moves = any(names[call] == "mremap" for calls in threads for call in calls)
    written = []
    for calls in threads:
        body: list[Call] = []
        for call in calls:
            name = names[call]
            atoms = (int(any(one.name == "mremap" for one in body)),)
            if moves and name in ("fork", "mremap", "reclaim"):
                atoms = (0, 1)
            frame = next(frames) if name in ("write", "copy") else -1
            body.append(Call(name, atoms, (0,) if name in frees else (), flaws, frame))
        written.append(tuple(body))
    made: dict[str, Any] = {"pages": (0,), "maps": (0,), "writable": (True,)}
    if moves:
        made = {"pages": (0, TABLE), "maps": (0, None), "writable": (True, True)}
    made |= {"user": "" if all(written) else "runs", "file": next(frames), **more}
    return Small(threads=tuple(filter(None, written)), way=way, ranges=True, **made)


def ground(arch: str, *settings: str, kernel: str = "7.0") -> Ground:
    """Return the default platform of an architecture, with the only memory model that brute force has."""
    (one,) = grounds(arch=[arch], kernels=[kernel], settings=("memory_model=sc", *settings))
    return one


def others(threads: Threads) -> dict[str, Any]:
    """Return all threads but the first, as a program's file has them; one that does nothing only runs."""
    return {
        f"t{number}": {"do": ["signal begun", *calls] if calls else ["spin"]}
        for number, calls in enumerate(threads[1:])
    }


def explored(on: Ground, values: Mapping[str, Any], *, idle: bool = False) -> str:
    """Return the verdict of a program, without the CPU that idles unless it is asked for."""
    program = read_values({"summary": "compared", **values}).program({})
    return Explorer(build(program, on.scene, idle=idle, marks=False)).search().verdict


def explored_on_one_page(
    on: Ground,
    threads: Threads,
    *,
    before: Collection[str] = ("touch heap write",),
    memory: Mapping[str, Any] | None = None,
    idle: bool = False,
) -> str:
    """Return the verdict of a program about one page, whose forked child keeps what it got.

    Args:
        on: where.
        threads: what each does.
        before: what the first does before the search begins.
        memory: the keys of the memory besides its size.
        idle: a CPU is there that idles.
    """
    process: dict[str, Any] = {"A": {"do": [*before, *threads[0]], "thread": others(threads)}}
    if any("fork child" in calls for calls in threads):
        process["child"] = {"do": ["spin"]}
    heap = {"size": "4K", **(memory or {})}
    return explored(on, {"memory": {"heap": heap}, "process": process}, idle=idle)


def compare(
    cases: Iterable[Case], brute_force: Callable[[Case], tuple[str, Any]], ours: Callable[[Case], str]
) -> Counter[str]:
    """Count the verdicts of the cases that brute force does not give up; both have to say the same of each."""
    compared: Counter[str] = Counter()
    for case in cases:
        try:
            slow, _ = brute_force(case)
        except OverflowError:
            continue
        assert ours(case) == slow, f"{case}"
        compared[slow] += 1
    return compared
