"""Common parts of benchmarks: measuring side by side, and writing the results.

Things to compare run in turn, A B A B, in one process on one CPU, so that whatever else the machine does hits
them alike; the clock is the thread's own CPU time. A ratio is taken within each round; the table shows the
median of the rounds and the quartiles around it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shootdown._compliance.speed import on_one_cpu

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "performance.md"
RESULTS = Path(__file__).parent / "results"
ROUNDS = int(os.environ.get("SHOOTDOWN_BENCH_ROUNDS", "9"))


class Ratio(NamedTuple):
    """The ratio of two times: the median of the rounds, and the quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


class Measured:
    """Times of things that ran in turn.

    Args:
        seconds: for each thing its time in each round.
        units: the units of work in each, such as accesses.
    """

    def __init__(self, seconds: Mapping[str, list[float]], units: int) -> None:
        self.seconds = seconds
        self.units = units

    def ns(self, name: str) -> float:
        """Return the least nanoseconds for one unit, which is the time without interference."""
        return min(self.seconds[name]) / self.units * 1e9

    def ratio(self, slow: str, fast: str) -> Ratio:
        """Return the ratio of the times of `slow` and `fast`."""
        each = [a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)]
        low, median, high = statistics.quantiles(each, n=4) if len(each) > 1 else each * 3
        return Ratio(low, median, high)

    def best(self, names: list[str]) -> str:
        """Name the fastest of some, by the median of the rounds."""
        return min(names, key=lambda name: statistics.median(self.seconds[name]))


def in_turn(
    things: Mapping[str, Callable[[], Any]],
    units: int,
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.thread_time,
    pin: bool = True,
) -> Measured:
    """Run things in turn, once to warm up and then for some rounds.

    Args:
        things: what to run, by name.
        units: the units of work in each.
        rounds: the number of rounds.
        clock: thread CPU time; wall time for things with threads of their own.
        pin: stay on one CPU.
    """
    seconds: dict[str, list[float]] = {name: [] for name in things}
    with on_one_cpu() if pin else contextlib.nullcontext():
        for run in things.values():
            run()
        for _ in range(rounds):
            for name, run in things.items():
                start = clock()
                run()
                seconds[name].append(clock() - start)
    return Measured(seconds, units)


def machine() -> str:
    """Describe the machine in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.*)", info.read_text())
        model = found[1] if found else model
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return (
        f"{model}, {os.cpu_count()} CPUs, load {load:.1f} when it started, Python {platform.python_version()}"
    )


def write(section: str, title: str, lines: list[str], data: Mapping[str, Any]) -> None:
    """Replace a section of docs/reference/performance.md, and write its data as JSON.

    Args:
        section: its name; `benchmarks/results/NAME.json` too.
        title: the heading.
        lines: the text, Markdown.
        data: what was measured.
    """
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{section}.json").write_text(json.dumps(data, indent=1) + "\n")
    start, end = f"<!-- {section}: written by make bench -->", f"<!-- {section} ends -->"
    block = "\n".join([start, f"## {title}", "", *lines, end])
    page = PAGE.read_text() if PAGE.exists() else "# Performance\n"
    if start in page:
        page = page[: page.index(start)] + block + page[page.index(end) + len(end) :]
    else:
        page = page.rstrip("\n") + "\n\n" + block + "\n"
    PAGE.write_text(page)


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Write a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


class Panel(NamedTuple):
    """One picture of a row of them: how something grows, on logarithmic axes.

    Args:
        x, y: what the axes mean.
        curves: for each name its points; an empty name stands for the only curve.
    """

    x: str
    y: str
    curves: Mapping[str, Sequence[tuple[float, float]]]


def plot(file: str, panels: Sequence[Panel]) -> bool:
    """Draw panels side by side, beside the page; return whether matplotlib is there.

    Args:
        file: the name, ending in .svg.
        panels: from the left.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "shootdown"
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4 * len(panels), 3), squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        for name, points in panel.curves.items():
            ax.loglog(*zip(*points, strict=True), "o-", label=name or None, markersize=4)
        if any(panel.curves):
            ax.legend(fontsize="x-small")
        ax.set_xlabel(panel.x)
        ax.set_ylabel(panel.y)
        ax.grid(which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(PAGE.parent / file, metadata={"Date": None})
    pyplot.close(figure)
    return True
