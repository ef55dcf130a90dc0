"""Read trace events: `tlb:tlb_flush` with its neighbours, from any of the text formats of a trace."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping

from shootdown._records import evidence, paths, reasons
from shootdown._records.calls import EVENTS, Calls
from shootdown._records.event_lines import LATENCY, Event, frame, note, parse
from shootdown._records.events_part import EventsPart
from shootdown._records.graphs import Graphs
from shootdown._records.groups import Flush, Grouping
from shootdown._records.values import DAMAGED, OTHER, READ, add, largest
from shootdown._values.recorded import StackName

_FRAMES = 128
#: One of them is in each header, and in each line about events that are missing.
_NOTED = ("#", "[", "=", "LOST", "CPU")
_TASKS = 1 << 16
#: How long before a flush, in ns, the caller that turned interrupts off may have been told.
_JUST_BEFORE = 20_000


class Events:
    """Read lines of trace events.

    Args:
        functions: of the architectures' flushes.
        syscalls: names of system calls by number, by architecture; only used if all agree.
        graphs: the reader of functions, whose events stand among the others.
    """

    def __init__(
        self, functions: Iterable[StackName], syscalls: Iterable[Mapping[int, str]], graphs: Graphs
    ) -> None:
        self._functions = tuple(functions)
        self._graphs = graphs
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
        self._inside: set[int] = set()
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
            told = note(line.strip()) if any(mark in line for mark in _NOTED) else None
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
            self._graphs.lose(lost)

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
        if name in ("funcgraph_entry", "funcgraph_exit"):
            return self._function(event)
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
            self._tell_path(flush, event)
        return READ

    def _function(self, event: Event) -> int:
        """Take a function of the function_graph tracer: a sender that leaves the outermost one waits no more."""
        status = self._graphs.event(event)
        left = event.name == "funcgraph_exit" and not self._graphs.stack(event.pid, event.cpu)
        if left and event.cpu in self._inside:
            self._inside.discard(event.cpu)
            self.groups.elsewhere(event.cpu)
        return status

    def _tell_path(self, flush: Flush, event: Event) -> None:
        """Note the path of a flush, where functions that its CPU is in or was in just before tell it."""
        callers, teller = self._graphs.stack(event.pid, event.cpu), "functions in the trace"
        if callers:
            self._inside.add(event.cpu)
        told = self._caller.get(event.cpu)
        if not callers and told is not None and event.ns - told[0] <= _JUST_BEFORE:
            callers, teller = told[1], "the caller that turned interrupts off"
        flush.path = paths.attribute(callers, self._functions).path
        if flush.path:
            self.paths_from[teller] += 1

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
            self.groups.elsewhere(event.cpu)
            self._in_call.pop(event.pid, None)
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
