"""Where the processes of the measured program run (tests/oracle/README.md)."""

from __future__ import annotations

from shootdown._oracle.rows import Row

#: The parent was pinned to this CPU, child j to the j-th after it; the process that waits for them runs on CPU 0.
PARENT_CPU = 1

#: Steps in which the parent acts, for the first time since its forks.
PARENT_FIRST = ("parent_munmap_first", "punch_whole", "truncate0", "soft_offline_migrate")


def actor_cpu(row: Row) -> int:
    """Return the CPU of the process whose counts a row has.

    Args:
        row: of `hugetlb_shared`: its child `i`, the first child where the row has no `i`, or the parent; of
            `hugetlb_threads` the child on the parent's CPU; otherwise the one process, on CPU 0.
    """
    if row.workload == "hugetlb_shared":
        by_parent = (
            row.fields.get("step") in (*PARENT_FIRST, "parent_munmap_last", "fork")
            or row.fields.get("mode") == "control_unshared"
        )
        return (PARENT_CPU + (0 if by_parent else row.integer("i", 1))) % row.cpus
    return PARENT_CPU % row.cpus if row.workload in ("hugetlb_threads", "fork_storm") else 0


def undisturbed_variant(row: Row) -> int | None:
    """Return the variant of the program that runs if nothing else is scheduled; None where its rows do not tell.

    Children are forked on the parent's CPU, which they leave one after another. Where there is only one, nothing runs
    there after it, and its mm stays loaded lazily (variant 1). Where there are more, another one has run there since.
    """
    return int(row.integer("k", 0) == 1) if row.workload == "hugetlb_shared" else None


def parent_wakes(row: Row) -> bool:
    """Whether the parent runs for the first time since its forks: it acts, or its first child exits."""
    step = row.fields.get("step")
    first = step in ("exit", "exit_multi_vma") and row.integer("i", 1) == 1
    return first or step == "exit_concurrent" or step in PARENT_FIRST
