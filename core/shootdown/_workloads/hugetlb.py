"""One call on a hugetlb mapping whose PMD tables several processes share, for each caller of unsharing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._machine.machine import Machine
from shootdown._mm.gather import PageQueue
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._values.errors import ShootdownError
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload
from shootdown._workloads.threads import STATES, Threads, applied, remarks

#: How the mapping covers its PUD entries, as want_pmd_share() checks.
COVERS = ("whole", "short", "private")

_PARAMETERS = (
    Parameter(
        "tables", 1, "PMD tables that the mapping covers and every process uses", minimum=1, maximum=10**6
    ),
    Parameter("sharers", 2, "processes that map them, the actor counted", minimum=1, maximum=10**5),
    Parameter("vmas", 1, "VMAs that the mapping consists of, each of whole tables", minimum=1, maximum=10**5),
    Parameter(
        "actors", 1, "how many of the processes make the call, one after another", minimum=1, maximum=10**5
    ),
    Parameter("pages", 2, "huge pages that each process touches in each table", minimum=0, maximum=512),
    Parameter(
        "covers",
        "whole",
        "whole: the VMAs cover all PUD entries whole; short: each ends a huge page before its last one does, which is "
        "then not shared; private: MAP_PRIVATE, nothing is shared",
        choices=COVERS,
    ),
    Parameter("threads", 0, "further threads of the first actor, each on a CPU of its own", maximum=10**5),
    Parameter("state", "spin", "what those threads do meanwhile", choices=STATES),
    Parameter("walkers", 0, "threads of the first actor that are inside GUP-fast meanwhile", maximum=10**4),
    Parameter("allocation_fails", False, "no page for a batch of tables to free can be had"),
    Parameter(
        "preempted",
        0,
        "how many of the threads' vCPUs are preempted, or 50%",
        maximum=10**5,
        share_of="threads",
    ),
)


@attrs.frozen
class Who:
    """The process that makes a call, and those that map the file.

    Args:
        actor: the number of the process.
        mms: all sharers in the order in which they mapped the file, in which reverse-map walks visit them.
    """

    actor: int
    mms: tuple[int, ...]


#: Writes one call of an actor.
Call = Callable[[Model, tuple[Mapping, ...], Who], None]


def split_into_vmas(
    tables: int, vmas: int, pages: int, room: int, covers: str = "whole"
) -> tuple[Mapping, ...]:
    """Divide tables into VMAs as evenly as whole tables allow.

    Args:
        tables, vmas: how many there are.
        pages: huge pages that a process touches in each table.
        room: huge pages that a table maps.
        covers: one of `COVERS`.
    """
    if vmas > tables:
        raise ShootdownError(f"-p vmas={vmas}: a VMA covers at least one table, and there are {tables}")
    edges = [i * tables // vmas for i in range(vmas + 1)]
    pages = min(pages, room - 1 if covers == "short" else room)
    last = room // 2 + 1 if pages > 1 else 1
    if pages > 2:  # equally far apart
        last = max(last, pages)
        last -= (last - 1) % (pages - 1)
    own = {"whole": 0, "short": 1, "private": tables}[covers]
    return tuple(
        Mapping(
            tuple(range(lo, hi)),
            pages=pages,
            first=0,
            last=last,
            own=tuple(range(max(hi - own, lo), hi)),
            private=covers == "private",
        )
        for lo, hi in pairwise(edges)
    )


def _builder(
    call: Call,
) -> Callable[[Setup], Machine]:
    """Return the `build` of a workload in which each actor makes `call`."""

    def build(setting: Setup) -> Machine:
        sharers = setting["sharers"]
        actors = min(setting["actors"], sharers)
        model = Model(
            setting.kernel,
            setting.lowering,
            cpus=setting.cpus,
            mms=sharers + 1 + actors,
            slots=setting["tables"],
            classes=2,
            batch_fails=setting["allocation_fails"],
            counts_pages=_fills_batches(setting),
        )
        model.hugetlb.visits = True
        mappings = split_into_vmas(
            setting["tables"], setting["vmas"], setting["pages"], model.slot_huge_pages, setting["covers"]
        )
        mains = [model.task(mm=i, cpu=i % setting.cpus, ready=True) for i in range(sharers)]
        others = setting["threads"] + setting["walkers"]
        # On CPUs that no other actor uses, if there are enough.
        threads = Threads(
            model, mm=0, other_mm=sharers, cpu=actors - 1 if actors + others <= setting.cpus else 0
        )
        threads.add(setting["threads"], setting["state"], preempted=setting["preempted"])
        threads.add_walkers(setting["walkers"])
        ready = model.event()
        turns = [model.event() for _ in range(actors + 1)]
        threads.write(mappings)
        for i, main in enumerate(mains):
            model.starts(main)
            for m in mappings:
                model.hugetlb.touch(m)
            model.signal(ready)
            if i >= actors:
                model.sleep()
                continue
            model.wait(turns[i])
            if i:
                call(model, mappings, Who(i, tuple(range(sharers))))
            else:
                model.wait(ready, sharers)
                threads.await_all()
                with model.window("measured", mains[0]):
                    call(model, mappings, Who(i, tuple(range(sharers))))
                    model.signal(turns[1])
                    if actors > 1:
                        model.wait(turns[actors])
            if i:
                model.signal(turns[i + 1])
            model.asm.halt()
        starter = model.task(mm=None, cpu=0, ready=True)
        model.starts(starter)
        model.signal(turns[0])
        model.asm.halt()
        return model.build(pages_per_table=setting["pages"])

    return build


def _fills_batches(setting: Setup) -> bool:
    """Whether the last owner of all tables could fill a gather's batches with its pages and tables."""
    queue = PageQueue(
        setting.kernel.page_size, int(setting.kernel.folio_batches), bool(setting["allocation_fails"])
    )
    return bool(setting["tables"] * (setting["pages"] + 1) >= queue.room)


def upper_tables(model: Model, tables: int) -> tuple[int, int]:
    """Return the number of page-table pages above the PMD tables of an isolated mapping, and their level."""
    geometry = model.lowering.geometry
    # An entry that spans half of the address space maps the stack too: its table is not freed.
    if geometry.pud_shift < geometry.p4d_shift < model.kernel.va_bits - 1:
        span, level = geometry.p4d_shift - geometry.pud_shift, o.CLEARED_P4DS
    else:
        return 0, o.CLEARED_P4DS  # the PUD level is the root
    return -(-tables >> span), level


def _munmap(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    count, level = upper_tables(model, model.slots)
    model.calls.munmap(mappings, upper_tables=count, level=level)


def _exit(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    model.calls.exit(mappings)


def _mprotect(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    model.calls.mprotect(mappings)


def _mremap(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    count, level = upper_tables(model, model.slots)
    for m in mappings:  # the last one also frees the tables above
        model.calls.mremap(m, upper_tables=count if m is mappings[-1] else 0, level=level)


def _madvise(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    model.calls.madvise(*mappings)


def _split(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    model.calls.split(mappings[0])


def _uffd(model: Model, mappings: tuple[Mapping, ...], _: Who) -> None:
    with model.calls.syscall("userfaultfd_register", "fs/userfaultfd.c"):
        for m in mappings:
            model.calls.unshare_all(m)


def _punch(model: Model, mappings: tuple[Mapping, ...], who: Who) -> None:
    for m in mappings:
        model.calls.zap_file(m, who.mms, name="hugetlbfs_punch_hole")


def _truncate(model: Model, mappings: tuple[Mapping, ...], who: Who) -> None:
    for m in mappings:
        model.calls.zap_file(m, who.mms, name="hugetlb_vmtruncate")


def _migrate(model: Model, mappings: tuple[Mapping, ...], who: Who) -> None:
    model.calls.migrate(mappings[0], who.mms)


def _fork(model: Model, mappings: tuple[Mapping, ...], who: Who) -> None:
    mm = len(who.mms) + 1 + who.actor
    child = model.task(mm=mm, cpu=None)
    past = Label()
    model.asm.jump(past)
    model.starts(child)
    model.sleep()
    model.asm.place(past)
    model.calls.fork(child, mm, who.actor, mappings, populated=True)


def needs_mremap(setting: Setup) -> str | None:
    """Return why a kernel can't move hugetlb mappings, or None."""
    if not setting.kernel.hugetlb_mremap:
        return (
            f"mremap() of hugetlb mappings came with v5.16 (550a7d60bd5e); {setting.kernel.release} lacks it"
        )
    return None


def needs_madvise(setting: Setup) -> str | None:
    """Return why a kernel refuses MADV_DONTNEED of hugetlb mappings, or None."""
    if not setting.kernel.hugetlb_madvise_dontneed:
        return (
            "MADV_DONTNEED of hugetlb mappings came with v5.18 (90e7e7f5ef3f); "
            f"{setting.kernel.release} lacks it"
        )
    return None


def _applied(setting: Setup) -> dict[str, int]:
    actors, sharers = setting["actors"], setting["sharers"]
    return applied(setting) | ({"actors": sharers} if actors > sharers else {})


def _remarks(setting: Setup) -> list[str]:
    actors, sharers = setting["actors"], setting["sharers"]
    if actors <= sharers:
        return remarks(setting)
    said = f"actors={actors} is more than there can be: {sharers} (each is one of the {sharers} sharers)"
    return [*remarks(setting), said]


def _workload(
    name: str,
    summary: str,
    call: Call,
    refuse: Callable[[Setup], str | None] = lambda _: None,
    notes: Callable[[Setup], list[str]] | None = None,
) -> Workload:
    return Workload(
        name,
        summary,
        _PARAMETERS,
        _builder(call),
        lambda setting: _needs_gup_fast(setting) or refuse(setting),
        notes or _remarks,
        shares_tables=True,
        applied=_applied,
        small={"tables": 4},
    )


def _mremap_remarks(setting: Setup) -> list[str]:
    """Return a remark if the kernel moves everything and then reports failure: an int holds the number of bytes.

    mm/hugetlb.c, move_hugetlb_page_tables(): 4 GiB become 0, which is less than requested; 6 GiB become negative, which
    passes the check. Seen in every measured kernel that has the call (tests/oracle/README.md).
    """
    size = -(-setting["tables"] // setting["vmas"]) << setting.lowering.geometry.pud_shift
    if not setting.kernel.hugetlb_mremap_in_int or size & 0xFFFF_FFFF == size or size & 0x8000_0000:
        return _remarks(setting)
    return [
        *_remarks(setting),
        f"mremap() of {size >> 30} GiB at once fails with ENOMEM, because move_hugetlb_page_tables() returns an int; "
        "the counts are those of the move, not of its undoing",
    ]


def _fork_remarks(setting: Setup) -> list[str]:
    """Return a remark if fork() itself has nothing to do with shared tables."""
    if setting.kernel.fork_shares_pmd:
        return _remarks(setting)
    return [
        *_remarks(setting),
        "fork() leaves hugetlb tables alone since v6.0 (bcd51a3c679d): a child shares one when it touches it, and "
        "unshares it when it exits: ask fork-storm",
    ]


def _needs_gup_fast(setting: Setup) -> str | None:
    if setting["walkers"] and not setting.kernel.gup_fast:
        return f"{setting.kernel.release} has no GUP-fast on this architecture (CONFIG_HAVE_GUP_FAST): no walkers"
    return None


HUGETLB: tuple[Workload, ...] = (
    _workload("hugetlb-exit", "a process that shares hugetlb PMD tables exits", _exit),
    _workload("hugetlb-munmap", "it unmaps the whole mapping", _munmap),
    _workload("hugetlb-mprotect", "it makes the whole mapping read-only", _mprotect),
    _workload("hugetlb-mremap", "it moves the whole mapping", _mremap, needs_mremap, _mremap_remarks),
    _workload("hugetlb-madvise", "it calls MADV_DONTNEED on the whole mapping", _madvise, needs_madvise),
    _workload("hugetlb-split", "it unmaps the first half of the first table, which splits the VMA", _split),
    _workload("hugetlb-uffd", "it registers the mapping with userfaultfd, which unshares all of it", _uffd),
    _workload("hugetlb-punch", "it punches a hole over the whole file", _punch),
    _workload("hugetlb-truncate", "it truncates the file to nothing", _truncate),
    _workload(
        "hugetlb-fork",
        "it forks; before v6.0 the child then shares all its tables",
        _fork,
        notes=_fork_remarks,
    ),
    _workload("hugetlb-migrate", "one page is migrated: the reverse map visits every sharer", _migrate),
)
