"""One call on an ordinary mapping of a process with threads on other CPUs."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.machine import Machine
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload
from shootdown._workloads.threads import STATES, Threads, applied, remarks

OPERATIONS = (
    "munmap",
    "madv_dontneed",
    "mprotect_ro",
    "mprotect_rw",
    "thp_split_mprotect",
    "thp_split_madvise",
)
KINDS = ("embedded", "isolated", "thp", "file")


def tables_freed(kind: str, pages: int, table_pages: int) -> int:
    """Return the number of page-table pages that munmap() frees: all of an isolated mapping, else those covered."""
    if kind == "thp":
        return 1
    if kind in ("isolated", "file"):
        return -(-pages // table_pages)
    return pages // table_pages


#: Which base page of a huge one changes where an operation splits it: the 17th, as in the measured program.
SPLIT_AT = 16


def write_operation(
    calls: Anonymous,
    op: str,
    kind: str,
    pages: int,
    clean: int = 0,
    part: range = range(SPLIT_AT, SPLIT_AT + 1),
) -> None:
    """Write one of `OPERATIONS`.

    Args:
        calls: what to write with.
        op, kind: what is done, to what.
        pages: base pages of the mapping.
        clean: of a file's pages so many at the beginning were only read.
        part: the base pages of a huge one that change, where the operation splits it.
    """
    huge = kind == "thp"
    first_dirty = clean if kind == "file" else None
    if op == "munmap":
        kept = huge and calls.lowering.spans_one_table
        tables = 0 if kept else tables_freed(kind, pages, calls.table_pages)
        calls.munmap(pages, huge=huge, tables=tables, clean=first_dirty)
    elif op == "madv_dontneed":
        calls.madvise(pages, huge=huge, clean=first_dirty)
    elif op == "thp_split_madvise":
        calls.madvise_part(part)
    else:
        split = part if op == "thp_split_mprotect" else None
        calls.mprotect(pages, huge=huge, part=split, widens=op == "mprotect_rw")


def _build(setting: Setup) -> Machine:
    processes, callers = setting["processes"], setting["callers"]
    model = Model(
        setting.kernel,
        setting.lowering,
        cpus=setting.cpus,
        mms=processes + 1,
        batch_fails=setting["allocation_fails"],
    )
    calls = Anonymous(model.calls, _table_pages(model))
    mains = [model.task(mm=i, cpu=i % setting.cpus, ready=True) for i in range(processes)]
    threads = Threads(model, mm=0, other_mm=processes, cpu=processes - 1)
    threads.add(setting["threads"], setting["state"], preempted=setting["preempted"])
    taken = processes + min(setting["threads"], max(setting.cpus - processes, 0))
    more = [model.task(mm=0, cpu=(taken + i) % setting.cpus, ready=True) for i in range(callers - 1)]
    there, go, done = model.event(), model.event(), model.event()
    others = len(mains) + len(more) - 1
    threads.write(())
    model.starts(*mains[1:], *more)
    _prepare(model, calls, setting)
    model.signal(there)
    model.wait(go)
    _call(calls, setting)
    model.signal(done)
    model.asm.halt()
    model.starts(mains[0])
    threads.await_all()
    _prepare(model, calls, setting)
    if others:
        model.wait(there, others)
    with model.window("measured", mains[0]):
        if others:
            model.signal(go)
        _call(calls, setting)
        if others:
            model.wait(done, others)
    model.asm.halt()
    return model.build(pages_per_table=setting["pages"])


def _prepare(model: Model, calls: Anonymous, setting: Setup) -> None:
    """Write first accesses, and all calls but the last."""
    huge = setting["kind"] == "thp"
    calls.touch(setting["pages"], huge=huge)
    if setting["times"] > 1:
        with model.asm.loop(setting["times"] - 1, o.SCRATCH):
            _call(calls, setting)
            calls.touch(setting["pages"], huge=huge)


def _call(calls: Anonymous, setting: Setup) -> None:
    part = range(setting["first"], setting["first"] + setting["changed"])
    write_operation(calls, setting["op"], setting["kind"], setting["pages"], setting["clean"], part)


def _table_pages(model: Model) -> int:
    geometry = model.lowering.geometry
    return 1 << (geometry.pmd_shift - geometry.page_shift)


def _busy(setting: Setup) -> int:
    """Return how many CPUs make calls."""
    return int(setting["processes"] + setting["callers"] - 1)


def _refuse(setting: Setup) -> str | None:
    op, end = setting["op"], setting["first"] + setting["changed"]
    if op in ("thp_split_mprotect", "thp_split_madvise"):
        if setting["kind"] != "thp":
            return f"{op} changes pages of a huge one: it needs -p kind=thp"
        geometry = setting.lowering.geometry
        base = 1 << (geometry.pmd_shift - geometry.page_shift)
        if end > base:
            return f"-p first={setting['first']} -p changed={setting['changed']}: a huge page has {base} base pages"
    return setting.lowering.no_thp() if setting["kind"] == "thp" else None


ANONYMOUS = Workload(
    name="anonymous",
    summary="a process with threads on other CPUs unmaps, discards or protects ordinary pages",
    parameters=(
        Parameter("op", "munmap", "the call", choices=OPERATIONS),
        Parameter(
            "kind",
            "isolated",
            "isolated: its page table is its own; embedded: neighbours use it; thp: one huge page; file: pages of a "
            "shared file, written, with a page table of their own",
            choices=KINDS,
        ),
        Parameter("pages", 1, "base pages that it maps", minimum=1, maximum=10**6),
        Parameter("clean", 0, "of a file's pages those at the beginning that were only read", maximum=10**6),
        Parameter("threads", 3, "threads on other CPUs", maximum=10**5),
        Parameter("state", "spin", "what those threads do meanwhile", choices=STATES),
        Parameter(
            "preempted",
            0,
            "how many of the threads' vCPUs are preempted, or 50%",
            maximum=10**5,
            share_of="threads",
        ),
        Parameter("allocation_fails", False, "no page for a batch of tables to free can be had"),
        Parameter(
            "callers",
            1,
            "threads of the process that make the call at once, the first counted, each on a CPU of its own",
            minimum=1,
            maximum=10**4,
        ),
        Parameter(
            "processes",
            1,
            "processes that do all of this at once, each on a CPU of its own",
            minimum=1,
            maximum=10**4,
        ),
        Parameter("first", SPLIT_AT, "of thp_split_*: the first base page that changes", maximum=8191),
        Parameter("changed", 1, "of thp_split_*: how many base pages change", minimum=1, maximum=8192),
        Parameter(
            "times", 1, "how often it maps and calls; the last time is counted", minimum=1, maximum=10**5
        ),
    ),
    build=_build,
    refuse=_refuse,
    remarks=lambda setting: remarks(setting, busy=_busy(setting)),
    applied=lambda setting: applied(setting, busy=_busy(setting)),
)
