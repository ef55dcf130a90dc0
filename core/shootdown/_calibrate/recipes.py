"""What is measured: turns of calls, run for real and as programs of the model, which are written alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._machine.machine import Machine
from shootdown._plugins.registry import registry
from shootdown._questions.building import built
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.subjects import workload_named
from shootdown._timed.run import run_machine
from shootdown._timed.spent import Numbers, spent
from shootdown._values.platform import Platform
from shootdown._values.workload import Workload

_PROTECT = "mprotect heap read; mprotect heap write; touch heap write"
_DROP = "madvise heap DONTNEED; touch heap write"
_MAP = "mmap heap; touch heap write; munmap heap"


@attrs.frozen
class Recipe:
    """A turn of calls on a heap, which leaves the heap as it was.

    Args:
        turn: statements of a program.
        pages: the size of the heap, in base pages.
        others: threads that compute meanwhile, each on a CPU of its own.
        mapped: whether the heap is mapped before.
        touched: whether its pages were written before.
    """

    turn: str
    pages: int
    others: int = 0
    mapped: bool = True
    touched: bool = True

    @property
    def name(self) -> str:
        """What is measured, in a line."""
        beside = f" beside {self.others}" if self.others else ""
        pages = "a page" if self.pages == 1 else f"{self.pages} pages"
        return f"{self.turn.replace('heap ', '').replace(' heap', '')}: {pages}{beside}"

    @property
    def statements(self) -> list[str]:
        """The turn, statement by statement."""
        return self.turn.split("; ")


def fitted(cpus: int) -> list[Recipe]:
    """Return the turns that costs are fitted to.

    Args:
        cpus: how many CPUs there are for threads.
    """
    alone = [
        Recipe("madvise heap DONTNEED", 1, touched=False),
        Recipe("mmap heap; munmap heap", 1, mapped=False, touched=False),
        *(Recipe(_PROTECT, pages) for pages in (1, 24, 256)),
        *(Recipe(_DROP, pages) for pages in (1, 16, 128, 512)),
        *(Recipe(_MAP, pages, mapped=False, touched=False) for pages in (1, 48, 512)),
    ]
    beside = [
        Recipe(turn, pages, others)
        for others in _others(cpus)
        for turn in (_PROTECT, _DROP)
        for pages in (1, 24)
    ]
    return alone + beside


def checked(cpus: int) -> list[Recipe]:
    """Return turns that no cost is fitted to: other calls, other sizes, other numbers of threads.

    Args:
        cpus: how many CPUs there are for threads.
    """
    alone = [
        Recipe("madvise heap DONTNEED; touch heap write; mprotect heap read; mprotect heap write", 32),
        Recipe(
            "mmap heap; touch heap write; mprotect heap read; munmap heap", 96, mapped=False, touched=False
        ),
        Recipe(
            "mmap heap; touch heap write; madvise heap DONTNEED; munmap heap", 8, mapped=False, touched=False
        ),
        Recipe(_PROTECT, 100),
    ]
    most = cpus - 1
    beside = [
        Recipe("mmap heap; touch heap write; munmap heap", 4, most, mapped=False, touched=False),
        Recipe(
            "mmap heap; touch heap write; mprotect heap read; munmap heap",
            64,
            most,
            mapped=False,
            touched=False,
        ),
        Recipe("madvise heap DONTNEED; touch heap write; mprotect heap read; mprotect heap write", 8, most),
        Recipe(_DROP, 200, max(most // 2, 1)),
    ]
    return alone + (beside if most else [])


def _others(cpus: int) -> list[int]:
    """Return how many threads compute beside the measured one: one, two, four ..., as many as there can be."""
    found, others = [], 1
    while others < cpus - 1:
        found.append(others)
        others *= 2
    return [*found, cpus - 1] if cpus > 1 else []


def as_case(recipe: Recipe, arch: str, platform: Platform, kernel: str, cpus: int) -> Case[Workload]:
    """Return the program of a recipe, ready to run: two turns, of which the second is measured.

    Raises:
        ShootdownError: kernel or platform can't run it.
    """
    before = ["touch heap write"] if recipe.touched else []
    ready = [f"wait ready {recipe.others}"] if recipe.others else []
    process: dict[str, Any] = {"do": [*before, *ready, recipe.turn, f"measure {{ {recipe.turn} }}"]}
    if recipe.others:
        process["thread"] = {"other": {"count": recipe.others, "do": ["signal ready", "spin"]}}
    program: Mapping[str, Any] = {
        "memory": {"heap": {"kind": "anonymous", "size": f"{4 * recipe.pages}K", "alone": False}},
        "process": {"A": process},
    }
    architecture = registry().architecture(arch)
    return prepare(Question(workload_named(program), architecture, platform, kernel, cpus=cpus))


def numbers_of(case: Case[Workload]) -> Numbers:
    """Return how often each cost is in the elapsed time of a case, as the model has it (`spent`)."""
    machine = built(case, case.setup(), Machine)
    return spent(machine, case.platform, run_machine(machine, case.platform))["elapsed_ns"]
