"""Stale entries: which steps of a run left entries that hardware can still use, and where they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from shootdown._machine import ops as o
from shootdown._machine.code import Code, StepNote
from shootdown._report.text import Column, cpu_list, exact, lay_out, paragraph, widths
from shootdown._timed.run import Run, Stale

_INVALIDATES = (*o.INVALIDATING_CALLS, o.CALL_LEAVE)
_DROPS = {
    0: "drops none",
    o.SCOPE_LEAF: "drops TLB entries alone; walk-cache entries stay",
    o.SCOPE_WALK: "drops walk-cache entries alone; TLB entries stay",
    o.SCOPE_BOTH: "drops TLB and walk-cache entries",
}


@attrs.frozen
class Part:
    """One step of the story.

    Args:
        function, where: the kernel function and its file.
        text: what the step does.
        times: how often it was taken in the measured window.
        targets: the sum of the CPUs that it was sent to.
        effect: what it means for stale entries.
    """

    function: str
    where: str
    text: str
    times: int
    targets: int
    effect: str


@attrs.frozen
class Story:
    """How stale entries survived, for the first time in the measured window.

    Args:
        stale: what was left, and on which CPUs.
        parts: the steps from the one that made entries stale to the release of i_mmap_rwsem, in program order.
        too_late: the later step that drops them; None if the program has none.
    """

    stale: Stale
    parts: tuple[Part, ...]
    too_late: Part | None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        left = self.stale
        return {
            "times": left.times,
            "tables": left.tables,
            "walk_cache_entries_on_cpus": list(left.walk),
            "tlb_entries_on_cpus": list(left.leaf),
            "lazy_cpus": list(left.lazy),
            "steps": [attrs.asdict(part) for part in self.parts],
            "dropped_too_late_by": attrs.asdict(self.too_late) if self.too_late else None,
        }


def story(code: Code, run: Run) -> Story | None:
    """Find the steps that left stale entries, or None where none were left.

    The steps are those that the task took, in the measured window, between clearing the PUD entries and the
    release of i_mmap_rwsem: a program has them in this order.

    Args:
        code: the programs.
        run: what happened.
    """
    if run.stale is None:
        return None
    steps = code.steps.reshape(-1, 5)
    ops, taken = steps[:, 0], run.step_counts > 0
    at = run.stale.step
    first, last = _program(steps, at)
    audits = [pc for pc in range(first, at) if taken[pc] and _is_audit(steps[pc])]
    begin = audits[-1] + 1 if audits else first
    cleared = [pc for pc in range(begin, at) if taken[pc] and ops[pc] == o.CLEAR_PUD]
    begin = cleared[0] if cleared else begin
    needed = (o.SCOPE_WALK if run.stale.walk else 0) | (o.SCOPE_LEAF if run.stale.leaf else 0)
    lazy = bool({*run.stale.walk, *run.stale.leaf} & set(run.stale.lazy))
    parts = [
        _part(code, run, pc, effect)
        for pc in range(begin, at)
        if taken[pc] and (effect := _effect(steps, run, pc, lazy=lazy))
    ]
    looked = code.notes[at]
    flushed = any(taken[pc] and ops[pc] == o.FLUSH_BEGIN for pc in range(begin, at))
    end = _left(run.stale, flushed=flushed)
    parts.append(Part(looked.function, looked.where, "i_mmap_rwsem is released", 1, 0, end))
    late = (pc for pc in range(at + 1, last) if taken[pc] and (_scope(steps[pc]) or 0) & needed == needed)
    return Story(
        run.stale,
        tuple(parts),
        next((_part(code, run, pc, _DROPS[_scope(steps[pc]) or 0]) for pc in late), None),
    )


def stale_lines(found: Story, width: int) -> Iterator[str]:
    """Write the story as lines of text.

    Args:
        found: what `story` returned.
        width: columns of text that there are.
    """
    often = "once" if found.stale.times == 1 else f"{exact(found.stale.times)} times, the first of which"
    yield from paragraph(f"Stale entries: how they survive, {often}", width, rest="  ")
    columns = [
        Column("kernel function: step", wraps=True),
        Column("to CPUs", right=True),
        Column("entries that lead into the table", wraps=True),
    ]
    rows = [_row(part) for part in found.parts]
    if found.too_late is not None:
        name, targets, effect = _row(found.too_late)
        rows.append([name, targets, f"{effect}: too late"])
    sizes = widths(columns, rows, width) or widths(columns, rows, 10_000)
    assert sizes is not None
    yield from lay_out(columns, rows, sizes)


def _row(part: Part) -> list[str]:
    times = f" ({exact(part.times)} times)" if part.times > 1 else ""
    function = f"{part.function}: " if part.function else ""
    return [f"{function}{part.text}{times}", exact(part.targets) if part.targets else "", part.effect]


def _left(left: Stale, *, flushed: bool) -> str:
    """Write which CPUs still hold which entries."""
    tables = "a table" if left.tables == 1 else f"{exact(left.tables)} tables"
    kinds = [("TLB and walk-cache entries", left.walk)] if left.walk == left.leaf else []
    kinds = kinds or [("walk-cache entries", left.walk), ("TLB entries", left.leaf)]
    held = [
        f"CPU{'s' if len(cpus) > 1 else ''} {cpu_list(cpus)} can still use {what}"
        for what, cpus in kinds
        if cpus
    ]
    lazy = sorted({*left.walk, *left.leaf} & set(left.lazy))
    note = f" (lazy: {cpu_list(lazy)})" if lazy else ""
    nothing = "" if flushed else "nothing was flushed in between: "
    return f"{nothing}{' and '.join(held)}{note} into {tables} given up"


def _program(steps: Any, at: int) -> tuple[int, int]:
    """Return the first step of the program that a step belongs to, and its end."""
    ends = np.flatnonzero(np.isin(steps[:, 0], (o.HALT, o.PARK)))
    before, after = ends[ends < at], ends[ends > at]
    return (int(before[-1]) + 1 if before.size else 0), (int(after[0]) if after.size else len(steps))


def _part(code: Code, run: Run, pc: int, effect: str) -> Part:
    note: StepNote = code.notes[pc]
    steps = code.steps.reshape(-1, 5)
    text = note.text
    if steps[pc, 0] == o.JUMP_EMPTY:
        text = "the range is empty"
    if names := _instructions(code, run, pc):
        text = f"{', '.join(names)}: {text}"
    function = " < ".join(reversed(note.path[-2:]))
    return Part(function, note.where, text, int(run.step_counts[pc]), int(run.step_targets[pc]), effect)


def _instructions(code: Code, run: Run, pc: int) -> list[str]:
    """Name the instructions of a broadcast: those that its function executed just before it."""
    steps = code.steps.reshape(-1, 5)
    if steps[pc, 0] != o.SEND:
        return []
    executed = run.window_instructions[0] if run.window_instructions else run.instructions
    found: list[str] = []
    for before in range(pc - 1, -1, -1):
        if steps[before, 0] == o.SEND or code.notes[before].path != code.notes[pc].path:
            break
        name = code.instructions[steps[before, 1]] if steps[before, 0] == o.EXECUTE else ""
        if name and executed.get(name):
            found.insert(0, code.notes[before].text)
    return found


def _is_audit(step: Any) -> bool:
    return bool(step[0] == o.NOTE and step[1] == o.NOTE_AUDIT)


def _scope(step: Any) -> int | None:
    """Return what a step drops; None where it is no invalidation."""
    op = int(step[0])
    if op == o.SEND:
        return int(step[2]) if int(step[1]) in _INVALIDATES else None
    if op == o.FLUSH_SELF:
        return int(step[1])
    if op == o.FLUSH_LOCAL_PAGES:
        return int(step[2])
    return None


def _effect(steps: Any, run: Run, pc: int, *, lazy: bool) -> str:
    """Return a step's effect on stale entries as text; empty if it has none."""
    op = int(steps[pc, 0])
    if op == o.CLEAR_PUD:
        return "turn stale in TLBs and walk caches"
    if op == o.TARGET_NOT_LAZY:
        return "lazy CPUs keep theirs" if lazy else ""
    if op == o.JUMP_EMPTY:
        skipped = int(run.step_counts[pc]) - int(run.step_counts[pc + 1])
        return "nothing is invalidated: unsharing recorded no range" if skipped > 0 else ""
    scope = _scope(steps[pc])
    if op == o.SEND and scope is not None and not run.step_targets[pc]:
        return "reaches no CPU"
    return "" if scope is None else _DROPS[scope]
