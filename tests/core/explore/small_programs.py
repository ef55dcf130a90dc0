"""Random small programs on ordinary memory, for the explorer and for the brute-force model alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

from twins.brute_force.program import TABLE, Call, Small

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._mm.gup import Gup
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS
from shootdown._mm.reclaim import Reclaim
from shootdown._questions.explore import explorations
from shootdown._scenarios.pte import maps
from shootdown._values.setup import Setup

#: What each call may get wrong.
FLAWS = {
    "madvise": ("no nested check", "freed first", "forgotten"),
    "munmap": ("freed first", "forgotten"),
    "truncate": ("freed first", "forgotten"),
    "mprotect": ("forgotten",),
    "mremap": ("late flush", "next page"),
    "gup": (),
}
#: How many calls each thread makes, and what one more CPU does.
SHAPES = (
    ((1, 1), ""),
    ((2, 1), ""),
    ((1, 1), "runs"),
    ((1,), "sleeps"),
    ((1, 1), "idle"),
    ((1, 1), "sleeps"),
)


#: A patch whose flushes reach their own CPU after the wait for the others.
HERE_LAST = Path(__file__).with_name("here_last.py")
#: What calls may get wrong about pages that reclaim has unmapped.
RECLAIM_FLAWS = ("no look at reclaim", "waits for its own")


def random_program(seed: int, *, fine: bool = False, way: str | None = None, reclaims: bool = False) -> Small:
    """Return a program of a seed; `fine` programs have no flaw and the kernel's own rules; one call may reclaim."""
    rng = Random(seed)
    calls, user = rng.choice(SHAPES)
    pages = [0, rng.choice((1, 2, 40, TABLE - 1)), TABLE + rng.choice((0, 0, 3))][: rng.choice((2, 3, 3))]
    if len(pages) == 2 and rng.random() < 0.5:
        pages[1] = TABLE
    mapped: list[int | None] = [
        None if rng.random() < 0.25 else 0 if rng.random() < 0.5 else n + 1 for n in range(len(pages))
    ]
    if mapped == [None] * len(pages):
        mapped[0] = 0
    small = Small(
        pages=tuple(pages),
        maps=tuple(mapped),
        writable=tuple(rng.random() < 0.75 for _ in pages),
        file=0,
        threads=(),
        user=user,
        way=rng.choice(("x86", "arm64")),
        ranges=rng.random() < 0.5,
        rcu=fine or rng.random() < 0.8,
        rechecks=fine or rng.random() < 0.8,
    )
    names = [rng.choice(tuple(FLAWS)) for _ in range(sum(calls))]
    flawed = -1 if fine or rng.random() < 0.4 else rng.randrange(len(names))
    made = _calls(rng, small, names, flawed)
    if reclaims:
        made = _with_reclaim(rng, small, made, way or small.way, fine=fine)
    threads = tuple(tuple(made.pop(0) for _ in range(count)) for count in calls)
    return Small(**{**vars(small), "threads": threads, "way": way or small.way})


def gives_again(small: Small) -> bool:
    """Whether mremap() moves a page to an address of another call that takes the same page away elsewhere.

    The explorer notes what a call takes away by pages, for all of its addresses, and is told where one gives a page
    again meanwhile. Programs have a page of an address space at one address; these are not told.
    """
    calls = [call for thread in small.threads for call in thread]
    return any(
        call.name == "mremap"
        and other is not call
        and call.atoms[1] in other.atoms
        and small.maps[call.atoms[0]] in {small.maps[n] for n in other.atoms if n != call.atoms[1]}
        for call in calls
        for other in calls
    )


def _calls(rng: Random, small: Small, names: list[str], flawed: int) -> list[Call]:
    """Choose what each call is on, so that the kernel would be in the states that the calls assume."""
    everything = range(len(small.pages))
    moves: dict[int, tuple[int, int]] = {}
    for at, name in enumerate(names):
        if name == "mremap":
            taken = {new for _, new in moves.values()}
            free = [n for n in everything if small.maps[n] is None and n not in taken]
            pairs = [
                (old, new)
                for new in free
                for old in everything
                if small.maps[old] is not None and small.table(old) != small.table(new)
            ]
            if pairs:
                moves[at] = rng.choice(pairs)
            else:
                names[at] = "madvise"
    to = [new for _, new in moves.values()]
    file = [n for n in everything if small.maps[n] == small.file]
    file += [new for old, new in moves.values() if old in file and new not in file]
    freed: set[int] = set()
    made = []
    for at, name in enumerate(names):
        flaws = frozenset({rng.choice(FLAWS[name])}) if at == flawed and FLAWS[name] else frozenset()
        atoms: tuple[int, ...] = tuple(sorted(rng.sample(everything, rng.randint(1, len(everything)))))
        tables: tuple[int, ...] = ()
        if name == "mremap":
            atoms = moves[at]
        elif name == "truncate":
            name, atoms = ("truncate", tuple(file)) if file else ("madvise", atoms)
            flaws &= set(FLAWS[name])
        elif name == "gup":
            atoms = (rng.choice(everything),)
        elif name == "munmap":
            empty = {small.table(n) for n in atoms} - {small.table(n) for n in everything if n not in atoms}
            empty -= freed | {small.table(n) for n in to}
            tables = tuple(t for t in sorted(empty) if rng.random() < 0.8)
            freed |= set(tables)
        made.append(Call(name, atoms, tables, flaws))
    return made


def _with_reclaim(rng: Random, small: Small, made: list[Call], way: str, *, fine: bool) -> list[Call]:
    """Let one of the calls reclaim a page that one address maps, and the others forget to look at that."""
    moved = dict(call.atoms for call in made if call.name == "mremap")
    once = [n for n, frame in enumerate(small.maps) if frame is not None and small.maps.count(frame) == 1]
    kept = [at for at, call in enumerate(made) if call.name != "mremap"]
    if not once or not kept:
        return made
    n = rng.choice(once)
    flaws = frozenset[str]()
    if not fine and rng.random() < 0.6:
        flaws = frozenset({RECLAIM_FLAWS[way == "arm64" and rng.random() < 0.5]})
    made = [Call(one.name, one.atoms, one.tables, one.flaws | flaws) for one in made]
    made[rng.choice(kept)] = Call("reclaim", (n, moved[n]) if n in moved else (n,))
    return made


class Flawed(Ordinary):
    """Write calls with their flaws."""

    flaws: frozenset[str] = frozenset()
    reclaims: Reclaim | None = None
    of_file: frozenset[int] = frozenset()

    def zap_pte_range(self, atoms: Sequence[int], g: int = OUTER) -> None:
        if "forgotten" not in self.flaws:
            super().zap_pte_range(atoms, g)
            return
        for atom in atoms:
            with self.table_of(atom):
                self.asm.occupants(o.SCRATCH2, atom)
                self.asm.entry_load(o.SCRATCH, atom)
                with self.asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                    self.take_entry(atom, "ptep_get_and_clear_full")
                    self.asm.queue_frames(o.INDEX, o.SCRATCH)

    def finish(self, g: int = OUTER, *, nested: bool = True) -> None:
        if "freed first" in self.flaws:
            self.asm.put_frames(o.INDEX, text="too early")
            self.asm.set(o.INDEX, 0)
        super().finish(g, nested=nested)

    def change_pte_range(
        self, atom: int, *, gathers: bool, widens: bool = False, protects: bool = False
    ) -> None:
        gathers = gathers and "forgotten" not in self.flaws
        super().change_pte_range(atom, gathers=gathers, widens=widens, protects=protects)

    def look_at_reclaim(self) -> None:
        if "no look at reclaim" not in self.flaws:
            super().look_at_reclaim()

    def flush_atoms(self, atoms: Sequence[int]) -> None:
        lo, hi = self._pages_from_to(atoms)
        late = "next page" in self.flaws
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo + late, hi=hi + late)
        self.lowering.flush_range(self.asm, SCRATCH)

    def call(self, call: Call, file: int) -> None:
        """Write a call."""
        self.flaws = call.flaws
        if call.name == "madvise":
            self.madvise(call.atoms, nested="no nested check" not in call.flaws)
        elif call.name == "munmap":
            self.munmap(call.atoms, tables=call.tables)
        elif call.name == "mprotect":
            self.mprotect(call.atoms)
        elif call.name == "mremap":
            self.mremap(*call.atoms, flushes_locked="late flush" not in call.flaws)
        elif call.name == "truncate":
            self.truncate(call.atoms, file)
        elif call.name == "reclaim":
            assert self.reclaims is not None
            self.reclaims.reclaim([(call.atoms, file if call.atoms[0] in self.of_file else None)])
        else:
            Gup(self).gup_fast(*call.atoms)


@cache
def _setup(
    way: str,
    *,
    ranges: bool,
    rcu: bool,
    rechecks: bool,
    own_only: bool = False,
    preempts: bool = False,
    here_last: bool = False,
) -> Setup:
    """Return what a scenario's build gets on 7.0."""
    settings = [] if rcu else ["kernel.rcu_table_free=false"]
    settings += [] if rechecks else ["kernel.gup_rechecks_pmd=false"]
    settings += ["kernel.batched_pending_flushes_mm=false"] if own_only else []
    if preempts:
        settings += ["kernel.ipi_waits_preemptible=true", "kernel.flush_waits_preemptible=true"]
    arch = "arm64" if way == "arm64" else "x86"
    platform = {
        "x86": "intel-server",
        "kvm": "kvm-guest",
        "arm64": "neoverse-v2" if ranges else "neoverse-n1",
    }[way]
    (case,) = explorations(
        "nested-flush",
        arch=[arch],
        platforms=[platform],
        kernels=["7.0"],
        settings=settings,
        patch=HERE_LAST if here_last else None,
    )
    return case.setup()


def problem_of(small: Small, writer: type[Flawed] = Flawed) -> Problem:
    """Write a program for the explorer."""
    every = [call for thread in small.threads for call in thread]
    own_only = any("waits for its own" in call.flaws for call in every)
    scene = _setup(
        small.way,
        ranges=small.ranges,
        rcu=small.rcu,
        rechecks=small.rechecks,
        own_only=own_only,
        preempts=small.preempts,
        here_last=small.here_last,
    )
    cpus = len(small.threads) + bool(small.user)
    slots = 1 + max(small.table(n) for n in range(len(small.pages)))
    model = Model(scene.kernel, scene.lowering, cpus=cpus, mms=1, slots=slots, slot_pages=TABLE)
    frames = {}
    for frame in sorted({f for f in small.maps if f is not None} | {small.file}):
        frames[frame] = model.frame(small.maps.count(frame) + (frame == small.file), f"page {frame}")
    for n, page in enumerate(small.pages):
        atom = model.atom(page, page + 1, f"atom {n}")
        frame = small.maps[n]
        if frame is not None:
            model.maps(atom, maps(frames[frame], writable=small.writable[n], dirty=True))
    for slot in range(slots):
        model.populate(0, slot)
    calls, wakes = writer(model, scene.pte_clear), model.event()
    if any(call.name == "reclaim" for call in every):
        calls.has_reclaim(1)
        calls.reclaims = Reclaim(calls)
        calls.of_file = frozenset(n for n, frame in enumerate(small.maps) if frame == small.file)
    for cpu, thread in enumerate(small.threads):
        model.user_mode(cpu)
        model.starts(model.task(mm=0, cpu=cpu, ready=True))
        for n, call in enumerate(thread):
            if cpu == n == 0:
                model.signal(wakes)
            calls.call(call, frames[small.file])
        model.spin()
    if small.user:
        model.user_mode(cpus - 1)
        model.starts(model.task(mm=0, cpu=cpus - 1, ready=True))
        if small.user != "runs":
            model.asm.user_mode(False)
        if small.user == "idle":
            model.sleep()
        elif small.user == "sleeps":
            model.wait(wakes)
            model.asm.user_mode(True)
        model.spin()
    machine = model.build(bits=16, memory=scene.memory)
    return Problem(
        machine=machine, invariants=INVARIANTS, hypervisor=scene.preempts, preemption=small.preempts
    )
