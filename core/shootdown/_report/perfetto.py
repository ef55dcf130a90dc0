"""A timeline as Chrome's JSON trace format, which ui.perfetto.dev opens: one track for each CPU.

Perfetto's importer wants the slices of a track to nest. Steps don't overlap each other, nor do interrupts, but an
interrupt can begin in one step and end in the gap after it. Then the step's slice ends where the interrupt begins,
or begins where it ends. Arrows are `bind_id` with `flow_out` and `flow_in`, one number
for all interrupts of a sending. A counter has how many IPIs were sent whose handlers have not returned.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import attrs

from shootdown._report.timeline import Event
from shootdown._values.outputs import replacing

_PS_PER_NS = 1000
#: The name of the counter's track.
COUNTER = "IPIs in flight"


def write_trace(
    path: Path, events: Iterable[Event], *, cpus: int, process: str, about: Mapping[str, Any]
) -> int:
    """Write a timeline to a file, gzipped if its name ends in `.gz`; returns how many slices it has.

    Args:
        path: where to.
        events: in the order of their beginning.
        cpus: how many are online; each gets a track, also one on which nothing happens.
        process: the name of the one process.
        about: metadata of the file, as JSON.

    Raises:
        ShootdownError: it can't be written; a file that was there is as it was.
    """
    with replacing(path, packed=path.suffix == ".gz") as stream:
        return _write(stream, events, cpus, process, about)


def _write(stream: TextIO, events: Iterable[Event], cpus: int, process: str, about: Mapping[str, Any]) -> int:
    slices = 0
    stream.write('{"displayTimeUnit": "ns", "otherData": ')
    stream.write(json.dumps(dict(about)))
    stream.write(', "traceEvents": [\n')
    stream.write(json.dumps({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": process}}))
    for cpu in range(cpus):
        for name, args in (
            ("thread_name", {"name": f"CPU {cpu}"}),
            ("thread_sort_index", {"sort_index": cpu}),
        ):
            _append(stream, {"ph": "M", "name": name, "pid": 1, "tid": cpu + 1, "args": args})
    flight = InFlight()
    for event in nested(flight.seen(events)):
        _append(stream, as_slice(event))
        slices += 1
    for time, count in flight.counts():
        value = {"ph": "C", "name": COUNTER, "pid": 1, "ts": _microseconds(time), "args": {"IPIs": count}}
        _append(stream, value)
    stream.write("\n]}\n")
    return slices


class InFlight:
    """Count the IPIs that are under way: from the beginning of their sending until their handlers return."""

    def __init__(self) -> None:
        self._sent: dict[int, int] = {}  # sending, and when it began, in nanoseconds
        self._changes: dict[int, int] = {}  # time, and how many more are under way from then on

    def seen(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield events as they are, in the order of their beginning, and remember their interrupts."""
        for event in events:
            if event.kind != "interrupt" and event.send is not None:
                self._sent[event.send] = event.begin // _PS_PER_NS
            elif event.kind == "interrupt":
                begin = event.begin // _PS_PER_NS
                sent = self._sent.get(event.send, begin) if event.send is not None else begin
                end = max(event.end // _PS_PER_NS, sent + 1)
                self._changes[sent] = self._changes.get(sent, 0) + 1
                self._changes[end] = self._changes.get(end, 0) - 1
            yield event

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yield each time in nanoseconds at which the number changes, and the number from then on."""
        count = 0
        if self._changes and 0 not in self._changes:
            yield 0, 0
        for time in sorted(self._changes):
            if self._changes[time]:
                count += self._changes[time]
                yield time, count


def _append(stream: TextIO, value: Mapping[str, Any]) -> None:
    stream.write(",\n")
    stream.write(json.dumps(value))


def as_slice(event: Event) -> dict[str, Any]:
    """Return an event as one complete slice; times in microseconds, of whole nanoseconds as Perfetto keeps them."""
    begin, end = event.begin // _PS_PER_NS, event.end // _PS_PER_NS
    name = f"{event.name}: {event.text}" if event.text and event.kind != "interrupt" else event.name
    args: dict[str, Any] = {"what": event.text}
    if event.task is not None:
        args["task"] = event.task
    if event.sender is not None:
        args["from"] = f"CPU {event.sender}"
    value: dict[str, Any] = {
        "ph": "X",
        "name": name,
        "cat": event.kind,
        "pid": 1,
        "tid": event.cpu + 1,  # Perfetto takes 0 for no thread
        "ts": _microseconds(begin),
        "dur": _microseconds(end - begin),
        "args": args,
    }
    if event.send is not None:
        value["bind_id"] = event.send
        value["flow_in" if event.kind == "interrupt" else "flow_out"] = True
    return value


def nested(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events, with steps and waits cut so that on each CPU any two are disjoint or nested.

    Args:
        events: in the order of their beginning.
    """
    held: dict[int, list[Event]] = {}  # a step that may still be cut, and the interrupts within
    busy: dict[int, int] = {}
    for event in events:
        group = held.get(event.cpu)
        if group and (event.kind != "interrupt" or event.begin >= group[0].end):
            yield from _cut(group)
            del held[event.cpu]
            group = None
        if event.kind != "interrupt":
            begin = max(event.begin, min(busy.get(event.cpu, 0), event.end))
            held[event.cpu] = [attrs.evolve(event, begin=begin)]
            continue
        busy[event.cpu] = event.end
        if group:
            group.append(event)
        else:
            yield event
    for group in held.values():
        yield from _cut(group)


def _cut(group: list[Event]) -> list[Event]:
    """Cut a step where an interrupt begins that ends after it."""
    step, *interrupts = group
    for interrupt in interrupts:
        if step.begin <= interrupt.begin < step.end < interrupt.end:
            step = attrs.evolve(step, end=interrupt.begin)
    return [step, *interrupts]


def _microseconds(nanoseconds: int) -> float:
    """Return a float that, times 1000 and cut off as Perfetto reads it, is the whole number again."""
    value = nanoseconds / 1000
    return value if int(value * 1000.0) == nanoseconds else math.nextafter(value, math.inf)
