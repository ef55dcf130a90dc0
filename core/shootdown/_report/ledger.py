"""The ledger of one run: what each cause cost, and what each step of the programs did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._timed.run import Run


@attrs.frozen
class Entry:
    """What one kernel function did for one cause.

    Args:
        cause: `TLB flush`, `table sync`, ...; outside of these the call (`exit`).
        caller: the call that it happened for, such as `munmap`, and which part of it (`unsharing`).
        function, where: the kernel function and its file.
        called_by: the function that called it.
        requests: flushes that began here.
        sends: calls sent to other CPUs: broadcasts of a sync, IPIs of a flush, hypercalls, INVLPGBs.
        targets: CPUs that they were sent to, one by one.
        ipis: those of them that took an interrupt.
        own_flushes: flushes of the CPU itself.
        waits: how often it waited for answers.
        time_ns: CPU time of the CPUs that did it, waiting included; an estimate.
    """

    cause: str
    caller: str
    function: str
    where: str
    called_by: str
    requests: int
    sends: int
    targets: int
    ipis: int
    own_flushes: int
    waits: int
    time_ns: float

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return attrs.asdict(self)


@attrs.define
class Node:
    """One call of a kernel function, or one step in it.

    Args:
        name: the function, or what the step does.
        where: the function's file; empty for a step.
        count: how often the step was taken.
        targets: CPUs that it sent something to.
        time_ns: CPU time; an estimate.
        children: what is within, in the order of the programs.
    """

    name: str
    where: str = ""
    count: int = 0
    targets: int = 0
    time_ns: float = 0.0
    children: dict[tuple[bool, str], Node] = attrs.field(factory=dict)

    @property
    def total_ns(self) -> float:
        """Return the time of the node and everything within."""
        return self.time_ns + sum(child.total_ns for child in self.children.values())

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        if self.children:
            return {
                "function": self.name,
                "where": self.where,
                "time_ns": self.total_ns,
                "steps": [child.to_dict() for child in self.children.values()],
            }
        return {"text": self.name, "count": self.count, "targets": self.targets, "time_ns": self.time_ns}


def entries(code: Code, run: Run) -> list[Entry]:
    """Add up what flushes and syncs did, by cause, caller and kernel function, in the order of the programs.

    Args:
        code: the programs.
        run: what happened; of the first window, where there is one.
    """
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    steps = code.steps.reshape(-1, 5)
    for pc in _taken(run):
        note = code.notes[pc]
        what = _what_counts(steps[pc], int(run.step_counts[pc]), int(run.step_targets[pc]))
        if what is None:
            continue
        caller = " > ".join(note.reasons[:-1])
        above = note.path[-2] if len(note.path) > 1 else ""
        sums = found.setdefault(
            (note.cause, caller, note.function, above),
            {"where": note.where, "time_ns": 0.0, **dict.fromkeys(_SUMS, 0)},
        )
        for name, value in what.items():
            sums[name] += value
        sums["time_ns"] += float(run.step_times[pc])
    made = [
        Entry(cause=cause, caller=caller, function=function, called_by=above, **sums)
        for (cause, caller, function, above), sums in found.items()
    ]
    first = {cause: n for n, cause in reversed(list(enumerate(entry.cause for entry in made)))}
    return sorted(made, key=lambda entry: first[entry.cause])


def tree(code: Code, run: Run) -> Node:
    """Collect all steps that were taken under the kernel functions that they stand for.

    Steps of several programs with the same text in the same function are one node. Steps that only branch or loop are
    left out.

    Args:
        code: the programs.
        run: what happened.
    """
    root = Node("")
    for pc in _taken(run):
        note = code.notes[pc]
        if not note.text:
            continue
        at = root
        for name, where in zip(note.path, note.files, strict=True):
            at = at.children.setdefault((True, name), Node(name))
            at.where = at.where or where
        step = at.children.setdefault((False, note.text), Node(note.text))
        step.count += int(run.step_counts[pc])
        step.targets += int(run.step_targets[pc])
        step.time_ns += float(run.step_times[pc])
    return root


def walk(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Yield everything below a node with its depth, in the order of the programs."""
    for child in node.children.values():
        yield depth, child
        yield from walk(child, depth + 1)


def totals(found: Iterable[Entry]) -> dict[str, dict[str, int | float]]:
    """Add entries up by cause."""
    sums: dict[str, dict[str, int | float]] = {}
    for entry in found:
        into = sums.setdefault(entry.cause, dict.fromkeys((*_SUMS, "time_ns"), 0))
        for name in into:
            into[name] += getattr(entry, name)
    return sums


_SUMS = ("requests", "sends", "targets", "ipis", "own_flushes", "waits")


def _taken(run: Run) -> list[int]:
    taken: list[int] = np.flatnonzero(run.step_counts).tolist()
    return taken


def _what_counts(step: npt.NDArray[np.int64], count: int, targets: int) -> Mapping[str, int] | None:
    """Return what a step adds to the ledger, or None if it neither flushes nor synchronises."""
    op, kind = int(step[0]), int(step[1])
    if op == o.FLUSH_BEGIN:
        return {"requests": count}
    if op == o.SEND:
        return {"sends": count, "targets": targets, "ipis": targets if kind in o.INTERRUPTING_CALLS else 0}
    if op == o.FLUSH_SELF:
        return {"own_flushes": count}
    if op == o.FLUSH_LOCAL_PAGES:
        return {"own_flushes": count}
    if op == o.WAIT:
        return {"waits": count}
    if op == o.EXECUTE:
        return {}
    return None
