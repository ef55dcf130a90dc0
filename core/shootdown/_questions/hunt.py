"""Hunt: programs that nobody wrote, explored against what must hold of every program, until a bug is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import attrs

from shootdown._plugins.registry import registry
from shootdown._programs.sketch import RUNS, Sketch
from shootdown._programs.worlds import programs, random_program
from shootdown._questions.case import machines
from shootdown._questions.hunt_causes import cause_of, expected_of, since
from shootdown._questions.hunt_finds import Finding, Hunted
from shootdown._questions.hunt_ground import (
    MOST_STATES,
    Batch,
    Fix,
    Ground,
    Result,
    explored,
    explored_all,
    run_batch,
    shrunk,
    uncalled_by,
    verdict_of,
)
from shootdown._questions.matrix import alike
from shootdown._questions.patching import never_called
from shootdown._questions.workers import divided
from shootdown._values.series import newest_known
from shootdown._values.verdict import INCONCLUSIVE, NOT_APPLICABLE

#: The most calls of the programs of which all are tried, unless something else is asked for.
SIZE = 2
#: Programs of which the cause is looked for until there is one with a single cause.
_ASKED = 6
#: Programs that a process takes at once, and in how many such parts random ones are tried at most before what broke is
#: explained: the first time in one, then in twice as many each time.
_AT_ONCE, _MOST_PARTS = 256, 32
#: Calls of a random program, and the most states of its search.
_RANDOM_CALLS = 3
_MOST_RANDOM = 100_000
#: Draws for each program that is wanted before nearly all programs of so many calls count as tried.
_REPEATS = 30


def grounds(
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    settings: Sequence[str] = (),
    patch: str | None = None,
) -> list[Ground]:
    """Return where to hunt: each platform with each kernel.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    installed = registry()
    found = [
        Ground(architecture.called or architecture.name, platform.name, kernel, tuple(settings), patch)
        for architecture, platform in machines(installed, arch, platforms)
        for kernel in kernels or (newest_known(),)
    ]
    for ground in found:
        assert ground.scene is not None  # refuses what contradicts itself
    return found


class Hunt:
    """Hunt on one ground.

    Args:
        ground: where.
        size: all programs of at most so many calls are tried.
        seconds: how long random programs of more calls are tried after them; none if 0.
        seed: of the random programs.
        processes: the most that explore at once.
        say: called with what is being done, now and then.
        told: called with each finding.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        size: int = SIZE,
        seconds: float = 0.0,
        seed: int = 1,
        processes: int = 1,
        say: Callable[[str], None] = lambda _: None,
        told: Callable[[Finding], None] = lambda _: None,
    ) -> None:
        self.first = self.ground = ground
        self.size = size
        self.seconds = seconds
        self.seed = seed
        self.found = Hunted()
        self._processes = processes
        self._say = say
        self._told = told
        self._began = time.monotonic()
        self._seen: set[bytes] = set()
        self._sketches: set[Sketch] = set()
        self._not_understood: list[tuple[Sketch, str]] = []
        self._drawn = 0
        self._calls = max(_RANDOM_CALLS, size + 1)

    def run(self) -> Hunted:
        """Hunt; what was found stays found if somebody interrupts it.

        Raises:
            ShootdownError: something is wrong in the patch, or no program calls any of its functions.
        """
        self.found.remarks = self._uncalled()
        try:
            for calls in range(1, self.size + 1):
                if self.found.interrupted:
                    break
                some = [sketch for sketch in programs(self.ground.scene, calls) if sketch.calls == calls]
                self._try_all(some, f"all programs of {calls} call{'s' if calls > 1 else ''}")
            parts = 1
            while self._has_time and not self.found.interrupted:
                some = self._random(_AT_ONCE * parts)
                parts = min(2 * parts, _MOST_PARTS)
                self._explain(self._broken(some, f"random programs of {self._calls} calls", timed=True))
        except KeyboardInterrupt:
            self.found.interrupted = True
        self.found.seconds = time.monotonic() - self._began
        return self.found

    def _try_all(self, sketches: Sequence[Sketch], what: str) -> None:
        """Explore programs, and then with tasks that are preempted while they wait, if the kernel lets them."""
        self._explain(self._broken(sketches, what))
        if not self.ground.case.kernel.ipi_waits_preemptible or self.found.interrupted:
            return
        self.ground = attrs.evolve(self.ground, preempts=True)
        self._explain(self._broken(sketches, f"{what}, preempted while a flush waits"))
        self.ground = attrs.evolve(self.ground, preempts=False)

    def _uncalled(self) -> tuple[str, ...]:
        """Return a remark on functions of the patch that no program of these sizes calls, if any."""
        patch = self.ground.case.kernel.patch
        if patch is None:
            return ()
        self._say(f"looking for what patch {patch.name} replaces")
        return never_called(patch.name, uncalled_by(self.ground, programs(self.ground.scene, self.size)))

    @property
    def _has_time(self) -> bool:
        """Whether random programs are tried still."""
        return time.monotonic() - self._began < self.seconds

    def _random(self, many: int) -> list[Sketch]:
        """Return random programs that were not tried yet; of one call more once nearly all of so many calls were."""
        found: list[Sketch] = []
        draws = 0
        while len(found) < many:
            sketch = random_program(self.ground.scene, self.seed, self._drawn, self._calls)
            self._drawn += 1
            draws += 1
            if sketch not in self._sketches:
                self._sketches.add(sketch)
                found.append(sketch)
            elif draws > _REPEATS * many:
                self._calls += 1
                break
        return found

    def _broken(self, sketches: Sequence[Sketch], what: str, *, timed: bool = False) -> list[_Broken]:
        """Explore programs, and return those that break; `timed`: those that there is time for."""
        most = MOST_STATES if sketches and sketches[0].calls <= self.size else _MOST_RANDOM
        batches = [Batch(self.ground, part, most) for part in _parts(sketches, _AT_ONCE)]
        broken: list[tuple[int, _Broken]] = []
        done = 0
        for number, results in self._interruptible(batches):
            for at, (sketch, result) in enumerate(zip(batches[number].sketches, results, strict=True)):
                self._count(result)
                if result.breaks:
                    place = (self.found.programs, time.monotonic() - self._began)
                    broken.append((number * _AT_ONCE + at, _Broken(sketch, str(result.invariant), place)))
            done += len(results)
            self._say(
                f"{self.ground.arch} {self.ground.platform} {self.ground.kernel}: {what}: {done:,} of "
                f"{len(sketches):,}, {len(broken)} broke"
            )
            if timed and not self._has_time:
                break
        return [one for _, one in sorted(broken, key=lambda pair: pair[0])]

    def _interruptible(self, batches: Sequence[Batch]) -> Iterator[tuple[int, list[Result]]]:
        """Explore batches until all are done or somebody interrupts: what is done by then counts."""
        try:
            yield from divided(
                run_batch, batches, processes=self._processes, size=lambda batch: len(batch.sketches)
            )
        except KeyboardInterrupt:
            self.found.interrupted = True

    def _count(self, result: Result) -> None:
        if result.verdict == NOT_APPLICABLE:
            return
        if result.key in self._seen:
            self.found.equal += (
                not self.ground.preempts
            )  # else it waits for nothing by which it can be preempted
            return
        self._seen.add(result.key)
        if self.ground.preempts:
            self.found.preempted += 1
        else:
            self.found.programs += 1
        self.found.states += result.states
        self.found.inconclusive += result.verdict == INCONCLUSIVE

    def _explain(self, broken: list[_Broken]) -> None:
        """Shrink what broke, find what makes it go away, turn that on, and look again at the others."""
        rest = [
            one
            for one in broken
            if not any(_contains(one, sketch, invariant) for sketch, invariant in self._not_understood)
        ]
        while rest:
            simplest = self._simplest(rest)
            if simplest is None:
                break
            first, sketch, fixes = simplest
            before = self.ground
            if fixes:
                self.ground = before.having(*fixes)
                left = self._still_broken(rest)
            else:  # it can't be turned off, so programs that contain it are not told apart
                self._not_understood.append((sketch, first.invariant))
                left = [
                    one
                    for one in rest
                    if one.sketch != first.sketch and not _contains(one, sketch, first.invariant)
                ]
            self._tell(before, sketch, first, fixes, rest, len(rest) - len(left))
            rest = left

    def _simplest(self, rest: Sequence[_Broken]) -> tuple[_Broken, Sketch, tuple[Fix, ...]] | None:
        """Return one of the smallest programs, shrunk, and what makes it go away; one thing alone if possible.

        None if none of them breaks as it is written: as a part of its world it was cut into more pages.
        """
        found: list[tuple[_Broken, Sketch, tuple[Fix, ...]]] = []
        seen: set[tuple[Sketch, str]] = set()
        for written in sorted(rest, key=lambda one: one.sketch.weight):
            self._say(f"shrinking and explaining: {written.sketch.said}")
            result = explored(self.ground, written.sketch)
            if not result.breaks:
                continue
            one = attrs.evolve(written, invariant=str(result.invariant))
            sketch = shrunk(self.ground, one.sketch, one.invariant)
            if (sketch, one.invariant) in seen:
                continue
            seen.add((sketch, one.invariant))
            found.append((one, sketch, cause_of(self.ground, sketch)))
            if len(found[-1][2]) == 1 or len(found) == _ASKED:
                break
        return next((each for each in found if len(each[2]) == 1), found[0] if found else None)

    def _still_broken(self, rest: Sequence[_Broken]) -> list[_Broken]:
        """Return the programs that break with the new fix too."""
        results = explored_all(self.ground, [one.sketch for one in rest])
        return [
            attrs.evolve(one, invariant=str(result.invariant))
            for one, result in zip(rest, results, strict=True)
            if result.breaks
        ]

    def _tell(
        self,
        ground: Ground,
        sketch: Sketch,
        first: _Broken,
        fixes: tuple[Fix, ...],
        rest: Sequence[_Broken],
        gone: int,
    ) -> None:
        verdict = verdict_of(ground, sketch)
        finding = Finding(
            bug=f"{first.invariant}: {sketch.said}",
            arch=ground.arch,
            platform=ground.platform,
            kernel=verdict.kernel,
            invariant=first.invariant,
            sketch=sketch,
            fixed_by=fixes,
            since=since(ground, sketch, fixes),
            platforms=tuple(_platforms(ground, sketch, first.invariant)),
            programs=max(gone, 1),
            after=min((one.after for one in rest if one.invariant == first.invariant), default=first.after),
            verdict=verdict,
            ground=ground,
            expected=""
            if any(fix.origin != "guess" for fix in fixes)
            else expected_of(ground, first.invariant),
        )
        self.found.findings.append(finding)
        self._told(finding)


@attrs.frozen
class _Broken:
    """A program that broke: with which invariant, and after how many programs and seconds."""

    sketch: Sketch
    invariant: str
    after: tuple[int, float]


def _parts(sketches: Sequence[Sketch], size: int) -> Iterator[tuple[Sketch, ...]]:
    rest = iter(sketches)
    while part := tuple(islice(rest, size)):
        yield part


def _contains(one: _Broken, sketch: Sketch, invariant: str) -> bool:
    """Whether a program that broke has all the kinds of calls of another one, on the same kind of memory."""

    def verbs(of: Sketch) -> set[str]:
        calls = (call for threads in of.processes for thread in threads for call in thread)
        return {call.split(" ")[0] for call in calls if call != RUNS}

    return (
        one.invariant == invariant and one.sketch.kind == sketch.kind and verbs(sketch) <= verbs(one.sketch)
    )


def _platforms(ground: Ground, sketch: Sketch, invariant: str) -> Iterator[str]:
    """Yield the platforms of the architecture on which a program breaks so."""
    owner = ground.case.architecture
    there = list(registry().platforms(owner.name).values())
    for group in alike(owner, there, [ground.kernel]):
        other = attrs.evolve(ground, platform=group[0])
        result = explored(other, sketch)
        if result.breaks and result.invariant == invariant:
            yield from group
