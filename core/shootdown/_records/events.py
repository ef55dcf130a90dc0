"""Read trace events: `tlb:tlb_flush` with its neighbours, from any of the text formats of a trace."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from shootdown._records import evidence, paths, reasons
from shootdown._records.calls import EVENTS, Calls
from shootdown._records.event_lines import LATENCY, Event, frame, note, parse
from shootdown._records.groups import Flush, Grouping
from shootdown._records.values import DAMAGED, OTHER, READ, Cell, Check, add, largest
from shootdown._values.recorded import StackName

_FRAMES = 128
_TASKS = 1 << 16
#: How long before a flush, in ns, the caller that turned interrupts off may have been told.
_JUST_BEFORE = 20_000


class Events:
    """Read lines of trace events.

    Args:
        functions: of the architectures' flushes.
        syscalls: names of system calls by number, by architecture; only used if all agree.
    """

    def __init__(
        self, functions: Iterable[StackName] = (), syscalls: Iterable[Mapping[int, str]] = ()
    ) -> None:
        self._functions = tuple(functions)
        self._syscalls = tuple(syscalls)
        self._form: str | None = None
        self.forms: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.flushes: Counter[tuple[int, int]] = Counter()
        self.groups = Grouping(pathed=self._path)
        self.calls = Calls()
        self.paths_from: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.cpus: set[int] = set()
        self.cpus_told = 0
        self.lost = 0
        self.lost_unknown = 0
        self.first_ns = self.last_ns = -1
        self.jumps = 0
        self.no_cpu = 0
        self.system_calls: Counter[str] = Counter()
        self._in_call: OrderedDict[int, str] = OrderedDict()
        self._stack_of: Flush | None = None
        self._last: dict[int, Flush] = {}
        self._frames: list[str] = []
        self._caller: dict[int, tuple[int, list[str]]] = {}

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        if not line or line.isspace():
            return READ
        first = line[0]
        if self.events and first in " \t=" and (function := frame(line)) is not None:
            if len(self._frames) < _FRAMES:
                self._frames.append(paths.plain(function))
            return READ
        parsed = parse(line, self._form)
        if parsed is None:
            told = note(line.strip()) if "#" in line or "[" in line or "=" in line or "LOST" in line else None
            if told is None:
                return DAMAGED if "tlb_flush:" in line and "pages" in line else OTHER
            self._note(told.lost, told.cpus)
            return READ
        if self._frames:
            self._end_stack()
        event, self._form = parsed
        return self._event(event)

    def _note(self, lost: int, cpus: int | None) -> None:
        self.cpus_told = max(self.cpus_told, cpus or 0)
        if lost < 0:
            self.lost_unknown += 1
        self.lost += max(lost, 0)
        if lost:
            self.groups.lost()

    def _event(self, event: Event) -> int:
        assert self._form is not None
        self.forms[self._form] += 1
        if len(self.cpus) < _TASKS and event.cpu >= 0:
            self.cpus.add(event.cpu)
        if event.ns < self.last_ns - 10**8:  # another trace begins, or it is not sorted
            self.jumps += 1
            self.groups.lost()
        self.last_ns = event.ns
        self.first_ns = event.ns if self.first_ns < 0 else min(self.first_ns, event.ns)
        if event.flags:
            self._note_flags(event.flags)
        name = event.name
        add(self.events, name or "(function tracer)")
        self._stack_of = None
        if name == "tlb_flush":
            return self._flush(event)
        if name in EVENTS:
            if name.startswith("ipi_send"):
                self.seen[evidence.IPI_SEND] += 1
            elif name in ("csd_queue_cpu", "csd_function_entry"):
                self.seen[evidence.CSD_QUEUE] += 1
            return READ if self.calls.take(event) else DAMAGED
        if name.startswith("sys_"):
            self._call(event)
        elif name == "sched_switch":
            self.groups.elsewhere(event.cpu)
        elif name in ("irq_disable", "irq_enable", "preempt_disable"):
            self._irq(event)
        elif name in ("kernel_stack", "user_stack") or event.payload.startswith("<stack trace"):
            self._stack_of = self._last.get(event.cpu) if name != "user_stack" else None
        return READ

    def _flush(self, event: Event) -> int:
        read = reasons.read(event.payload)
        if read is None:
            return DAMAGED
        pages, reason, spelling = read
        evidence.note_reason(self.seen, reason, spelling)
        add(self.flushes, (reason, pages), rest=(reason, -2))
        if event.cpu < 0:
            self.no_cpu += 1
            return READ
        flush: Flush | None = None
        if reason == reasons.SEND:
            flush = self.groups.send(event.cpu, event.pid, event.comm, event.ns, pages)
        elif reason in (reasons.LOCAL, reasons.LOCAL_MM):
            flush = self.groups.local(event.cpu, event.pid, event.comm, event.ns, pages)
        elif reason in (reasons.REMOTE, reasons.WRONG):
            self.groups.remote(event.cpu, event.comm, event.ns, pages)
        else:
            self.groups.elsewhere(event.cpu)
        self._stack_of = flush
        if len(self._last) < _TASKS or event.cpu in self._last:
            if flush is not None:
                self._last[event.cpu] = flush
            else:
                self._last.pop(event.cpu, None)
        if flush is not None and not flush.path:
            told = self._caller.get(event.cpu)
            if told is not None and event.ns - told[0] <= _JUST_BEFORE:
                flush.path = paths.attribute(told[1], self._functions).path
                self.paths_from["the caller that turned interrupts off"] += bool(flush.path)
        return READ

    def _path(self, flush: Flush) -> str:
        """Return the path of a flush without a stack: the system call that its task is in."""
        call = self._in_call.get(flush.pid)
        if call is None:
            return ""
        self.paths_from["system calls in the trace"] += 1
        return paths.path_of_syscall(call)

    def _call(self, event: Event) -> None:
        name, payload = event.name, event.payload
        if name.startswith("sys_exit"):
            # A flush of this call counts before its path is forgotten.
            if event.pid in self._in_call:
                self.groups.elsewhere(event.cpu)
                del self._in_call[event.pid]
            return
        call = name.removeprefix("sys_enter").lstrip("_")
        if not call:
            call = self._numbered(payload) if payload.startswith("NR ") else payload
        if not call:
            return
        self.groups.elsewhere(event.cpu)
        add(self.system_calls, call)
        self._in_call[event.pid] = call
        if len(self._in_call) > _TASKS:
            self._in_call.popitem(last=False)

    def _numbered(self, payload: str) -> str:
        digits = payload[3:].split(" ", 1)[0]
        if not digits.isdecimal() or len(digits) > 6:
            return ""
        number = int(digits)
        names = {table[number] for table in self._syscalls if number in table}
        tables = sum(number in table for table in self._syscalls)
        if len(names) == 1 and (tables == len(self._syscalls) or len(self._syscalls) == 1):
            return names.pop()
        return f"NR {number}" if len(self._syscalls) != 1 else ""

    def _irq(self, event: Event) -> None:
        words = event.payload.replace("=", " ").split()
        callers = [
            paths.plain(words[i + 1]) for i, word in enumerate(words[:-1]) if word in ("caller", "parent")
        ]
        if callers and (event.cpu in self._caller or len(self._caller) < _TASKS):
            self._caller[event.cpu] = (event.ns, callers)

    def _end_stack(self) -> None:
        frames, self._frames = self._frames, []
        for name in frames:
            add(self.seen, name)
        flush = self._stack_of
        if flush is not None:
            found = paths.attribute(frames, self._functions)
            if found.path:
                flush.path = found.path
                self.paths_from["stacks"] += 1

    def _note_flags(self, flags: str) -> None:
        if self._form == LATENCY and len(flags) >= 7:
            self.seen[evidence.FLAGS_MORE] += 1
        elif len(flags) == 4:
            self.seen[evidence.FLAGS_4] += 1
        elif len(flags) == 5:
            self.seen[evidence.FLAGS_5] += 1

    def end(self) -> None:
        """Take note that the file is at its end."""
        if self._frames:
            self._end_stack()
        self.groups.end()

    def part(self) -> EventsPart | None:
        """Return what was found, or None if there was no event."""
        if not self.events:
            return None
        seen = dict(self.seen)
        if self.groups.send_first > 10 * self.groups.local_first:
            seen[evidence.SEND_FIRST] = self.groups.send_first
        elif self.groups.local_first > 10 * self.groups.send_first:
            seen[evidence.LOCAL_FIRST] = self.groups.local_first
        return EventsPart(
            form=self.forms.most_common(1)[0][0],
            events=dict(largest(self.events)),
            span_ns=max(self.last_ns - self.first_ns, 0),
            flushes=dict(self.flushes),
            groups=self.groups,
            calls=self.calls,
            paths_from=dict(self.paths_from),
            evidence=seen,
            cpus=max(self.cpus_told, len(self.cpus), max(self.cpus, default=-1) + 1),
            cpus_told=self.cpus_told,
            lost=self.lost,
            lost_unknown=self.lost_unknown,
            jumps=self.jumps,
            no_cpu=self.no_cpu,
            system_calls=dict(largest(self.system_calls)),
            called=self._called(),
        )

    def _called(self) -> Mapping[str, str]:
        """Say what functions that are called on other CPUs are for."""
        names = {*self.calls.sent, *self.calls.callbacks, *self.calls.runs, *self.calls.own}
        found = {name: paths.attribute([name], self._functions) for name in names}
        return {name: one.path or ("user pages" if one.flushes else "") for name, one in found.items()}


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
            "tlb_flush": [
                {
                    "reason": reasons.NAMES[reason],
                    "number": reason,
                    "pages": None if pages == -2 else pages,
                    "count": n,
                }
                for (reason, pages), n in sorted(self.flushes.items())
            ],
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
