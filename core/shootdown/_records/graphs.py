"""Read the function_graph tracer: how long functions of flushes took, and which functions called them.

Both forms: ftrace's own text and `perf ftrace` (`0)   0.318 us    |    tlb_flush_mmu();`), and the funcgraph events of
trace-cmd report. The columns are those of print_graph_function() in kernel/trace/trace_functions_graph.c.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

from shootdown._records import evidence, paths, reasons
from shootdown._records.event_lines import Event, note
from shootdown._records.graphs_part import GraphsPart
from shootdown._records.groups import Latencies
from shootdown._records.shares import GENERAL
from shootdown._records.values import DAMAGED, MOST_KEYS, OTHER, READ, REST, add
from shootdown._values.recorded import StackName

_NAME = r"([A-Za-z_][\w.$]*)(?:\s\[[\w\-]+\])?"
#: [time |] cpu) [task-pid |] [flags |], and what trace-cmd has too: see _BODY.
_LINE = re.compile(
    r"\s*(?:\d+(?:\.\d+)?(?: us)? \|\s*)?(\d{1,5})\)\s+(?:(\S.{0,40}?)-(\d{1,10})\s+\|\s+)?"
    r"(?:[^\s|]{4,9}\s+\|\s+)?((?:[$@*#!+]\s*)?(?:\d+(?:\.\d+)?\s+us\s*)?\|.*)$"
)
#: [mark] [duration] | blanks, two for each level, and the function.
_BODY = re.compile(r"(?:[$@*#!+]\s*)?(?:(\d{1,12}(?:\.\d+)?)\s+us\s*)?\|(\s*)(.*)$")
_SWITCH = re.compile(r"\s*(\d{1,5})\)\s+\S.*?-(\d{1,10})\s+=>\s+\S.*?-(\d{1,10})\s*$")
_INTERRUPT = re.compile(r"\s*(?:\d+\.\d+ \|\s*)?(\d{1,5})\)\s+(?:\S.*\|\s+)?(?:(=+>)|<=+)\s*\|\s*$")
_RULE = re.compile(r"\s*-{20,}\s*$")
_BEGIN = re.compile(_NAME + r"\((.*)\)\s*([{;])\s*(?:/\*.*)?$")
#: `}`, with the function's name if its beginning isn't above, and perhaps what it returned.
_END = re.compile(r"\}\s*(?:/\*\s*(?:" + _NAME + r"(?=[\s*]))?.*)?$")
_EVENT = re.compile(r"/\*\s*([A-Za-z_]\w*):\s*(.*?)\s*\*/$")

_DEEPEST = 128
_TASKS = 1 << 16
_IN_INTERRUPT = ""  # stands for the interrupt itself among open functions

Task = tuple[int, int]


class Graphs:
    """Read lines of the function_graph tracer.

    Args:
        functions: of the architectures' flushes.
    """

    def __init__(self, functions: Iterable[StackName] = ()) -> None:
        self._functions = tuple(functions)
        self._named = {one.name: one for one in (*self._functions, *GENERAL)}
        self._open: OrderedDict[Task, list[tuple[str, int]]] = OrderedDict()
        self._running: dict[int, Task] = {}
        self.times: dict[tuple[str, str, str], Latencies] = {}
        self.functions: Counter[str] = Counter()
        self.flushes: Counter[tuple[int, int]] = Counter()
        self.sends: Counter[tuple[str, int]] = Counter()
        self.seen: Counter[str] = Counter()
        self.cpus: set[int] = set()
        self.unfinished = 0
        self.headless = 0
        self.lost = 0
        self.gaps = 0

    def take(self, line: str) -> int:
        """Take a line of ftrace's own text: OTHER, READ or DAMAGED."""
        found = _LINE.match(line)
        if found is None:
            return self._between(line)
        cpu = self._seen_on(int(found[1]))
        if found[3] is not None:
            self._running[cpu] = _task(int(found[3]), cpu)
        return self._step(self._running.get(cpu, (-1, cpu)), found[4])

    def event(self, event: Event) -> int:
        """Take a funcgraph event of trace-cmd report: READ or DAMAGED."""
        return self._step(_task(event.pid, self._seen_on(event.cpu)), event.payload)

    def stack(self, pid: int, cpu: int) -> Sequence[str]:
        """Return the functions that a task is in, as far as they are traced, innermost first."""
        return self._callers(self._open.get(_task(pid, cpu), ()))

    def lose(self, lost: int) -> None:
        """Take note that events are missing: what is open may have ended meanwhile.

        Args:
            lost: how many; below 0 where nothing tells.
        """
        self.lost += max(lost, 0)
        self.gaps += lost < 0
        self.end()

    def end(self) -> None:
        """Take note that the file is at its end."""
        self.unfinished += sum(name != _IN_INTERRUPT for frames in self._open.values() for name, _ in frames)
        self._open.clear()
        self._running.clear()

    def _seen_on(self, cpu: int) -> int:
        if len(self.cpus) < _TASKS:
            self.cpus.add(cpu)
        return cpu

    def _between(self, line: str) -> int:
        """Take a line between functions: another task, an interrupt, events that are missing."""
        switch = _SWITCH.match(line)
        if switch is not None:
            cpu = self._seen_on(int(switch[1]))
            before = self._open.pop((-1, cpu), None)
            if before is not None:
                self._open[_task(int(switch[2]), cpu)] = before
            self._running[cpu] = _task(int(switch[3]), cpu)
            return READ
        interrupt = _INTERRUPT.match(line)
        if interrupt is not None:
            cpu = self._seen_on(int(interrupt[1]))
            frames = self._frames(self._running.get(cpu, (-1, cpu)))
            if interrupt[2] is not None:
                _push(frames, _IN_INTERRUPT, -1)
            else:
                while frames and frames.pop()[0] != _IN_INTERRUPT:
                    self.unfinished += 1
            return READ
        told = note(line.strip()) if "LOST" in line else None
        if told is not None and told.lost:
            self.lose(told.lost)
            return READ
        return READ if self.functions and _RULE.match(line) else OTHER

    def _frames(self, task: Task) -> list[tuple[str, int]]:
        frames = self._open.get(task)
        if frames is None:
            frames = self._open[task] = []
            if len(self._open) > _TASKS:
                self._open.popitem(last=False)
        return frames

    def _step(self, task: Task, text: str) -> int:
        body = _BODY.match(text)
        if body is None:
            return DAMAGED
        us, blanks, call = body.groups()
        ns = None if us is None else round(float(us) * 1000)
        # A mail that squeezed the blanks leaves one; then only the braces tell what is in what.
        level = len(blanks) // 2 if len(blanks) >= 2 else -1
        frames = self._frames(task)
        begin = _BEGIN.match(call)
        if begin is not None:
            self._leave(frames, level)
            if begin[3] == ";":
                self._count(begin[1], frames, ns)
            else:
                _push(frames, begin[1], level)
            return READ
        end = _END.match(call)
        if end is not None:
            return self._end(frames, level, end[1], ns)
        event = _EVENT.match(call)
        if event is None:
            return DAMAGED
        return self._flush(event[2], frames) if event[1] == "tlb_flush" else READ

    def _leave(self, frames: list[tuple[str, int]], level: int) -> None:
        """Give up functions whose end is missing: one of their level or of one above goes on."""
        while level > 0 and frames and frames[-1][1] >= level:
            frames.pop()
            self.unfinished += 1

    def _end(self, frames: list[tuple[str, int]], level: int, name: str | None, ns: int | None) -> int:
        self._leave(frames, level + 1 if level > 0 else -1)
        told = None if name is None else paths.plain(name)
        if told is not None and any(paths.plain(one) == told for one, _ in frames):
            while paths.plain(frames[-1][0]) != told:
                self.unfinished += frames.pop()[0] != _IN_INTERRUPT
        elif (
            told is not None
            or not frames
            or frames[-1][0] == _IN_INTERRUPT
            or frames[-1][1] not in (level, -1)
        ):
            self.headless += told is None
            if told is not None:  # it began before the trace, and all that is open is in it
                self._count(told, (), ns)
            return READ
        self._count(frames.pop()[0], frames, ns)
        return READ

    def _callers(self, frames: Sequence[tuple[str, int]]) -> list[str]:
        """Return open functions, innermost first, up to what an interrupt interrupted."""
        found = []
        for name, _ in reversed(frames):
            if name == _IN_INTERRUPT:
                break
            found.append(paths.plain(name))
            if found[-1] in paths.HANDLERS:
                break
        return found

    def _count(self, name: str, frames: Sequence[tuple[str, int]], ns: int | None) -> None:
        function = paths.plain(name)
        add(self.functions, function)
        if function not in self._named:
            return
        self.seen[function] += 1
        if ns is None:
            return
        callers = self._callers(frames) if function not in paths.HANDLERS else ()
        for caller in callers:
            add(self.seen, caller)
        key = (
            function,
            callers[0] if callers else "",
            paths.attribute([function, *callers], self._functions).path,
        )
        if key not in self.times and len(self.times) >= MOST_KEYS:
            key = (function, REST, "")
        self.times.setdefault(key, Latencies()).add(ns)

    def _flush(self, payload: str, frames: Sequence[tuple[str, int]]) -> int:
        read = reasons.read(payload)
        if read is None:
            return DAMAGED
        pages, reason, spelling = read
        evidence.note_reason(self.seen, reason, spelling)
        add(self.flushes, (reason, pages), rest=(reason, -2))
        if reason == reasons.SEND:
            path = paths.attribute(self._callers(frames), self._functions).path
            add(self.sends, (path, pages), rest=("", -2))
        return READ

    def part(self) -> GraphsPart | None:
        """Return what was found, or None if there was no function."""
        if not (self.functions or self.unfinished or self.headless):
            return None
        return GraphsPart(
            times=dict(self.times),
            functions=dict(self.functions),
            flushes=dict(self.flushes),
            sends=dict(self.sends),
            evidence=dict(self.seen),
            cpus=max(self.cpus, default=-1) + 1,
            unfinished=self.unfinished,
            headless=self.headless,
            lost=self.lost,
            gaps=self.gaps,
        )


def _push(frames: list[tuple[str, int]], name: str, level: int) -> None:
    if len(frames) >= _DEEPEST:
        del frames[0]
    frames.append((name, level))


def _task(pid: int, cpu: int) -> Task:
    """Name a task: each CPU has an idle task of its own, and all of these have number 0."""
    return (pid, cpu if pid <= 0 else -1)
