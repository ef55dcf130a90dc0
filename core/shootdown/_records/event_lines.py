"""Lines of trace events: of trace-cmd report and ftrace's text, their latency formats, and of perf script."""

from __future__ import annotations

import re
from typing import NamedTuple

import attrs

TRACE, LATENCY, PERF = "ftrace text", "ftrace latency format", "perf script"
TRACE_CMD_LATENCY = "trace-cmd latency format"

# comm-pid [(tgid)] [cpu] [flags] seconds: rest. The comm may hold blanks and hyphens.
_TRACE = re.compile(
    r"\s*(\S.{0,40}?)-(\d{1,10})\s+(?:\(\s*(?:\d+|-+)\)\s+)?\[(\d{1,5})\]\s+(?:([^\s:]{4,9})\s+)?"
    r"(\d{1,12}(?:\.\d{1,9})?):\s+(.*)$"
)
# comm-pid cpu flags microseconds us mark: rest
_LATENCY = re.compile(
    r"\s*(\S.{0,40}?)-(\d{1,10})\s+(\d{1,5})([^\s\d][^\s:]{3,8})\s+(\d{1,20})us[^\s\w]?\s*:\s+(.*)$"
)
# comm-pid cpu flags seconds: rest, where newer versions have no flags (trace-cmd report -l)
_TRACE_CMD_LATENCY = re.compile(
    r"\s*(\S.{0,40}?)-(\d{1,10})\s+(\d{1,5})(?:[^\s\d:][^\s:]{2,8})?\s+(\d{1,12}\.\d{1,9}):\s+([A-Za-z_].*)$"
)
# comm pid[/tid] [cpu] [flags] seconds: [period] system:event: rest
_PERF = re.compile(
    r"\s*(\S.{0,40}?)\s+(-?\d{1,10})(?:/(-?\d{1,10}))?\s+(?:\[(\d{1,5})\]\s+)?(?:[^\s:]{4,9}\s+)?"
    r"(\d{1,12}\.\d{1,9}):\s+(?:\d+\s+)?([A-Za-z_][\w\-]*:[A-Za-z_][\w\-]*):\s*(.*)$"
)
# [comm [pid]] [[cpu]] [seconds:] system:event: rest, as perf script -F leaves fields out
_PERF_FEW = re.compile(
    r"\s*(?:(\S.{0,40}?)\s+)??(?:\[(\d{1,5})\]\s+)?(?:(\d{1,12}\.\d{1,9}):\s+)?(?:\d+\s+)?"
    r"(?:tlb|ipi|csd|syscalls|raw_syscalls|sched|irq_vectors):([a-z_]+):\s*(.*)$"
)
_TASK = re.compile(r"(.*?)\s*(?:\d{1,10}/)?(\d{1,10})$")
_NAMED = re.compile(r"([A-Za-z_][\w.\-]*)(?::\s*|\s+(?=<stack trace)|$)(.*)$")
_CALL = re.compile(r"sys_(\w+)\s*(\(|->)(.*)$")
# ffffffff810a1b2c flush_tlb_mm_range+0x1c ([kernel.kallsyms])
_PERF_FRAME = re.compile(r"\s+([0-9a-f]{4,16})\s+(\S.*?)(?:\s+\((\S.*)\))?$")
# => flush_tlb_mm_range+0x1c/0x150 or => flush_tlb_mm_range (ffffffff810a1b2c)
_FRAME = re.compile(r"\s*(?:<[^>]*>-?\s*)?=>\s+(\S+)(?:\s+.*)?$")
_LOST = re.compile(r"\s*CPU:?\s*(\d+)\s*\[(?:LOST )?(\d*)\s*(?:LOST )?EVENTS?(?: DROPPED)?\]", re.IGNORECASE)
_PERF_LOST = re.compile(r".*PERF_RECORD_LOST(?:_SAMPLES)? (?:lost )?(\d+)")
_IN_BUFFER = re.compile(r"#\s*entries-in-buffer/entries-written:\s*(\d+)/(\d+)(?:\s+#P:(\d+))?")
_CPUS = re.compile(r"(?:cpus=|# nrcpus online : |#P:)(\d{1,6})")
_HEADER = re.compile(r"#\s*$|#\s*(?:tracer|latency|-{5}|\|| => |_-|TASK|cmd )|#.*(?:\||_-{3}|TASK-PID)")
_EMPTY = re.compile(r"\s*CPU \d+ is empty\s*$|\s*cpus=\d+\s*$|\s*version = \d+\s*$|\s*\[.*\]\s*$")

#: What sets the flags of a line apart: the letters of trace_print_lat_fmt() in kernel/trace/trace_output.c.
_FLAGS = re.compile(r"[.dDbBXa\-][.nNpBbLlgG1-9\-][.hHsSzZlLnNpb1-9#\-][0-9a-f.#\-]*$")


class Event(NamedTuple):  # made a million times for 100 MB
    """One event of a trace.

    Args:
        comm, pid: the task.
        cpu: its number, or -1 where the trace has no such column.
        flags: the flag columns as they are; empty where the trace has none.
        ns: nanoseconds.
        name: of the event, without its system; of a system call in text, `sys_enter` or `sys_exit`.
        payload: the rest of the line.
    """

    comm: str
    pid: int
    cpu: int
    flags: str
    ns: int
    name: str
    payload: str


def parse(line: str, form: str | None) -> tuple[Event, str] | None:
    """Read a line of a trace.

    Args:
        line: the line.
        form: the format of the line before, which is tried first; None for the first line.

    Returns:
        The event and its format; None if it is none.
    """
    if form is not None and (event := _OF[form](line)) is not None:
        return event, form
    for each, read in _OF.items():
        if each != form and (event := read(line)) is not None:
            return event, each
    return None


def _trace(line: str) -> Event | None:
    found = _TRACE.match(line)
    if found is None:
        return None
    comm, pid, cpu, flags, time, rest = found.groups()
    if flags is not None and _FLAGS.match(flags) is None:
        return None
    return _event(comm, int(pid), int(cpu), flags or "", nanoseconds(time), rest)


def _latency(line: str) -> Event | None:
    found = _LATENCY.match(line)
    if found is None:
        return None
    comm, pid, cpu, flags, time, rest = found.groups()
    return _event(comm, int(pid), int(cpu), flags, int(time) * 1000, rest)


def _perf(line: str) -> Event | None:
    found = _PERF.match(line)
    if found is None:
        return _perf_few(line)
    comm, pid, tid, cpu, time, name, payload = found.groups()
    task = int(tid if tid is not None else pid)
    return Event(
        comm, task, -1 if cpu is None else int(cpu), "", nanoseconds(time), name.rpartition(":")[2], payload
    )


def _perf_few(line: str) -> Event | None:
    """Read an event with some of its fields; without a time it can't be put in order with other CPUs'."""
    found = _PERF_FEW.match(line)
    if found is None:
        return None
    who, cpu, time, name, payload = found.groups()
    task = _TASK.fullmatch(who or "")
    comm, pid = (task[1], int(task[2])) if task is not None else (who or "", -1)
    if time is None:
        return Event(comm, pid, -1, "", 0, name, payload)
    return Event(comm, pid, -1 if cpu is None else int(cpu), "", nanoseconds(time), name, payload)


def _trace_cmd_latency(line: str) -> Event | None:
    found = _TRACE_CMD_LATENCY.match(line)
    if found is None:
        return None
    comm, pid, cpu, time, rest = found.groups()
    # Which flags there are depends on trace-cmd's version, and tells nothing of the kernel.
    return _event(comm, int(pid), int(cpu), "", nanoseconds(time), rest)


_OF = {TRACE: _trace, LATENCY: _latency, PERF: _perf, TRACE_CMD_LATENCY: _trace_cmd_latency}


def _event(comm: str, pid: int, cpu: int, flags: str, ns: int, rest: str) -> Event | None:
    call = _CALL.match(rest)
    if call is not None:
        name = "sys_exit" if call[2] == "->" else "sys_enter"
        return Event(comm, pid, cpu, flags, ns, name, call[1])
    named = _NAMED.match(rest)
    if named is None:  # a function of the function tracer: `func <-caller`
        return Event(comm, pid, cpu, flags, ns, "", rest) if rest.strip() else None
    return Event(comm, pid, cpu, flags, ns, named[1], named[2])


def nanoseconds(seconds: str) -> int:
    """Return nanoseconds of a decimal number of seconds, exactly."""
    whole, _, part = seconds.partition(".")
    if len(part) == 6:
        return int(whole + part) * 1000
    return int(whole) * 10**9 + int((part + "000000000")[:9])


def frame(line: str) -> str | None:
    """Return the function of a line of a stack, or None if it is none."""
    if "=>" in line:
        found = _FRAME.match(line)
        return found[1] if found is not None else None
    if line[:1] in (" ", "\t"):
        found = _PERF_FRAME.match(line)
        if found is not None:
            return found[2]
    return None


@attrs.frozen
class Note:
    """What a line says of the trace itself.

    Args:
        lost: events that are missing; -1 where it doesn't say how many.
        cpu: on which CPU; None where it doesn't say.
        cpus: how many CPUs there are; None where it doesn't say.
    """

    lost: int = 0
    cpu: int | None = None
    cpus: int | None = None


def note(line: str) -> Note | None:
    """Read a header, or a line about lost events; None if it is neither."""
    lost = _LOST.match(line)
    if lost is not None:
        return Note(lost=int(lost[2]) if lost[2] else -1, cpu=int(lost[1]))
    by_perf = _PERF_LOST.match(line)
    if by_perf is not None:
        return Note(lost=int(by_perf[1]))
    kept = _IN_BUFFER.match(line)
    if kept is not None:
        gone = int(kept[2]) - int(kept[1])
        return Note(lost=max(gone, 0), cpus=int(kept[3]) if kept[3] else None)
    cpus = _CPUS.search(line) if "cpus" in line or "#P:" in line else None
    if cpus is not None and (line.startswith(("#", "cpus="))):
        return Note(cpus=int(cpus[1]))
    if _HEADER.match(line) or _EMPTY.match(line):
        return Note()
    return None


_MASK = re.compile(r"[0-9a-f]{1,8}(?:,[0-9a-f]{8})*$")


def cpus_of_mask(text: str) -> int | None:
    """Count the CPUs of a mask as the kernel prints it, in hexadecimal words, or of a list such as `1,4-7`.

    One digit and more without a hyphen is a mask: `%*pb` always prints all digits of it.
    """
    text = text.strip().rstrip(",").lower().removeprefix("0x")
    if _MASK.match(text):
        return int(text.replace(",", ""), 16).bit_count()
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return None
        count += max(int(last or first) - int(first) + 1, 0)
    return count
