"""How the measured rows of x86 kernels map to the model: names of counts, noise, understood differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shootdown.measured import (
    COPIES,
    PARENT_CPU,
    PARENT_FIRST,
    RACING_EXITS,
    Difference,
    Measured,
    Prediction,
    Row,
    Seen,
    Undisturbed,
    actor_cpu,
    forks_of,
    parent_wakes,
    syncs_of,
)


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """Return the platform: all rows were measured under qemu's TCG, without PCID and hypervisor features."""
    del row
    return "qemu-tcg", {}


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    whole, actor = seen.whole, seen.actor
    forks = forks_of(row)
    # A page that waits for its batch's flush makes a request, of everything, that calls no flush_tlb_mm_range().
    batched = actor["flush_range_calls"]
    requests = actor["flush_requests"] - batched
    copied = forks  # the model's copy-on-write: one page for each fork
    kmaps = _kmaps(row, case)
    return {
        "sync_broadcasts": syncs_of(row, whole["sync_broadcasts"], 1, case),
        "sync_ipis": syncs_of(row, whole["sync_ipis"], case.cpus - 1, case),
        "unshared_tables": whole["unshared_tables"],
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "flush_tlb_mm_range": _copying(requests - copied, forks),
        "flush_tlb_mm_range_all": actor["flush_whole_mm"] - batched,
        "tlb_row": _handlers(row, seen, case),
        "pmdp_collapse_flush": requests,
        "flush_tlb_one_kernel": kmaps,
        "instructions": {
            "invlpg": _invalidations(row, seen, kmaps),
            "mov_cr3": _loads(
                row, whole["full_flushes"] + whole["lazy_switches"], _tlb_row(whole), forks, case
            ),
        },
    }


#: Pages that the parent copies on write in a window, at most, for each fork; what child and parent invalidate by then.
_MOST_COPIED, _MOST_INVLPGS = 3, 7
#: Pages that a child of `hugetlb_shared` and `fork_storm` copies before it waits (measured, where all runs agree).
_WRITTEN_BY_CHILD = 4
#: Pages that children of a program, forked before its window, still copy in it at most, and the CPUs that they left.
_COPIED_BY_CHILDREN = 4
#: CR3 writes of context switches for each fork, at most.
_MOST_SWITCHES = 5
#: CR3 writes of context switches in a window of a program of its own, at most: what waits wakes now and then.
_PROGRAM_SWITCHES = 6


def _loads(row: Row, flushes: int, hits: int, forks: int, case: Any) -> Prediction:
    """Return the CR3 writes of a window: the flushes' own, and those of context switches between its processes.

    The process that waits for the others runs on CPU 0. Where the actor runs there too, that is a switch to it and one
    back; elsewhere the actor's CPU is idle and still has its mm loaded, and nothing is written (`switch_mm_irqs_off()`
    of the same mm compares its generation).
    """
    step = str(row.fields.get("step", ""))
    if forks:
        return flushes, flushes + _MOST_SWITCHES * forks
    if row.workload == "program":
        # A CPU that runs a kernel thread meanwhile is lazy, takes no IPI, and flushes when it comes back.
        return Undisturbed(flushes, flushes + _PROGRAM_SWITCHES, max(flushes - hits, 0))
    if row.workload == "anonymous":
        # Threads on all CPUs: a process that wakes up displaces one of them, which has to come back.
        full = row.integer("T") >= case.cpus - 1 and row.word("threads") != "lazy"
        return Undisturbed(flushes + 2, flushes + 4) if full else flushes + 2
    cpu = actor_cpu(row)
    if case.cpus == 1 or (cpu == PARENT_CPU and row.integer("i", 0)):  # several processes share it
        return flushes, flushes + 6
    if cpu == 0:  # it shares that of the process that waits
        if step.startswith("exit") and not parent_wakes(row):  # to it and back
            return Undisturbed(flushes + 2, flushes + 2, flushes + 1)
        return flushes + 1, flushes + 5
    if step in PARENT_FIRST:
        # The parent's CPU has the last child's mm, unless the parent has run there since.
        return Undisturbed(flushes + 1, flushes + 1, flushes)
    # The parent waits for the first child to exit: it comes back to its CPU, from which its last child went, and may
    # have to leave it again.
    return Undisturbed(flushes + 1, flushes + 2, flushes) if parent_wakes(row) else flushes


#: INVLPG of kunmap_local() in a window of a 32-bit kernel (arch_kmap_local_post_unmap() and flush_tlb_one_kernel()):
#: the measuring program's own, for what it writes and reads; what exit() of one of its processes takes; and what one
#: fork() with the child's first faults takes, which depends on the pages that it copies.
_KMAPS = 6
_EXIT_KMAPS = (24, 25)
_FORK_KMAPS = (45, 76)


def _kmaps(row: Row, case: Any) -> tuple[int, int]:
    """Return how often a 32-bit kernel unmaps a page of high memory in a window: one INVLPG each; others never do.

    With CONFIG_HIGHPTE every use of a user PTE table is one: a call on base pages uses one table, splitting a THP two.
    """
    if case.kernel.va_bits > 32:
        return 0, 0
    step = str(row.fields.get("step", ""))
    forks = forks_of(row)
    if forks:
        low, high = (forks * each for each in _FORK_KMAPS)
    elif step.startswith("exit"):
        low, high = _EXIT_KMAPS
    elif row.workload == "anonymous":
        split = row.fields.get("op") == "thp_split_mprotect"
        low = high = _KMAPS + (2 if split else int(row.fields.get("kind") != "thp"))
    else:
        # The parent writes a page of its own for the first time after fork(), and so maps that page's table.
        low = high = _KMAPS + int(step in PARENT_FIRST)
    return (low if case.kernel.arch.highpte else 0), high


def _invalidations(row: Row, seen: Seen, kmaps: tuple[int, int]) -> Prediction:
    """Return the INVLPG of a window: those of pages that processes copy after a fork are a range."""
    forks, exact = forks_of(row), seen.whole["page_invalidations"]
    if not forks and _has_children(row):
        return Undisturbed(exact, exact + _COPIED_BY_CHILDREN)
    if not forks:
        return _after_kmaps(row, kmaps, exact)
    if row.workload == "program":
        return exact, exact + _MOST_INVLPGS * forks
    if kmaps[1]:
        return kmaps[0] + forks, kmaps[1] + _MOST_INVLPGS * forks
    # A page that both write is copied by whoever comes first: the other one finds it its own.
    least, parents = forks, (row.measured("flush_tlb_mm_range") or (0, 0))[0] - forks
    number = max(parents, forks) + _WRITTEN_BY_CHILD * forks
    most = _MOST_INVLPGS * forks
    return Undisturbed(number, most, least) if number <= most else (least, most)


def _copying(others: int, forks: int) -> Prediction:
    """Return the flushes of a window with forks: of others, and of the pages that the parent copies after each.

    The parent is pinned to its CPU and its children begin there: until it sleeps or is preempted none of them runs,
    and the page that it writes as fork() returns, its stack's, is still shared.
    """
    return Undisturbed(others + forks, others + _MOST_COPIED * forks, others) if forks else others


def _after_kmaps(row: Row, kmaps: tuple[int, int], invlpg: int) -> Prediction:
    """Return the INVLPG of a window without forks: those of kunmap_local() are as many as the row counted calls.

    Other runs counted the instructions, so that all that can be is the range.
    """
    least, most = kmaps[0] + invlpg, kmaps[1] + invlpg
    low, high = row.measured("flush_tlb_one_kernel") or kmaps
    return Undisturbed(low + invlpg, most, least) if low == high and least < most else (least, most)


def _handlers(row: Row, seen: Seen, case: Any) -> Prediction:
    """Return the TLB row of /proc/interrupts, or what it may be."""
    if row.workload == "khugepaged":
        return _collapse_row(row, seen.whole, case)
    hit = _tlb_row(seen.whole)
    if row.workload == "program" and row.fields.get("actor_forked"):
        # Each flush may also find the CPU that it was forked on, where its mm may still be loaded lazily.
        return Undisturbed(hit, hit + seen.actor["flush_requests"])
    if row.workload == "program" and forks_of(row) and hit:
        # What the parent copies meanwhile is flushed where its threads run, as its whole mm is by each fork.
        return Undisturbed(hit, hit + _MOST_COPIED * -(-hit // seen.actor["flush_whole_mm"]) * forks_of(row))
    return Undisturbed(hit, hit + _COPIED_BY_CHILDREN) if _has_children(row) else hit


def _has_children(row: Row) -> bool:
    """Whether the measured program forks before its window: a child may copy pages on write meanwhile."""
    return row.workload == "program" and "fork " in str(row.fields.get("program"))


def _tlb_row(whole: Mapping[str, int]) -> int:
    """Count remote flush handlers, and the initiator's own where the kernel runs it (up to v5.12)."""
    return whole["flush_ipis"] + whole["transition_ipis"] + whole["own_handler_runs"]


def _collapse_row(row: Row, whole: Mapping[str, int], case: Any) -> int | tuple[int, int]:
    """Return the remote flush handlers of khugepaged's flushes: one on each CPU with a spinning thread, for each flush.

    The measured process itself sleeps and wakes now and then. After each wake-up, the CPU on which it went idle again
    takes the next one or two flushes, and then none until the next wake-up. The row does not record wake-ups, so that
    each attempt may or may not interrupt that CPU. If all other CPUs run spinning threads, it has no CPU of its own.
    """
    hit, spinners = _tlb_row(whole), row.integer("spinners")
    if row.fields.get("madv_collapse", False) or spinners >= case.cpus - 1:
        return hit
    return (hit, hit + whole["flush_requests"]) if spinners else (0, hit)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "sync_ipis",
        lambda row: row.workload == "fork_storm" and row.integer("conc", 1) > 1,
        "the handler runs were traced, and with several children at once the trace loses a few events "
        "(tests/oracle/README.md); broadcasts times the other CPUs is what was sent",
    ),
)


def _copies(row: Row) -> bool:
    return forks_of(row) > 0


def _tasks_that_left(row: Row) -> bool:
    if row.workload == "program":
        return bool(row.fields.get("actor_forked"))
    return row.workload in ("hugetlb_shared", "fork_storm") and not str(
        row.fields.get("step", "")
    ).startswith("mprotect")


def _any(row: Row) -> bool:
    return True


OPEN: tuple[Difference, ...] = (
    Difference(
        "tlb_row",
        lambda row: row.workload == "khugepaged",
        "how often the process, which sleeps, wakes between two attempts of khugepaged: each wake lets the CPU that it "
        "goes idle on be interrupted once or twice more",
    ),
    Difference(
        "tlb_row",
        _tasks_that_left,
        "whether the CPU that a child was forked on still has the child's mm loaded lazily when it acts: only a flush "
        "that frees tables interrupts it, and not once another process has run there",
    ),
    Difference(
        "tlb_row",
        lambda row: row.workload == "hugetlb_shared",
        "whether the CPU that the child was forked on is lazy when the first flush of freed tables comes: to 6.13 it "
        "is in mm_cpumask only then; from 6.14 on it then stays there for a second such flush",
    ),
    Difference(
        "tlb_row",
        _any,
        "whether it is the first repetition: its flush takes the CPUs out of mm_cpumask that threads had left",
    ),
    Difference("flush_tlb_mm_range", _copies, COPIES),
    Difference("instructions.invlpg", _copies, COPIES),
    Difference(
        "instructions.mov_cr3",
        lambda row: row.workload == "anonymous",
        "whether another process woke up while threads ran on all CPUs: it displaces one, which comes back",
    ),
    Difference(
        "instructions.mov_cr3",
        _any,
        "context switches between processes of the measured program, besides the flushes' own writes",
    ),
    Difference(
        "flush_tlb_one_kernel",
        _any,
        "how many pages of high memory fork() and exit() map for a moment: each unmapping is an INVLPG",
    ),
    Difference(
        "instructions.invlpg",
        _any,
        "how many pages of high memory fork() and exit() map for a moment: each unmapping is an INVLPG",
    ),
    *RACING_EXITS,
)

# tlb_row tells whether the CPU that a child was forked on was lazy: that CPU's switch to init_mm writes CR3 too. Other
# runs counted the instructions (rows with several values of tlb_row and one of mov_cr3 show it).
MEASURED = Measured(
    platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN, telling=("tlb_row",)
)
