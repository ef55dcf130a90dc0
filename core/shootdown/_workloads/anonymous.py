"""One call on an anonymous mapping of a process with threads on other CPUs."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.model import Model
from shootdown._timed.run import Machine
from shootdown._workload import Parameter, Setting, Workload
from shootdown._workloads.threads import STATES, Threads, remarks

OPERATIONS = ("munmap", "madv_dontneed", "mprotect_ro", "mprotect_rw", "thp_split_mprotect")
KINDS = ("embedded", "isolated", "thp")


def tables_freed(kind: str, pages: int, table_pages: int) -> int:
    """Say how many page-table pages munmap frees: all of an isolated mapping, else those wholly covered."""
    if kind == "thp":
        return 1
    if kind == "isolated":
        return -(-pages // table_pages)
    return pages // table_pages


def write_operation(calls: Anonymous, op: str, kind: str, pages: int) -> None:
    """Write one of `OPERATIONS`."""
    huge = kind == "thp"
    if op == "munmap":
        calls.munmap(pages, huge=huge, tables=tables_freed(kind, pages, calls.table_pages))
    elif op == "madv_dontneed":
        calls.madvise(pages, huge=huge)
    else:
        calls.mprotect(pages, huge=huge, part=op == "thp_split_mprotect", widens=op == "mprotect_rw")


def _build(setting: Setting) -> Machine:
    model = Model(
        setting.kernel,
        setting.lowering,
        cpus=setting.cpus,
        mms=2,
        small=True,
        batch_fails=setting["allocation_fails"],
    )
    pages, kind, op = setting["pages"], setting["kind"], setting["op"]
    calls = Anonymous(model.calls, _table_pages(model))
    main = model.task(mm=0, cpu=0, ready=True)
    threads = Threads(model, mm=0, other_mm=1, cpu=0)
    threads.add(setting["threads"], setting["state"], preempted=setting["preempted"])
    threads.write(())
    model.starts(main)
    threads.await_all()
    calls.touch(pages, huge=kind == "thp")
    if setting["times"] > 1:
        with model.asm.loop(setting["times"] - 1, o.SCRATCH):
            write_operation(calls, op, kind, pages)
            calls.touch(pages, huge=kind == "thp")
    with model.window("measured", main):
        write_operation(calls, op, kind, pages)
    model.asm.halt()
    return model.build(pages_per_table=pages)


def _table_pages(model: Model) -> int:
    geometry = model.lowering.geometry
    return 1 << (geometry.pmd_shift - geometry.page_shift)


def _refuse(setting: Setting) -> str | None:
    if setting["op"] == "thp_split_mprotect" and setting["kind"] != "thp":
        return "thp_split_mprotect changes one page of a huge one: it needs -p kind=thp"
    return setting.lowering.no_thp() if setting["kind"] == "thp" else None


ANONYMOUS = Workload(
    name="anonymous",
    summary="a process with threads on other CPUs unmaps, discards or protects anonymous pages",
    parameters=(
        Parameter("op", "munmap", "the call", choices=OPERATIONS),
        Parameter(
            "kind",
            "isolated",
            "isolated: its page table is its own; embedded: neighbours use it",
            choices=KINDS,
        ),
        Parameter("pages", 1, "base pages that it maps", minimum=1, maximum=10**6),
        Parameter("threads", 3, "threads on other CPUs", maximum=10**5),
        Parameter("state", "spin", "what those threads do meanwhile", choices=STATES),
        Parameter("preempted", 0, "how many of the threads' vCPUs are preempted", maximum=10**5),
        Parameter("allocation_fails", False, "no page for a batch of tables to free can be had"),
        Parameter(
            "times", 1, "how often it maps and calls; the last time is counted", minimum=1, maximum=10**5
        ),
    ),
    build=_build,
    refuse=_refuse,
    remarks=remarks,
)
