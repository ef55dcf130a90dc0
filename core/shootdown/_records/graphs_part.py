"""What the function_graph tracer tells, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._records import reasons
from shootdown._records.groups import Latencies
from shootdown._records.values import Cell, Check, largest

#: What `tlb_flush` events tell.
SENT = "how many of the calls sent interrupts, of how many pages and to how many CPUs"


@attrs.frozen
class GraphsPart:
    """How long functions took, by what called them.

    Args:
        times: of functions of flushes, by function, caller and kernel path; the last two empty where nothing tells.
        functions: how often each function was called, those of no flush too.
        flushes: `tlb_flush` events among the functions, by reason and pages.
        sends: those that sent interrupts, by kernel path and pages.
        evidence: what only some releases write.
        cpus: the least number of CPUs that the machine has.
        unfinished: calls whose end is not in the trace.
        headless: ends of calls whose function is not in the trace.
        lost, gaps: events that are missing; gaps of unknown size.
    """

    times: Mapping[tuple[str, str, str], Latencies]
    functions: Mapping[str, int]
    flushes: Mapping[tuple[int, int], int]
    sends: Mapping[tuple[str, int], int]
    evidence: Mapping[str, int]
    cpus: int
    unfinished: int
    headless: int
    lost: int
    gaps: int

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "function graph"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = ["how long without the tracer: what is traced inside a function adds the tracer's cost to it"]
        if self.times:
            found.append(
                "what a duration is made of, where the trace doesn't go on below: waiting for other CPUs, interrupts "
                "and other tasks are in it"
            )
        if not self.flushes:
            found.append(
                f"{SENT}: functions don't tell; record the event tlb:tlb_flush too, where there is one"
            )
        elif self.sends:
            found.append("how many targets each shootdown has: the lines of this tracer tell no task")
        if any(not path for _, _, path in self.times):
            found.append(
                "from which kernel path calls come whose callers are not traced; one that runs in an interrupt "
                "stands in the function that was interrupted, unless the interrupt is traced too"
            )
        if self.lost or self.gaps:
            found.append("what happened while events were lost: counts are lower bounds")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return the shootdowns of user pages: the sends; their targets are not known."""
        return tuple(
            Cell(path, pages, None, count)
            for (path, pages), count in sorted(self.sends.items())
            if pages != -2
        )

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it: none."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "durations": [
                {"function": function, "caller": caller or None, "path": path or None, **times.to_dict()}
                for (function, caller, path), times in sorted(self.times.items())
            ],
            "functions": dict(largest(self.functions, 100)),
            "tlb_flush": reasons.as_rows(self.flushes),
            "sends_by_path_pages": [attrs.asdict(cell) for cell in self.cells()],
            "cpus_at_least": self.cpus,
            "calls_without_end": self.unfinished,
            "ends_without_function": self.headless,
            "lost_events": self.lost,
            "lost_gaps_of_unknown_size": self.gaps,
        }
