"""khugepaged, or a process by MADV_COLLAPSE, collapses base pages into larger ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from shootdown._machine.machine import Machine
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.khugepaged import Pass, Rules, passes
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload
from shootdown._workloads.populations import (
    BY_PAGES,
    FORMS,
    PMD,
    check_population,
    populate,
    read_limit,
    read_orders,
    read_outcomes,
)
from shootdown._workloads.threads import STATES, Threads, applied, remarks

#: Who collapses.
CALLERS = ("khugepaged", "process")


def pmd_order(setting: Setup) -> int:
    """Return HPAGE_PMD_ORDER."""
    geometry = setting.lowering.geometry
    return geometry.pmd_shift - geometry.page_shift


def planned(
    setting: Setup,
    *,
    orders: str,
    populated: str,
    max_ptes_none: int | None,
    by_process: bool,
    ranges: int,
    count: int,
    outcomes: str = BY_PAGES,
) -> list[Pass]:
    """Work out what each of `count` passes over `ranges` PMD ranges attempts; texts as the parameters have them."""
    top = pmd_order(setting)
    enabled = read_orders(orders, top)
    rules = Rules(
        top,
        enabled,
        max_ptes_none,
        below_pmd=setting.kernel.khugepaged_mthp,
        by_process=by_process,
        forced=read_outcomes(outcomes, top),
    )
    pages = populate(populated, rules.count, max((order for order in enabled if order <= top), default=0))
    return list(passes(pages, rules, ranges, count))


def write_collapse(
    setting: Setup,
    done: Sequence[Pass],
    counted: Sequence[Pass],
    *,
    threads: int,
    state: str,
    by_process: bool,
) -> Machine:
    """Write a process whose pages are collapsed while its threads do something.

    Args:
        setting: kernel, platform and CPUs.
        done: passes before the window.
        counted: passes inside of it.
        threads: further threads of the process.
        state: what those do, one of `STATES`.
        by_process: the process calls MADV_COLLAPSE; otherwise khugepaged does it, on the last CPU.
    """
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=2)
    top = pmd_order(setting)
    calls = Anonymous(model.calls, 1 << top)
    main = model.task(mm=0, cpu=0, ready=True)
    daemon = None if by_process else model.task(mm=None, cpu=setting.cpus - 1, ready=True)
    room = setting.cpus - 1 if by_process else setting.cpus - 2
    others = Threads(model, mm=0, other_mm=1, cpu=0)
    others.add(min(threads, max(room, 0)), state)
    touched = model.event()
    others.write(())
    model.starts(main)
    calls.touch(1, huge=False)
    if daemon is None:
        others.await_all()
        _write_passes(calls, done, top, by_process)
        with model.window("measured", main):
            _write_passes(calls, counted, top, by_process)
        model.asm.halt()
        return model.build()
    model.signal(touched)
    if setting.cpus > 1:
        model.spin()
    else:  # khugepaged gets its turn
        model.sleep()
    model.starts(daemon)
    model.wait(touched)
    others.await_all()
    model.concern(0)
    _write_passes(calls, done, top, by_process)
    with model.window("measured", daemon):
        _write_passes(calls, counted, top, by_process)
    model.asm.halt()
    return model.build()


def _write_passes(calls: Anonymous, done: Sequence[Pass], top: int, by_process: bool) -> None:
    for each in done:
        if not by_process:
            calls.collapse(each.attempts, each.ranges, pmd_order=top)
            continue
        with calls.collapses():
            calls.collapse(each.attempts, each.ranges, pmd_order=top, why="MADV_COLLAPSE")


def _ranges(setting: Setup) -> int:
    given: int = setting["ranges"]
    return given or max((setting["gib"] << 30) >> setting.lowering.geometry.pmd_shift, 1)


def _passes(setting: Setup) -> list[Pass]:
    return planned(
        setting,
        orders=setting["orders"],
        populated=setting["populated"],
        max_ptes_none=read_limit(setting["max_ptes_none"]),
        by_process=setting["caller"] == "process",
        ranges=_ranges(setting),
        count=setting["passes"],
        outcomes=setting["outcomes"],
    )


def _build(setting: Setup) -> Machine:
    return write_collapse(
        setting,
        (),
        _passes(setting),
        threads=setting["threads"],
        state=setting["state"],
        by_process=setting["caller"] == "process",
    )


def _refuse(setting: Setup) -> str | None:
    if setting["caller"] == "process" and not setting.kernel.madv_collapse:
        return f"MADV_COLLAPSE came with v6.1 (7d8faaf15545); {setting.kernel.release} lacks it"
    most = pmd_order(setting)
    if max(read_orders(setting["orders"], most)) > most:
        return (
            f"orders={setting['orders']}: PMD order is {most} with pages of {setting.kernel.page_size >> 10}K"
        )
    return setting.lowering.no_thp()


def _busy(setting: Setup) -> int:
    """Return how many CPUs are the caller's own: the process's, and khugepaged's."""
    return 1 if setting["caller"] == "process" else 2


def _remarks(setting: Setup) -> list[str]:
    """Return which orders nobody tries, and what was attempted."""
    by_process = setting["caller"] == "process"
    found = remarks(setting, busy=_busy(setting))
    if setting["ranges"]:
        found.append(f"ranges={setting['ranges']} counts, and gib does not")
    top = pmd_order(setting)
    below = sorted(order for order in read_orders(setting["orders"], top) if order < top)
    if by_process:
        found.append("MADV_COLLAPSE makes huge pages of PMD order, whatever orders are enabled")
    elif below and not setting.kernel.khugepaged_mthp:
        found.append(
            f"orders below {top} are not tried: khugepaged makes only huge pages of PMD order before 7.2"
        )
    asked = {parameter.name: parameter.default for parameter in _OF_ATTEMPTS}
    if any(setting[name] != default for name, default in asked.items()):
        number = 1
        for each, alike in groupby(_passes(setting)):
            last = number + len(tuple(alike)) - 1
            which = f"pass {number}" if number == last else f"each of passes {number} to {last}"
            found.append(f"{which}: {_said(each)}")
            number = last + 1
    return found


def _said(done: Pass) -> str:
    """Return how many flushes a pass makes, and how its attempts end."""
    orders: dict[str, set[int]] = {}
    counts: dict[str, int] = {}
    for attempt in done.attempts:
        orders.setdefault(attempt.outcome, set()).add(attempt.order)
        counts[attempt.outcome] = counts.get(attempt.outcome, 0) + done.ranges
    if not counts:
        return "nothing is attempted"
    words = [
        f"{count} {outcome} (order {', '.join(map(str, sorted(orders[outcome])))})"
        for outcome, count in counts.items()
    ]
    return f"{done.flushes} attempts flush and synchronise; {', '.join(words)}"


_OF_ATTEMPTS = (
    Parameter(
        "orders",
        PMD,
        "enabled orders of huge pages (/sys/kernel/mm/transparent_hugepage/hugepages-*): pmd, 4, 2,4,pmd or 2-8",
        check=read_orders,
    ),
    Parameter(
        "populated",
        "full",
        f"what each range maps at first, these with commas between them: {'; '.join(FORMS)}",
        check=check_population,
    ),
    Parameter(
        "max_ptes_none",
        "default",
        "how many entries of a range may be empty (khugepaged/max_ptes_none); default: all but one",
        check=read_limit,
    ),
    Parameter("passes", 1, "full passes over the same memory; all are counted", minimum=1, maximum=10**4),
    Parameter(
        "outcomes",
        BY_PAGES,
        "how attempts end: by-pages, or OUTCOME, or ORDER:OUTCOME,... for some orders, in the words of the tracepoint "
        "mm_collapse_huge_page",
        check=read_outcomes,
    ),
    Parameter(
        "caller",
        "khugepaged",
        "khugepaged: the daemon, on the last CPU; process: the process itself, by MADV_COLLAPSE",
        choices=CALLERS,
    ),
)

THP_COLLAPSE = Workload(
    name="thp-collapse",
    summary="khugepaged collapses N GiB of base pages of a process into huge pages",
    parameters=(
        Parameter("gib", 20, "GiB that it collapses", minimum=1, maximum=10**5),
        Parameter("threads", 0, "further threads of the process, each on a CPU of its own", maximum=10**5),
        Parameter("state", "spin", "what those threads do meanwhile", choices=STATES),
        Parameter(
            "ranges",
            0,
            "aligned ranges of a PMD entry, instead of GiB; 0: as many as the GiB have",
            maximum=10**7,
        ),
        *_OF_ATTEMPTS,
    ),
    build=_build,
    remarks=_remarks,
    refuse=_refuse,
    applied=lambda setting: applied(setting, busy=_busy(setting)),
    small={"gib": 20, "ranges": 4},
)
