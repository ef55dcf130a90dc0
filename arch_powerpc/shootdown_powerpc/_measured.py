"""How rows measured on ppc64el kernels map to what the model counts.

Instructions are counted machine-wide in the window; docs/reference/model.md says what forks leave open in it.
"""

from __future__ import annotations

from typing import Any

from shootdown.measured import (
    COPIES,
    Difference,
    Measured,
    Prediction,
    Row,
    Seen,
    Undisturbed,
    forks_of,
)
from shootdown_powerpc._flush import TLB_SETS

#: Pages that parent and child copy, or reuse without a copy, soon after a fork (measured: up to eight in total).
_COPIED_PER_FORK = 8
#: The instructions that flush one page of a process that runs on one CPU.
_ONE_PAGE = "tlbiel_ric0_prs1_r1"
#: The first instruction of those that flush all of a process on one CPU.
_WHOLE = "tlbiel_ric2_prs1_r1"


#: What a POWER10 has not, and what it has instead.
_POWER10 = {
    "platform.isa": "3.1",
    "platform.p9_tlbie_erat_bug": "false",
    "platform.p9_tlbie_stq_bug": "false",
}
#: Page tables with dirty pages that the runner's processes share: exit flushes for each of them before the end
#: (`zap_pte_range()`), which for a whole mm is one of the PID with RIC 2.
_RUNNERS_TABLES = 2


def _platform(row: Row) -> tuple[str, dict[str, str]]:
    """Return a row's platform: qemu's TCG as a POWER9, radix, with 4K pages unless the row differs."""
    settings = dict(_POWER10) if row.fields.get("cpu_model") == "power10" else {}
    size = row.fields.get("page_size")
    return "qemu-tcg", settings | ({} if size is None else {"kernel.page_size": str(size)})


def _predict(row: Row, seen: Seen, case: Any) -> dict[str, Any]:
    whole, actor = seen.whole, seen.actor
    return {
        "sync_broadcasts": whole["sync_broadcasts"],
        "sync_ipis": whole["sync_ipis"],
        "unshared_tables": whole["unshared_tables"],
        "shared_tables": whole["shared_tables"],
        "gathers": actor["gathers"],
        "gathers_vma": actor["gathers_vma"],
        "pmdp_collapse_flush": actor["flush_requests"],
        "instructions": _instructions(row, seen, case),
    }


def _instructions(row: Row, seen: Seen, case: Any) -> dict[str, Prediction]:
    """Return each instruction's count; a range where copy-on-write faults of one page share the window."""
    counts: dict[str, Prediction] = dict(seen.instructions)
    forks = forks_of(row)
    further = 0 if case.platform.arch.isa == "3.1" and case.kernel.arch.one_tlbiel_on_isa31 else TLB_SETS - 1
    if row.fields.get("actor_forked"):
        # Its first flush interrupts the CPU that it was forked on, unless it copied a page since it left.
        for name, each in ((_WHOLE, 1), (_ONE_PAGE, further)):
            counts[name] = Undisturbed(low := seen.instructions.get(name, 0), low + each)
    if forks:
        exact = seen.instructions.get(_ONE_PAGE, 0)
        most = exact + _COPIED_PER_FORK * forks
        if row.workload == "program":
            more, whole = (_RUNNERS_TABLES + 1) * forks, seen.instructions.get(_WHOLE, 0)
            counts[_WHOLE] = (whole, whole + more)
            most += more * further
        counts[_ONE_PAGE] = (exact - forks, most)
    return counts


DIFFERENCES: tuple[Difference, ...] = ()
OPEN = (
    Difference(
        f"instructions.{_ONE_PAGE}",
        lambda row: forks_of(row) > 0,
        COPIES,
    ),
    Difference(
        f"instructions.{_WHOLE}",
        lambda row: row.workload == "program" and forks_of(row) > 0,
        "whether children exit while it is measured, which flush for dirty pages that the runner's processes share, "
        "and whether they moved before",
    ),
)

# The CPU on which a child was forked stays in its mm_cpumask, whatever runs there, until the child's first flush makes
# it leave: every schedule gives the same counts.
MEASURED = Measured(platform=_platform, predict=_predict, differences=DIFFERENCES, open=OPEN, variants=(0,))
