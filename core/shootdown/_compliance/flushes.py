"""Section 4: the steps of each kind of flush, on every kernel and platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from shootdown._compliance import capabilities
from shootdown._compliance.casts import CASTS
from shootdown._compliance.lowered import Machine, flushes, machines
from shootdown._compliance.protocol import every_flush
from shootdown._compliance.stage import Stage, StuckError
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._machine import ops as o
from shootdown._porting.lowering import NO_LIMIT
from shootdown._tlb.geometry import TlbGeometry
from shootdown._values.platform import COST_NAMES

#: Names of instructions, as tables show them.
_NAME = re.compile(r"[a-z][a-z0-9_.]*")
#: So many times the translations of a TLB are more than any kernel invalidates one by one, if it has a limit.
_MANY = 16
#: The costs that a call is charged with.
_OF_CALLS = {
    o.CALL_FLUSH: ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"),
    o.CALL_INVALIDATE: ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"),
    o.CALL_INVALIDATE_MASKED: ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"),
    o.CALL_LEAVE: ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"),
    o.CALL_TRANSITION: ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"),
    o.CALL_BROADCAST: ("broadcast_ns", "completion_ns"),
    o.CALL_HYPERCALL: ("hypercall_ns",),
}


def _all_can_be_written(subject: Subject) -> Iterator[Said]:
    different, count = machines(subject)
    failed: dict[tuple[str, str], list[Machine]] = {}
    for machine in different:
        for pair in machine.failed:
            failed.setdefault(pair, []).append(machine)
    for (name, why), who in failed.items():
        more = f" and {len(who) - 1} more that differ" if len(who) > 1 else ""
        yield Finding(f"{subject.plugin}: {who[0].where}{more}: {name}: {why}")
    yield Tried(count, "kernels on platforms")
    yield Tried(sum(len(machine.flushes) for machine in different), "flushes that differ in a step")


def _of(about: str, subject: Subject) -> Iterator[Said]:
    """Follow the paths of all flushes, and yield the mistakes of one kind."""
    seen: dict[tuple[str, str], list[str]] = {}
    every = every_flush(subject)
    for machine, flush, paths in every:
        for mistake in paths.mistakes:
            if mistake.about == about:
                seen.setdefault((flush.request.name, mistake.text), []).append(machine.where)
    yield from _told(subject, seen)
    yield Tried(len(every), "flushes, along every path")


def _told(subject: Subject, seen: dict[tuple[str, str], list[str]]) -> Iterator[Finding]:
    """Yield a finding for each mistake, with the flushes that have it together."""
    by_text: dict[str, dict[str, str]] = {}
    for (name, text), there in seen.items():
        by_text.setdefault(text, {})[name] = there[0]
    for text, names in by_text.items():
        (kind, where), *rest = names.items()
        more = f" and {len(rest)} more kinds of flush" if rest else ""
        yield Finding(f"{subject.plugin}: {where}: {kind}{more}: {text}")


def _steps_are_in_order(subject: Subject) -> Iterator[Said]:
    yield from _of("order", subject)


def _locks_balance(subject: Subject) -> Iterator[Said]:
    yield from _of("locks", subject)
    seen: set[str] = set()
    by_machine: dict[Machine, dict[tuple[int, int], str]] = {}
    for machine, flush, paths in every_flush(subject):
        nested = by_machine.setdefault(machine, {})
        for pair, step in paths.nested.items():
            nested.setdefault(pair, f"{flush.request.name}: {step}")
    for machine, nested in by_machine.items():
        text = _crossed(nested)
        if text and text not in seen:
            seen.add(text)
            yield Finding(f"{subject.plugin}: {machine.where}: {text}")


def _crossed(nested: Mapping[tuple[int, int], str]) -> str:
    """Say which locks are taken in a circle; empty if there is none.

    Args:
        nested: by a lock that is held and one that is taken then, who does so.
    """
    graph: dict[int, set[int]] = {}
    for held, taken in nested:
        graph.setdefault(taken, set()).add(held)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
        steps = [
            f"lock {taken} while it holds {held} ({nested[held, taken]})" for held, taken in pairwise(circle)
        ]
        return f"CPUs can wait for one another: one takes {', and another one '.join(steps)}: take locks in one order"
    return ""


def _each_ends(subject: Subject) -> Iterator[Said]:
    seen: dict[tuple[str, str], list[str]] = {}
    count = 0
    for flush in flushes(subject):
        for cast in CASTS:
            stage = Stage(flush, cast)
            lo, hi = stage.range_of(1)
            stage.begin(lo, hi, [], set())
            count += 1
            try:
                stage.run()
            except StuckError as why:
                seen.setdefault((flush.request.name, str(why)), []).append(flush.where)
    yield from _told(subject, seen)
    yield Tried(count, "runs of a flush")


def _what_is_counted_is_known(subject: Subject) -> Iterator[Said]:
    yield from _of("counts", subject)
    names: dict[str, str] = {}
    costs: dict[tuple[str, str, str], None] = {}
    ceilings: dict[str, None] = {}
    for machine in machines(subject)[0]:
        for flush in machine.flushes:
            ceilings |= dict.fromkeys(_beyond_the_tlb(machine, flush.rows()))
            for name in flush.code.instructions:
                names.setdefault(name, machine.where)
            if not machine.native:
                continue
            for name in _charged(flush.rows(), flush.code.cost.tolist()):
                if getattr(machine.platform.costs, name).high == 0:
                    costs[machine.platform.name, name, flush.request.name] = None
    for name, first in names.items():
        if not _NAME.fullmatch(name):
            yield Finding(
                f"{subject.plugin}: {first}: an instruction is called {name!r}: results list it, so name it in lower "
                "case, digits and underscores, such as tlbi_vae1is"
            )
    for text in ceilings:
        yield Finding(f"{subject.plugin}: {text}")
    for platform, name, kind in costs:
        yield Finding(
            f"{subject.plugin}: platform {platform}: {kind} is charged {name}, which is 0: give the platform a cost "
            "with its source"
        )
    yield Tried(len(names), "names of instructions")


def _beyond_the_tlb(machine: Machine, rows: list[list[int]]) -> Iterator[str]:
    """Yield what is wrong with a ceiling that is many times what the TLB holds: it may be in another unit."""
    tlb = machine.platform.tlb
    if not isinstance(tlb, TlbGeometry) or not any(
        row[0] == o.EXECUTE and row[3] & 3 == o.PER_STRIDE for row in rows
    ):
        return
    entries = sum(cache.entries for cache in (*tlb.l1, *tlb.l2))
    for row in rows:
        if row[0] == o.FLUSH_BEGIN and _MANY * entries < row[2] < NO_LIMIT:
            yield (
                f"platform {machine.platform.name}: up to {row[2]:,} strides are flushed one by one, and its TLB holds "
                f"{entries:,} translations: a ceiling counts strides, not bytes; NO_LIMIT says that there is none"
            )


def _charged(rows: Iterable[list[int]], own: Iterable[int]) -> set[str]:
    """Name the costs that the steps of a flush are charged with."""
    found = {COST_NAMES[cost] for cost in own if 0 <= cost < len(COST_NAMES)}
    for row in rows:
        if row[0] == o.SEND:
            found.update(_OF_CALLS.get(row[1], ()))
        elif row[0] == o.FLUSH_SELF:
            found.update(("full_flush_ns", "page_flush_ns"))
    return found


STATEMENTS = (
    Statement(
        "4.1",
        "Every kind of flush can be written for every kernel and platform",
        "mm/ asks for each of them; one that is missing or raises is found by whoever runs the first workload that "
        "needs it.",
        "Define the method that the message names, or look at what it raises there.",
        _all_can_be_written,
        (capabilities.lowering,),
    ),
    Statement(
        "4.2",
        "On every path a flush begins, chooses targets, sends, and waits, in this order, and ends",
        "A call that nobody waits for, or that is sent before the range is set, counts plausible numbers for a flush "
        "that protects nothing.",
        "The message names the step and its line. `begin_flush()` comes first; then targets; then `send()`; then "
        "`wait_for_answers()` or `complete()`; a path without targets ends in `cancel()`.",
        _steps_are_in_order,
        (capabilities.flushes,),
    ),
    Statement(
        "4.3",
        "A flush releases each lock that it takes, on every path, and takes none twice; all take them in one order",
        "A lock that stays held stops the next flush of any CPU. Two that are taken the other way round stop both.",
        "Release the lock on each arm of a branch, and count it in `machine_locks`; take lock 0 before lock 1.",
        _locks_balance,
        (capabilities.flushes,),
    ),
    Statement(
        "4.4",
        "A flush that is carried out comes to its end within a budget of steps",
        "A flush that waits for itself, or loops, would hang every run.",
        "The message names the step at which it was given up. Each kind of flush is carried out with CPUs that run the "
        "mm, are idle with it, ran it before, or never did.",
        _each_ends,
        (capabilities.flushes,),
    ),
    Statement(
        "4.5",
        "What a flush counts and is charged is known",
        "Counts are said to be exact. An instruction that is counted before there are strides or targets, or a "
        "broadcast that nobody sends, is counted wrongly.",
        "Count after `begin_flush()`, and before `send()` where `ops.PER_TARGET` is part of it; give the platform "
        "every cost that its flushes are charged.",
        _what_is_counted_is_known,
        (capabilities.flushes,),
    ),
)
