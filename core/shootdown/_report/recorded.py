"""The report of a recording: what happened, from where, in which releases, and what can't be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shootdown._records.benchmarks import BenchmarksPart
from shootdown._records.events_part import EventsPart
from shootdown._records.file_reading import FileRead
from shootdown._records.graphs_part import GraphsPart
from shootdown._records.interrupts import InterruptsPart
from shootdown._records.lockups import LockupsPart
from shootdown._records.perf_stat import PerfStatPart
from shootdown._records.recording import Recording
from shootdown._records.shares import SharesPart
from shootdown._records.stacks import StacksPart
from shootdown._records.values import Check
from shootdown._records.vmstat import VmstatPart
from shootdown._report.recorded_counters import benchmarks, interrupts, perf_stat, vmstat
from shootdown._report.recorded_events import events
from shootdown._report.recorded_graphs import graphs
from shootdown._report.recorded_logs import lockups
from shootdown._report.recorded_stacks import shares, stacks
from shootdown._report.recorded_text import listed
from shootdown._report.text import exact, paragraph


def lines(recording: Recording, width: int) -> Iterator[str]:
    """Write the report.

    Args:
        recording: what was read.
        width: columns of text that there are.
    """
    for part in recording.parts:
        yield from _WRITERS[type(part)](part, width)
        yield ""
    yield from _origin(recording, width)
    yield from listed("Checked:", (_check(one) for one in recording.checks), width)
    yield from listed("Not known from this:", recording.unknown, width)
    yield from listed("Read:", (_file(one) for one in recording.files), width)


def _origin(recording: Recording, width: int) -> Iterator[str]:
    found = recording.releases
    arch = " or ".join(recording.archs) or "an architecture that it does not tell"
    contradiction = found.contradiction
    release = (
        "no one release writes all of it: backports, or recordings of several kernels"
        if contradiction
        else f"release {found}"
        if str(found) != "any"
        else "any release"
    )
    yield from paragraph(f"From {arch}, {release}.", width, rest="  ")
    for one in found.seen:
        bounds = (
            f"{one.first} to {one.last}"
            if one.first and one.last and one.first != one.last
            else f"{one.first} or later"
            if one.first and not one.last
            else f"{one.last} or earlier"
            if one.last and not one.first
            else one.first or "any"
        )
        yield from paragraph(f"{bounds}: {one.doc} ({one.source})", width, first="  ", rest="    ")
    yield ""


def _check(one: Check) -> str:
    word = {True: "holds", False: "FAILS", None: "does not hold here, and need not"}[one.holds]
    return f"{word}: {one.what}: {one.text}"


def _file(one: FileRead) -> str:
    text = f"{one.path}: {exact(one.understood)} of {exact(one.lines)} line{'' if one.lines == 1 else 's'} understood"
    if one.damaged:
        text += f", {exact(one.damaged)} damaged"
    if one.others:
        text += f", {exact(one.others)} of no form that is known"
    if one.first is not None:
        text += f"; the first: line {exact(one.first[0])}, {one.first[1]!a}"
    return text + (f"; it ends too early: {one.fault}" if one.fault else "")


_WRITERS: Mapping[type, Callable[[Any, int], Iterator[str]]] = {
    EventsPart: events,
    GraphsPart: graphs,
    SharesPart: shares,
    StacksPart: stacks,
    InterruptsPart: interrupts,
    VmstatPart: vmstat,
    PerfStatPart: perf_stat,
    LockupsPart: lockups,
    BenchmarksPart: benchmarks,
}
