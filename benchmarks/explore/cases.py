"""Searches to measure, and the same protocol for Spin."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shootdown._compilation.running import runnable
from shootdown._explore import engine
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Outcome
from shootdown._explore.problem import Problem
from shootdown._explore.searches import search
from shootdown._questions.explore import explorations, ways

F = TypeVar("F", bound=Callable[..., Any])

MODEL = Path(__file__).parent / "unshare.pml"


class Case(NamedTuple):
    """One exploration, by the words of the command line."""

    scenario: str
    arch: str
    kernel: str
    path: str = "munmap"
    settings: tuple[str, ...] = ()
    sharers: int = 4

    def __str__(self) -> str:
        return " ".join((self.scenario, self.path, self.arch, self.kernel, *self.settings))

    def problem(self) -> Problem:
        """Build its machine; a case has one way of flushing."""
        (exploration,) = explorations(
            self.scenario,
            arch=[self.arch],
            kernels=[self.kernel],
            settings=self.settings,
            parameters={"sharers": self.sharers, "path": self.path},
        )
        assert exploration.refusal() is None
        ((_, setup),) = ways(exploration)
        return exploration.program.build(setup)


_KVM, _BROADCAST = ("platform.flush=kvm",), ("platform.flush=broadcast",)

#: Four sharers, all safe: the whole space is searched.
FOUR_SHARERS = (
    Case("unshare-gup", "x86", "6.15"),
    Case("unshare-gup", "x86", "6.16"),
    Case("unshare-gup", "x86", "7.0"),
    Case("unshare-gup", "x86", "6.15", "exit"),
    Case("unshare-gup", "x86", "6.16", "exit"),
    Case("unshare-gup", "x86", "7.0", "exit"),
    Case("unshare-gup", "x86", "7.0", "mprotect"),
    Case("unshare-gup", "x86", "7.0", "rmap"),
    Case("unshare-gup", "x86", "7.0", "munmap", _KVM),
    Case("unshare-gup", "arm64", "6.16"),
    Case("unshare-gup", "arm64", "7.0"),
    Case("unshare-walk-cache", "x86", "6.16"),
    Case("unshare-walk-cache", "x86", "7.0"),
    Case("unshare-walk-cache", "x86", "7.0", "exit"),
    Case("unshare-walk-cache", "x86", "7.0", "munmap", _KVM),
    Case("unshare-walk-cache", "arm64", "6.16", "mprotect"),
)

_SYNC = {"6.15": 0, "6.16": 1, "7.0": 2}
_FLUSH = {(): 1, _BROADCAST: 2, _KVM: 3, ("kernel.unshare_flush=none",): 0}

#: The same protocol for Spin, three sharers: every generation of it with every way of flushing.
VERDICTS = tuple(
    Case(scenario, "x86", kernel, "munmap", settings, 3)
    for scenario in ("unshare-gup", "unshare-walk-cache")
    for kernel in _SYNC
    for settings in _FLUSH
)
#: Safe ones with more sharers, to compare the time that the whole search takes.
BESIDE_SPIN = (
    Case("unshare-gup", "x86", "6.15"),
    Case("unshare-gup", "x86", "6.16"),
    Case("unshare-gup", "x86", "7.0"),
    Case("unshare-gup", "x86", "7.0", "munmap", _BROADCAST),
    Case("unshare-gup", "x86", "7.0", "munmap", _KVM),
    Case("unshare-walk-cache", "x86", "6.16"),
    Case("unshare-walk-cache", "x86", "7.0"),
    Case("unshare-walk-cache", "x86", "7.0", "munmap", _KVM),
    Case("unshare-gup", "x86", "7.0", "munmap", (), 5),
    Case("unshare-walk-cache", "x86", "7.0", "munmap", (), 5),
)


class Timed(NamedTuple):
    """One search from nothing: what it found, and seconds of thread CPU time in all and in the kernel alone."""

    outcome: Outcome
    seconds: float
    kernel: float


def timed(problem: Problem) -> Timed:
    """Search a machine that nobody has looked at; the kernel is the loop that makes and keeps states."""
    inside = 0.0

    def watching(function: F) -> F:
        ready = runnable(function)
        if function is not search:
            return ready

        def watched(*args: object) -> int:
            nonlocal inside
            start = time.thread_time()
            try:
                return int(ready(*args))
            finally:
                inside += time.thread_time() - start

        return watched  # type: ignore[return-value]

    start = time.thread_time()
    engine.runnable = watching
    try:
        outcome = Explorer(problem).search()
    finally:
        engine.runnable = runnable
    return Timed(outcome, time.thread_time() - start, inside)


class Verifier(NamedTuple):
    """What Spin made of a case, compiled."""

    program: Path
    slots: int

    def run(self) -> dict[str, int | str]:
        """Search everything; states are kept whole."""
        command = [self.program, f"-w{self.slots}", "-n"]
        out = subprocess.run(command, capture_output=True, text=True, cwd=self.program.parent, check=False)
        found = {
            name: re.search(pattern, out.stdout)
            for name, pattern in (
                ("errors", r"errors: (\d+)"),
                ("states", r"(\d+) states, stored"),
                ("transitions", r"(\d+) transitions"),
                ("bytes", r"State-vector (\d+) byte"),
            )
        }
        if not all(found.values()) or "max search depth too small" in out.stdout:
            raise RuntimeError(f"{command}: {out.stdout}{out.stderr}")
        numbers = {name: int(match[1]) for name, match in found.items() if match}
        return numbers | {"verdict": "bug" if numbers["errors"] else "safe"}


def spin_is_here() -> bool:
    """Whether Spin and a C compiler are installed."""
    return shutil.which("spin") is not None and shutil.which("cc") is not None


@cache
def _compiled(case: Case, where: Path, options: tuple[str, ...]) -> Path:
    folder = where / re.sub(r"\W+", "-", f"{case} {case.sharers} {options}")
    folder.mkdir()
    flags = [f"-DSHARERS={case.sharers}", f"-DSYNC={_SYNC[case.kernel]}", f"-DFLUSH={_FLUSH[case.settings]}"]
    flags += ["-DGUP"] if case.scenario == "unshare-gup" else []
    subprocess.run(["spin", "-a", *flags, MODEL], cwd=folder, check=True, capture_output=True)
    subprocess.run(["cc", "-w", "-DSAFETY", *options, "-o", "pan", "pan.c"], cwd=folder, check=True)
    return folder / "pan"


def verdict_of_spin(case: Case, where: Path) -> dict[str, int | str]:
    """Let Spin search with partial order reduction; the compiler need not optimise."""
    return Verifier(_compiled(case, where, ("-O0",)), 18).run()


def verifier(case: Case, where: Path) -> Verifier:
    """Compile Spin's verifier of a case, with a table as large as it needs: two to four slots for each state."""
    first = Verifier(_compiled(case, where, ("-O2", "-DNOREDUCE")), 20)
    states = int(first.run()["states"])
    return first._replace(slots=max((2 * states).bit_length(), 10))
