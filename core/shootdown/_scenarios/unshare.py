"""Unsharing a hugetlb PMD table while GUP-fast or the hardware walks it.

`sharers` processes map one table. All but one unshare it, on the path that `path` names; the last one then uses the
table's page for mappings of its own, unmaps those too, and frees it. Each process that unshares has a second CPU: in
`unshare-gup` it is inside GUP-fast, in `unshare-walk-cache` its hardware walker may cache and use any entry.

The invariants: GUP-fast returns no page that it found through a table which another process has reused, and reads no
freed table; a hardware walker uses no cached link to such a table.
"""

from __future__ import annotations

from shootdown._explore.alike import Group
from shootdown._explore.problem import Problem
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._mm.shared_tables import SharedTables
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_PATHS = ("munmap", "exit", "mprotect", "rmap")
_MAPPING = Mapping(used=(0,), pages=1)
_GUP = 1
_INVARIANTS = ("walk-cache", "gup-fast")
_PLACES = ("reused", "freed", "walked")

_PARAMETERS = (
    Parameter(
        "sharers", 2, "processes that map the table: all but one unshare it, the last reuses it and frees it",
        minimum=2, maximum=5,
    ),
    Parameter("path", "munmap", "how the others give it up", choices=_PATHS),
    Parameter("lazy", False, "the other CPU of each mm that unshares is in lazy TLB mode"),
)  # fmt: skip


class _Cast:
    """The machine of one scene: CPUs, tasks and address spaces by their parts in it.

    Each mm that unshares has two CPUs, except where the reverse map does it from elsewhere: the unsharer's own is
    then left out. The last CPU is that of the process which keeps the table; before it comes the one that migrates.
    """

    def __init__(self, scene: Setup, *, gup: bool) -> None:
        self.scene = scene
        self.gup = gup
        self.rmap = scene["path"] == "rmap"
        self.exits = scene["path"] == "exit"
        self.leavers = scene["sharers"] - 1
        per = 1 if self.rmap else 2
        self.others = [i * per + per - 1 for i in range(self.leavers)]
        self.actors = [] if self.rmap else [i * per for i in range(self.leavers)]
        cpus = self.leavers * per + 1 + int(self.rmap)
        #: The process that runs on a CPU which has switched away is the last mm.
        self.stranger = self.leavers + 1
        self.model = Model(
            scene.kernel, scene.lowering, cpus=cpus, mms=self.leavers + 1 + int(self.exits), slots=1
        )
        self.tables = SharedTables(self.model, _PLACES, _GUP)
        self.keeper_cpu = cpus - 1
        self.migrator_cpu = cpus - 2


def _build(scene: Setup, *, gup: bool) -> Problem:
    cast = _Cast(scene, gup=gup)
    model = cast.model
    for mm in range(cast.leavers + 1):
        model.populate(mm)
    left = [model.event() for _ in range(cast.leavers)]
    actors = [model.task(mm=i, cpu=cpu, ready=True) for i, cpu in enumerate(cast.actors)]
    others = _others(cast, left)
    if cast.rmap:
        actors = [model.task(mm=None, cpu=cast.migrator_cpu, ready=True)]
        model.starts(*actors)
        model.calls.migrate(_MAPPING, tuple(range(cast.leavers + 1)))
        model.spin()
    elif cast.exits and gup and not scene["lazy"]:
        for i, actor in enumerate(actors):
            model.starts(actor)
            model.wait(left[i])
            _give_up(model, scene["path"])
    else:
        model.starts(*actors)
        _give_up(model, scene["path"])
    keeper = model.task(mm=cast.leavers, cpu=cast.keeper_cpu, ready=True)
    model.starts(keeper)
    cast.tables.keep(_MAPPING)
    model.spin()
    groups: tuple[Group, ...] = ()
    if not cast.rmap and not (cast.exits and gup and not scene["lazy"]):
        groups = tuple(
            Group(
                (cast.actors[i], cast.others[i]),
                (actors[i], *(() if others[i] is None else (others[i],))),
                (i,),
            )
            for i in range(cast.leavers)
        )
    return Problem(
        machine=model.build(bits=16),
        invariants=_INVARIANTS,
        places=_PLACES,
        walkers=not gup,
        hypervisor=scene.preempts,
        groups=groups,
        mm_locks=(model.locks.mmap, model.locks.vma),
        lanes=_lanes(cast),
    )


def _others(cast: _Cast, left: list[int]) -> list[int | None]:
    """Write the other CPU of each mm: it walks, runs in user mode, idles lazily, or runs another process."""
    model, scene = cast.model, cast.scene
    if scene["lazy"]:
        for mm, cpu in enumerate(cast.others):
            model.keep_lazy(cpu, mm)
        return [None] * cast.leavers
    if cast.gup:
        tasks = [model.task(mm=mm, cpu=cpu, ready=True) for mm, cpu in enumerate(cast.others)]
        for i, task in enumerate(tasks):
            if cast.exits or i == 0:
                model.starts(*([task] if cast.exits else tasks))
                cast.tables.gup_fast()
                if cast.exits:  # exit_mmap() waits for the last user of the mm
                    model.asm.release_mm(text="exit_mm: the thread gives up its reference to the mm")
                    model.signal(left[i])
                    model.asm.halt()
                else:
                    model.spin()
        return list(tasks)
    # An exiting mm runs on no other CPU; this one runs another process.
    owners = [cast.stranger if cast.exits else mm for mm in range(cast.leavers)]
    tasks = [model.task(mm=owners[i], cpu=cpu, ready=True) for i, cpu in enumerate(cast.others)]
    model.starts(*tasks)
    model.spin()
    return list(tasks)


def _give_up(model: Model, path: str) -> None:
    """Write the call in which a process unshares the table."""
    if path == "munmap":
        model.calls.munmap((_MAPPING,), upper_tables=0)
        model.spin()
    elif path == "mprotect":
        model.calls.mprotect((_MAPPING,))
        model.spin()
    else:
        model.calls.exit((_MAPPING,))
        model.asm.halt()


def _lanes(cast: _Cast) -> tuple[str, ...]:
    names = [""] * cast.model.cpus
    what = "GUP-fast" if cast.gup else "lazy" if cast.scene["lazy"] else "runs"
    for i, cpu in enumerate(cast.others):
        names[cpu] = f"{chr(65 + i)}: {'lazy' if cast.scene['lazy'] else what}"
    for i, cpu in enumerate(cast.actors):
        names[cpu] = f"{chr(65 + i)}: {cast.scene['path']}"
    if cast.rmap:
        names[cast.migrator_cpu] = "migration"
    names[cast.keeper_cpu] = f"{chr(65 + cast.leavers)}: keeps the table"
    return tuple(names)


def _needs_gup_fast(scene: Setup) -> str | None:
    if scene.kernel.gup_fast:
        return None
    return (
        f"{scene.kernel.release} has no GUP-fast on this architecture (CONFIG_HAVE_GUP_FAST): nobody walks so"
    )


_SENTENCES = {
    "gup-fast": "GUP-fast may not read a page table that is free, nor return a page that it found in one that "
    "belongs to somebody else by then.",
}

UNSHARE = (
    Scenario(
        name="unshare-gup",
        summary="GUP-fast against unsharing a hugetlb PMD table",
        source="1013af4f585f, 8ce720d5bd91",
        build=lambda scene: _build(scene, gup=True),
        parameters=_PARAMETERS,
        refuse=_needs_gup_fast,
        shares_tables=True,
        window=("walked", "reused"),
        sentences=_SENTENCES,
        expected=(
            Expect("safe", arch="x86", kernel="6.15", why="flush IPIs wait for GUP-fast"),
            Expect("bug", arch="x86", kernel="6.15", settings=("platform.flush=broadcast",)),
            Expect("bug", arch="arm64", kernel="6.15", why="TLBI waits for nobody's walk in software"),
            Expect("safe", arch="arm64", kernel="6.16"),
            Expect("safe", arch="arm64", kernel="7.0"),
        ),
    ),
    Scenario(
        name="unshare-walk-cache",
        summary="hardware walkers against unsharing a hugetlb PMD table",
        source="8ce720d5bd91, c2ff4764e03e",
        build=lambda scene: _build(scene, gup=False),
        sentences=_SENTENCES,
        parameters=_PARAMETERS,
        shares_tables=True,
        window=("reused",),
    ),
)
