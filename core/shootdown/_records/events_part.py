"""What the events of a trace tell, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._records import reasons
from shootdown._records.calls import Calls
from shootdown._records.groups import Grouping
from shootdown._records.values import Cell, Check, largest


@attrs.frozen
class EventsPart:
    """What the events of a trace tell.

    Args:
        form: the text format.
        events: how many there are of each name.
        span_ns: from the earliest event to the last one.
        flushes: `tlb_flush` events by reason and pages.
        groups: the shootdowns that they make up.
        calls: function calls on other CPUs.
        paths_from: what told the paths, and how often.
        evidence: what only some releases write.
        cpus: the least number of CPUs that the machine has.
        cpus_told: what the header says; 0 where there is none.
        lost, lost_unknown: events that are missing; gaps of unknown size.
        jumps: how often the clock went back.
        no_cpu: flushes of which the trace has no CPU.
        system_calls: how often each began.
        called: what functions that are called on other CPUs are for; empty where nothing tells.
    """

    form: str
    events: Mapping[str, int]
    span_ns: int
    flushes: Mapping[tuple[int, int], int]
    groups: Grouping
    calls: Calls
    paths_from: Mapping[str, int]
    evidence: Mapping[str, int]
    cpus: int
    cpus_told: int
    lost: int
    lost_unknown: int
    jumps: int
    no_cpu: int
    system_calls: Mapping[str, int]
    called: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "events"

    def of_reason(self, *wanted: int) -> int:
        """Return how many `tlb_flush` events have one of the reasons."""
        return sum(count for (reason, _), count in self.flushes.items() if reason in wanted)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        groups = self.groups
        if (groups.whole or groups.alone) and not self.paths_from:
            found.append(
                "from which system call or kernel path: the trace has no stacks and no sys_enter events of its senders"
            )
        if self.no_cpu:
            found.append("who answered whom: the events have no CPU column, or no time")
        if groups.headless:
            found.append(f"who sent what {groups.headless:,} answers are for: before the trace, or lost")
        if groups.ambiguous:
            found.append(
                f"to which sender {groups.ambiguous:,} of the answers are: several that are alike waited at once; "
                "their sum is exact, and how many targets each of these has is not"
            )
        if self.lost or self.lost_unknown:
            found.append("what happened while events were lost: counts are lower bounds")
        none = sum(count for (_, _, targets), count in groups.cells.items() if targets == 0)
        if none:
            found.append(
                f"whom {none:,} sends reached, if anyone: a send is traced before CPUs that are lazy or run another "
                "process are left out; nobody answered with an event"
            )
        if self.form == "perf script" and self.flushes:
            found.append(
                "whether each event is in it: perf record takes samples, unless it was run with -c 1"
            )
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return the shootdowns of user pages; without a CPU column the sends, whose targets are not known."""
        if self.no_cpu and not self.groups.whole:
            return tuple(
                Cell("", pages, None, count)
                for (reason, pages), count in sorted(self.flushes.items())
                if reason == reasons.SEND and pages != -2
            )
        return tuple(
            Cell(path, pages, targets, count)
            for (path, pages, targets), count in sorted(self.groups.cells.items())
            if pages != -2
        )

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        if not self.groups.whole:
            return ()
        most = self.groups.most_targets
        return (
            Check(
                "targets of a shootdown are at most all other CPUs",
                most <= max(self.cpus - 1, 0),
                f"{most} at most, of {self.cpus} CPUs"
                + ("" if self.cpus_told else " (the highest number in the trace + 1)"),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        groups = self.groups
        return {
            "format": self.form,
            "events": dict(self.events),
            "span_ns": self.span_ns,
            "cpus_at_least": self.cpus,
            "tlb_flush": reasons.as_rows(self.flushes),
            "shootdowns": {
                "whole": groups.whole,
                "unfinished": groups.unfinished,
                "answers_without_sender": groups.headless,
                "flushes_of_one_cpu": groups.alone,
                "answers_that_several_waited_for": groups.ambiguous,
                "senders_that_ran_the_handler": groups.own_handler,
                "by_path_pages_targets": [attrs.asdict(cell) for cell in self.cells()],
                "by_task": dict(largest(groups.who, 100)),
                "first_answer": groups.first.to_dict(),
                "last_answer": groups.last.to_dict(),
                "first_ones": [one.to_dict() for one in groups.kept],
            },
            "flushes_of_one_cpu": [
                {"path": path or None, "pages": pages, "count": n}
                for (path, pages), n in sorted(groups.alone_cells.items())
            ],
            "calls": self.calls.to_dict() if self.calls else None,
            "system_calls": dict(self.system_calls),
            "paths_from": dict(self.paths_from),
            "lost_events": self.lost,
            "lost_gaps_of_unknown_size": self.lost_unknown,
            "clock_went_back": self.jumps,
        }
