"""Read whole recordings: every line is offered to the readers, and what they found is checked against one another."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._records import evidence
from shootdown._records.benchmarks import Benchmarks
from shootdown._records.events import Events
from shootdown._records.events_part import EventsPart
from shootdown._records.evidence import EVIDENCE, Releases
from shootdown._records.file_reading import BINARY, INTERRUPTED, FileRead, offer, read_file
from shootdown._records.graphs import Graphs
from shootdown._records.graphs_part import SENT as SENT_OF_CALLS
from shootdown._records.interrupts import Interrupts, InterruptsPart
from shootdown._records.lockups import Lockups
from shootdown._records.perf_stat import PerfStat, PerfStatPart
from shootdown._records.shares import Shares, SharesPart
from shootdown._records.stacks import Stacks
from shootdown._records.values import CUT, READ, Cell, Check, Part, Reader
from shootdown._records.vmstat import RECEIVED, SENT, Vmstat, VmstatPart
from shootdown._values.errors import ShootdownError
from shootdown._values.recorded import Recorded

_WIDEST = 72  # characters of a line that is shown in an error


@attrs.frozen
class Recording:
    """What was read from one or more files.

    Args:
        files: how each was read.
        parts: what was found.
        archs: names of the architectures that it can come from; empty where nothing tells.
        releases: the releases.
        checks: cross-checks, within parts and between them.
        unknown: what can't be known from it.
        cpus: of the machine, at least; 0 where nothing tells.
    """

    files: tuple[FileRead, ...]
    parts: tuple[Part, ...]
    archs: tuple[str, ...]
    releases: Releases
    checks: tuple[Check, ...]
    unknown: tuple[str, ...]
    cpus: int

    def cells(self) -> tuple[Cell, ...]:
        """Return the shootdowns of user pages that the most detailed part tells."""
        found = [part.cells() for part in self.parts]
        known = [cells for cells in found if cells]
        return max(known, key=_detail, default=())

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "schema": 1,
            "files": [attrs.asdict(one) for one in self.files],
            "architectures": list(self.archs),
            "cpus_at_least": self.cpus or None,
            "releases": self.releases.to_dict(),
            "parts": [{"kind": part.kind, **part.to_dict()} for part in self.parts],
            "checks": [attrs.asdict(check) for check in self.checks],
            "unknown": list(self.unknown),
        }


def _detail(cells: Sequence[Cell]) -> tuple[bool, bool, bool, float]:
    return (
        any(cell.targets is not None for cell in cells),
        any(cell.pages is not None for cell in cells),
        any(cell.path for cell in cells),
        sum(cell.count for cell in cells),
    )


def looks_like(start: bytes) -> str | None:
    """Say what the beginning of a file looks like, if `read` takes it: a few words, or None.

    Args:
        start: the first bytes, unpacked.
    """
    for magic, words in BINARY[:2]:
        if start.startswith(magic):
            return words.partition(":")[0]
    if b"\0" in start[:512]:
        return None
    readers = _readers({})
    names = dict(zip(map(id, readers), _WORDS, strict=True))
    taken: dict[int, int] = {}
    sticky: Reader | None = None
    for text in start.decode("utf-8", "replace").splitlines()[:60]:
        line = text.rstrip("\r")
        if not line.strip():
            continue
        sticky, status = offer(line, readers, sticky)
        if status & ~CUT == READ and sticky is not None:
            taken[id(sticky)] = taken.get(id(sticky), 0) + 1
    for reader in readers:
        reader.end()
    found = [(count, key) for key, count in taken.items()]
    for _, key in sorted(found, reverse=True):
        reader = next(one for one in readers if id(one) == key)
        if reader.part() is not None:
            return names[key]
    return None


_WORDS = (
    "a trace of events",
    "a trace of functions",
    "counts by stack of bpftrace",
    "/proc/interrupts",
    "perf report's or perf top's shares",
    "perf stat's counts",
    "LKP's comparison",
    "a kernel log with lockups",
    "/proc/vmstat",
)


def _readers(known: Mapping[str, Recorded]) -> list[Reader]:
    functions = [one for each in known.values() for one in each.functions]
    rows = [row for each in known.values() for row in each.rows]
    graphs = Graphs(functions)
    return [
        Events(functions, [each.syscalls for each in known.values() if each.syscalls], graphs),
        graphs,
        Stacks(functions),
        Interrupts(rows),
        Shares(functions),
        PerfStat(),
        Benchmarks(),
        Lockups(functions),
        Vmstat(),
    ]


def read(
    paths: Iterable[str | os.PathLike[str]],
    known: Mapping[str, Recorded],
    *,
    arch: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Recording:
    """Read recordings of one machine.

    Args:
        paths: files in the order of time, packed or not; `-` is standard input.
        known: what each architecture's kernels write, by its name.
        arch: the architecture, where a person knows it; None: told by the files.
        progress: called now and then with the bytes that were read since the last time.

    Raises:
        ShootdownError: a file can't be opened, or none has anything that is known.
    """
    chosen = dict(known) if arch is None else {arch: known[arch]}
    readers = _readers(chosen)
    marks = {name: pattern for name, each in known.items() if (pattern := each.pattern) is not None}
    marked: dict[str, int] = {}
    files = []
    for path in paths:
        files.append(read_file(path, readers, marks, marked, progress))
        if files[-1].fault == INTERRUPTED:
            break
    parts = tuple(part for reader in readers if (part := reader.part()) is not None)
    if not parts and files and files[-1].fault == INTERRUPTED:
        raise KeyboardInterrupt
    if not parts:
        log = next(reader for reader in readers if isinstance(reader, Lockups))
        raise ShootdownError(_nothing(files, log.logged))
    told = _archs(parts, known, marked)
    archs = told if arch is None else (arch,)
    table = [*EVIDENCE, *(one for name in archs for one in chosen[name].evidence)]
    seen = {name: count for part in parts for name, count in part.evidence.items()}
    named = [one for part in parts for one in getattr(part, "releases", ()) if one]
    cpus = max((int(getattr(part, "cpus", 0)) for part in parts), default=0)
    kinds = {part.kind for part in parts}
    found = evidence.releases(seen, table, named)
    silent = [
        one.doc
        for one in (chosen[archs[0]].silent if len(archs) == 1 else ())
        if kinds & {*one.kinds} and evidence.may_be(found, one.first)
    ]
    unknown = list(dict.fromkeys([*(text for part in parts for text in part.unknown), *silent]))
    if any(isinstance(part, VmstatPart) and part.cells() for part in parts):
        unknown = [text for text in unknown if not text.startswith("how many shootdowns there were")]
    if any(isinstance(part, EventsPart) and part.flushes for part in parts):
        unknown = [text for text in unknown if not text.startswith(SENT_OF_CALLS)]
    if not archs:
        unknown.append("which architecture it is from: give --arch")
    checks = [check for part in parts for check in part.checks()]
    if arch is not None and told and arch not in told:
        checks.insert(0, Check(f"the files are from {arch}", False, f"they tell {' or '.join(told)}"))
    return Recording(
        files=tuple(files),
        parts=parts,
        archs=archs,
        releases=found,
        checks=(*checks, *_across(parts, cpus)),
        unknown=tuple(unknown),
        cpus=cpus,
    )


def _nothing(files: Sequence[FileRead], logged: int) -> str:
    one = files[0]
    name = one.path if len(files) == 1 else f"{one.path} and {len(files) - 1} more"
    if not any(file.lines for file in files):
        return f"recording {name}: {one.fault or 'it is empty'}"
    if 2 * logged > sum(file.lines for file in files):
        return f"recording {name}: a kernel log without a report of a CSD lock or a soft lockup"
    shown = f"; its first line is {_short(ascii(one.first[1]))}" if one.first is not None else ""
    return f"recording {name}: nothing in it is of a form that is known{shown}"


def _short(text: str) -> str:
    """Cut what has more escapes than letters, such as the line of a binary file."""
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _archs(
    parts: Sequence[Part], known: Mapping[str, Recorded], marked: Mapping[str, int]
) -> tuple[str, ...]:
    """Return the architectures that the parts can come from."""
    votes: dict[str, int] = dict(marked)
    for part in parts:
        if isinstance(part, EventsPart):
            for name, each in known.items():
                votes[name] = votes.get(name, 0) + sum(part.events.get(event, 0) for event in each.events)
        elif isinstance(part, SharesPart | PerfStatPart):
            names = _event_names(part)
            for name, each in known.items():
                votes[name] = votes.get(name, 0) + sum(event in names for event in each.events)
        functions = part.evidence
        for name, each in known.items():
            own = {one.name for one in each.functions} - {
                one.name for other, more in known.items() if other != name for one in more.functions
            }
            votes[name] = votes.get(name, 0) + sum(function in functions for function in own)
    most = max(votes.values(), default=0)
    return tuple(name for name, count in votes.items() if count == most) if most else ()


def _event_names(part: SharesPart | PerfStatPart) -> set[str]:
    """Return the names of events that were counted or sampled, without their systems."""
    if isinstance(part, PerfStatPart):
        return {name.rpartition(":")[2] for run in part.runs for name in run}
    return {name.rpartition(":")[2] for name in part.events} | ({"tlb_flush"} if part.flushes else set())


def _across(parts: Sequence[Part], cpus: int) -> list[Check]:
    """Check parts against one another."""
    rows = next((part for part in parts if isinstance(part, InterruptsPart)), None)
    counters = next((part for part in parts if isinstance(part, VmstatPart)), None)
    events = next((part for part in parts if isinstance(part, EventsPart)), None)
    stat = next((part for part in parts if isinstance(part, PerfStatPart)), None)
    tlb = rows.row("shootdown") if rows is not None else None
    found = []
    if tlb is not None and counters is not None and RECEIVED in counters.values:
        received = counters.values[RECEIVED]
        alike = (tlb.delta is None) == (counters.delta is None)
        apart = abs(tlb.total - received)
        # The two files are read one after the other, and flush_tlb_all() is in the counter alone.
        near = apart <= max(received // 50, 100)
        found.append(
            Check(
                f"the {tlb.name} row sums to {RECEIVED}",
                near if alike else None,
                f"{tlb.total:,} and {received:,}"
                + ("" if alike else "; one is since boot, the other a difference")
                + ("; flush_tlb_all() is in the counter alone" if received > tlb.total else ""),
            )
        )
    if counters is not None and counters.targets is not None and cpus:
        mean = counters.targets
        found.append(
            Check(
                f"{RECEIVED} is at most {SENT} x (CPUs - 1)",
                mean <= max(cpus - 1, 1) + 1e-9,
                f"{mean:.2f} targets each, of {cpus} CPUs",
            )
        )
    if tlb is not None and stat is not None:
        counts = [run["tlb:tlb_flush"] for run in stat.runs if "tlb:tlb_flush" in run]
        for i, (count, total) in enumerate(itertools.zip_longest(counts, tlb.sums)):
            if count is None or total is None:
                break
            which = f" (output {i + 1})" if len(counts) > 1 else ""
            found.append(
                Check(
                    f"the {tlb.name} row is at most the tlb_flush events of the same time{which}",
                    True if total <= count else None,
                    f"{total:,} and {count:,}"
                    + ("" if total <= count else ": the row is since boot, the events are of the run alone"),
                )
            )
    if events is not None and tlb is not None and tlb.delta is not None:
        answers = events.of_reason(1, 5)
        found.append(
            Check(
                f"answers in the trace are at most the {tlb.name} row's difference",
                answers <= tlb.total,
                f"{answers:,} and {tlb.total:,}",
            )
        )
    return found
