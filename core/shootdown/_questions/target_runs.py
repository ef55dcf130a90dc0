"""Runs that targets are judged by: what a flush did, what it left, and what the sync waited for."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from shootdown._machine import ops
from shootdown._machine.code import Code
from shootdown._machine.functions import DECLARED
from shootdown._machine.machine import Machine
from shootdown._questions.building import built
from shootdown._questions.case import Case
from shootdown._questions.simulate import counts_of
from shootdown._values.patch import AppliedPatch
from shootdown._values.workload import Workload

#: Whether a walker needs the sync is found out with a sync that is sent to all CPUs, whatever kernel and patch do.
SYNC_FUNCTION = "tlb_remove_table_sync_one"
SYNC = {
    "kernel.unshare_sync": "last-sharer",
    "kernel.rcu_table_free": "true",
    "kernel.skip_redundant_sync": "never",
    "kernel.sync_targets": "all",
}


@attrs.frozen
class Ran:
    """One run.

    Args:
        counts, instructions: what was counted, and how often each instruction was executed.
        left: the kinds of entries that were left.
        lazy: only CPUs in lazy TLB mode had them.
        patch_honours: a flush that a patch replaces looks at unshared_tables.
        walks: somebody walks page tables by GUP-fast.
    """

    counts: Mapping[str, int]
    instructions: Mapping[str, int]
    left: tuple[str, ...]
    lazy: bool
    patch_honours: bool
    walks: bool


def flush_of(ran: Ran) -> tuple[object, ...]:
    """What a flush did, for comparing two flushes: the CPUs reached, the invalidations, the entries left."""
    names = (
        "flush_ipis",
        "hypercalls",
        "broadcast_invalidations",
        "full_flushes",
        "page_invalidations",
        "lazy_switches",
        "stale_entries_left",
    )
    return (*(ran.counts[name] for name in names), dict(ran.instructions))


def how(ran: Ran) -> str:
    """Describe a flush: what is sent to other CPUs, and the instructions."""
    sent = [
        f"{ran.counts[name]} {word if ran.counts[name] != 1 else word[:-1]}"
        for name, word in (
            ("flush_ipis", "flush IPIs"),
            ("hypercalls", "flush hypercalls"),
            ("broadcast_invalidations", "broadcast invalidations"),
        )
        if ran.counts[name]
    ]
    executed = ", ".join(
        f"{name}{f' {times} times' if times > 1 else ''}" for name, times in ran.instructions.items() if times
    )
    if not sent:
        return "the flush reaches no other CPU"
    return f"the flush is {' and '.join(sent)}{f' ({executed})' if executed else ''}"


def run_case(case: Case[Workload]) -> Ran:
    """Run the case once, with the likely costs."""
    from shootdown._timed.run import run_machine

    machine = built(case, case.setup(), Machine)
    run = run_machine(machine, case.platform)
    left = run.stale
    kinds = () if left is None else (("walk-cache", left.walk), ("tlb", left.leaf))
    return Ran(
        counts_of(machine, run),
        dict(run.window_instructions[0] if machine.windows else run.instructions),
        tuple(name for name, cpus in kinds if cpus),
        left is not None and {*left.walk, *left.leaf} <= set(left.lazy),
        _patch_honours(case.kernel.patch, machine.code),
        walks(machine.code),
    )


def walks(code: Code) -> bool:
    """Whether a program walks page tables by GUP-fast."""
    return any(step[0] == ops.IRQ_OFF and step[1] for step in code.steps.reshape(-1, 5).tolist())


def _patch_honours(patch: AppliedPatch | None, code: Code) -> bool:
    """Whether a flush of the architecture's that a patch replaces looks at unshared_tables."""
    names = {
        name
        for name in (patch.functions if patch else ())
        if any(one.gets_asm for one in DECLARED.get(name, ()))
    }
    looks = (
        note
        for step, note in zip(code.steps.reshape(-1, 5).tolist(), code.notes, strict=True)
        if step[0] == ops.JUMP_FLAGS and step[2] & ops.UNSHARED_TABLES
    )
    return bool(names) and any(names & set(note.path) for note in looks)
