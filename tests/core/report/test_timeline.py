"""The timeline in words, and as Perfetto reads it: slices nest, arrows lead from a sending to its interrupts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.timed.clocked import Doing, platform, scripted

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._report.perfetto import COUNTER, InFlight, as_slice, nested, write_trace
from shootdown._report.timeline import OUTSIDE, Event, cpus_of, timeline
from shootdown._timed.run import run_machine


def ran() -> list[Event]:
    """Sync twice with two CPUs."""

    def sync(asm: Assembler) -> None:
        with asm.loop(2), asm.function("tlb_remove_table_sync_one", "mm/mmu_gather.c"):
            asm.target_all_online()
            asm.send(o.CALL_SYNC, 0, text="IPI: nothing to do")
            asm.wait_for_answers()

    def busy(asm: Assembler) -> None:
        asm.work("user_ns", 20, text="user mode")

    machine = scripted(Doing(sync), Doing(busy, cpu=1), Doing(busy, cpu=2))
    return list(timeline(machine.code, run_machine(machine, platform(), events=100).events))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return ran()


def test_events_come_in_the_order_of_their_beginning(events: list[Event]) -> None:
    assert [event.begin for event in events] == sorted(event.begin for event in events)
    assert all(event.begin <= event.end for event in events)


def test_a_step_has_the_words_of_its_program_and_its_task(events: list[Event]) -> None:
    sends = [event for event in events if event.kind == "step" and event.send]
    assert {(event.name, event.text, event.task, event.cpu) for event in sends} == {
        ("tlb_remove_table_sync_one", "IPI: nothing to do", 0, 0)
    }


def test_what_stands_for_no_kernel_function_is_outside(events: list[Event]) -> None:
    assert {event.name for event in events if event.text == "user mode"} == {OUTSIDE}


def test_an_interrupt_names_its_handler_and_who_sent_it(events: list[Event]) -> None:
    taken = [event for event in events if event.kind == "interrupt"]
    assert {(event.name, event.text, event.sender) for event in taken} == {
        ("tlb_remove_table_smp_sync", "interrupt from CPU 0", 0)
    }
    assert [event.cpu for event in taken] == [1, 2, 1, 2]


def test_interrupts_belong_to_the_sending_before_them(events: list[Event]) -> None:
    numbers = [event.send for event in events if event.kind == "interrupt"]
    assert numbers == [1, 1, 2, 2]


def test_waiting_for_answers_is_an_event_of_its_own(events: list[Event]) -> None:
    assert len([event for event in events if event.kind == "wait"]) == 2


def test_a_timeline_says_which_cpus_it_has_events_of() -> None:
    import numpy as np

    rows = np.array([[0, 0, 1, cpu, 0, 0] for cpu in (3, 1, 3)])
    assert cpus_of(rows) == [1, 3]


# --- Perfetto


def event(kind: str, begin: int, end: int, cpu: int = 0) -> Event:
    return Event(kind, begin, end, cpu, "f", "text")


def test_a_step_ends_where_an_interrupt_begins_that_outlasts_it() -> None:
    found = list(nested([event("step", 0, 10), event("interrupt", 8, 12)]))
    assert [(one.kind, one.begin, one.end) for one in found] == [("step", 0, 8), ("interrupt", 8, 12)]


def test_a_step_begins_where_an_interrupt_ends_that_was_there_first() -> None:
    found = list(nested([event("interrupt", 8, 12), event("step", 10, 20)]))
    assert [(one.kind, one.begin, one.end) for one in found] == [("interrupt", 8, 12), ("step", 12, 20)]


def test_an_interrupt_within_a_step_cuts_nothing() -> None:
    given_ = [event("step", 0, 20), event("interrupt", 8, 12)]
    assert list(nested(given_)) == given_


@st.composite
def tracks(draw: st.DrawFn) -> list[Event]:
    """Draw steps one after another, and interrupts one after another, on two CPUs."""
    found = []
    for cpu in (0, 1):
        for kind in ("step", "interrupt"):
            now = 0
            for gap, length in draw(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=6)):
                found.append(event(kind, now + gap, now + gap + length, cpu))
                now += gap + length
    return sorted(found, key=lambda one: (one.begin, one.kind != "step"))


@given(tracks())
def test_on_each_cpu_two_slices_are_apart_or_one_is_within_the_other(found: list[Event]) -> None:
    slices = list(nested(found))
    assert len(slices) == len(found)
    for at, one in enumerate(slices):
        for other in slices[:at]:
            if one.cpu != other.cpu:
                continue
            apart = one.end <= other.begin or other.end <= one.begin
            within = (one.begin >= other.begin and one.end <= other.end) or (
                other.begin >= one.begin and other.end <= one.end
            )
            assert apart or within, (one, other)


@given(tracks())
def test_interrupts_are_never_cut_and_steps_only_get_shorter(found: list[Event]) -> None:
    slices = list(nested(found))
    kept, meant = ([one for one in some if one.kind == "interrupt"] for some in (slices, found))
    assert sorted(kept, key=str) == sorted(meant, key=str)
    steps = [(one.begin, one.end) for one in found if one.kind == "step"]
    for one in slices:
        if one.kind == "step":
            assert any(begin <= one.begin and one.end <= end for begin, end in steps)


@given(st.integers(0, 10**15), st.integers(0, 10**12))
def test_perfetto_reads_the_whole_nanosecond_that_was_meant(begin: int, length: int) -> None:
    """It multiplies microseconds by 1000 and cuts off what is behind the point."""
    written = as_slice(event("step", 1000 * begin, 1000 * (begin + length)))
    assert (int(written["ts"] * 1000.0), int(written["dur"] * 1000.0)) == (begin, length)


def test_arrows_lead_from_the_sending_to_its_interrupts(events: list[Event]) -> None:
    slices = [as_slice(one) for one in events]
    out = [one["bind_id"] for one in slices if one.get("flow_out")]
    into = [one["bind_id"] for one in slices if one.get("flow_in")]
    assert (out, into) == ([1, 2], [1, 1, 2, 2])


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_file_has_a_track_for_each_cpu_and_every_event(
    name: str, events: list[Event], tmp_path: Path
) -> None:
    path = tmp_path / name
    written = write_trace(path, events, cpus=4, process="a test", about={"kernel": "7.0"})
    data = path.read_bytes()
    document = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
    assert document["otherData"] == {"kernel": "7.0"}
    rows = document["traceEvents"]
    assert [row["args"]["name"] for row in rows if row["name"] == "thread_name"] == [
        f"CPU {n}" for n in range(4)
    ]
    assert len([row for row in rows if row["ph"] == "X"]) == written == len(events)


def test_a_slice_says_what_is_done_by_which_task_and_from_where() -> None:
    step = as_slice(attrs.evolve(event("step", 0, 1000), task=2))
    assert (step["name"], step["args"]) == ("f: text", {"what": "text", "task": 2})
    interrupt = as_slice(attrs.evolve(event("interrupt", 0, 1000, 3), sender=1))
    assert (interrupt["name"], interrupt["tid"]) == ("f", 4)
    assert interrupt["args"] == {"what": "text", "from": "CPU 1"}


def test_ipis_are_in_flight_from_their_sending_until_their_handlers_return(events: list[Event]) -> None:
    flight = InFlight()
    assert list(flight.seen(events)) == events
    counts = list(flight.counts())
    assert (counts[0], counts[-1][1]) == ((0, 0), 0)
    assert max(count for _, count in counts) == 2
    assert all(count >= 0 for _, count in counts)
    sends = [event.begin // 1000 for event in events if event.kind == "step" and event.send]
    assert sends[0] in dict(counts)


def test_a_trace_has_the_counter_as_a_track_and_a_name_for_each_process_and_thread(
    events: list[Event], tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    write_trace(path, events, cpus=3, process="a program", about={})
    told = json.loads(path.read_text())["traceEvents"]
    counted = [event for event in told if event["ph"] == "C"]
    assert {event["name"] for event in counted} == {COUNTER}
    assert counted[-1]["args"] == {"IPIs": 0}
    names = {
        (event["name"], event.get("tid")): event["args"]["name"] for event in told if "name" in event["args"]
    }
    assert names["process_name", None] == "a program"
    assert names["thread_name", 3] == "CPU 2"


def faults(document: dict[str, Any]) -> list[str]:
    """Say what in a trace is not as the document Trace Event Format wants it, or as Perfetto's importer reads it."""
    found = []
    named: set[tuple[object, object]] = set()
    flows: dict[int, list[tuple[float, str]]] = {}
    for row in document["traceEvents"]:
        phase, args = row.get("ph"), row.get("args")
        wanted: dict[str, type | tuple[type, ...]] = {"name": str, "pid": int, "args": dict}
        if phase == "X":
            wanted |= {"tid": int, "ts": (int, float), "dur": (int, float), "cat": str}
        elif phase == "C":
            wanted |= {"ts": (int, float)}
        elif phase != "M":
            found.append(f"the phase {phase}")
        found += [f"{key} of {row}" for key, kind in wanted.items() if not isinstance(row.get(key), kind)]
        found += [f"{key} of {row}" for key in ("ts", "dur") if not 0 <= row.get(key, 0) < float("inf")]
        if phase == "M":
            if row["name"] not in ("process_name", "thread_name", "thread_sort_index"):
                found.append(f"the metadata {row['name']}")
            if row["name"].endswith("_name"):
                named.add((row["pid"], row.get("tid")))
        elif (row["pid"], row.get("tid")) not in named:  # a counter's track is its process's
            found.append(f"a track without a name: {row}")
        if phase == "C" and not all(type(value) in (int, float) for value in args.values()):
            found.append(f"a counter that is no number: {row}")
        if "bind_id" in row:
            ways = [way for way in ("flow_in", "flow_out") if row.get(way) is True]
            if len(ways) != 1 or type(row["bind_id"]) is not int:
                found.append(f"an arrow that has not one direction: {row}")
            flows.setdefault(row["bind_id"], []).extend((row["ts"], way) for way in ways)
    for number, ends in flows.items():
        ways = [way for _, way in sorted(ends, key=lambda end: (end[0], end[1] == "flow_in"))]
        if ways[0] != "flow_out" or ways.count("flow_out") != 1 or len(ways) < 2:
            found.append(f"arrow {number} goes {ways}")
    return found


def test_a_file_is_of_the_trace_event_format(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_trace(path, events, cpus=3, process="a program", about={})
    document = json.loads(path.read_text())
    assert faults(document) == []
    rows = document["traceEvents"]
    sent = next(row for row in rows if "flow_out" in row)
    for broken in (
        [row for row in rows if row is not sent],
        [{key: value for key, value in row.items() if key != "dur"} for row in rows],
        [row for row in rows if row["name"] != "thread_name"],
        [row | {"args": {"IPIs": "2"}} if row["ph"] == "C" else row for row in rows],
    ):
        assert faults({"traceEvents": broken})
