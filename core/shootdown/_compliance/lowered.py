"""The flushes of an architecture as steps: each kind on every kernel and platform, equal ones once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from shootdown._compliance.reading import agrees, watched
from shootdown._compliance.requests import Request, requests, write
from shootdown._compliance.subject import Subject, where
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.checks import Sizes
from shootdown._machine.code import Code
from shootdown._machine.courses import Start, check
from shootdown._machine.fields import Fields
from shootdown._machine.steps.row import Kind
from shootdown._machine.steps.table import STEPS
from shootdown._plugins.patience import TooLongError, patience
from shootdown._porting.geometry import sized
from shootdown._values.errors import ShootdownError, one_line
from shootdown._values.flushes import AUTO
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering
from shootdown._values.platform import Platform
from shootdown._values.sites import caller
from shootdown._values.whatif import refuse_contradictions

#: The most steps of one flush; those that ship have some hundred.
MOST_STEPS = 20_000
#: The CPUs and address spaces of those small machines.
CPUS = MMS = 6
#: ASIDs of a CPU on the small machines that flushes are carried out on: fewer than their address spaces.
FEW_ASIDS = 3
#: Steps that change nothing but counts and clocks.
_PACE = (o.EXECUTE, o.NOTE, o.WORK)
#: Operands that change nothing but counts.
_COUNTING = {
    o.SEND: STEPS[o.SEND].place_of("each"),
    o.FLUSH_SELF: STEPS[o.FLUSH_SELF].place_of("own_handler"),
}
#: The range with which a flush is written; a check that needs another one changes the numbers.
WRITTEN = (0, 1)


class _Limited(Assembler):
    """An assembler that gives up early, on a method that never stops writing."""

    def _write(self, *args: object, **named: object) -> None:
        if self.here > MOST_STEPS:
            raise ShootdownError(f"it writes more than {MOST_STEPS:,} steps, and goes on")
        super()._write(*args, **named)  # type: ignore[arg-type]


class Alike(NamedTuple):
    """A kernel on a platform that flushes as another one does.

    Args:
        where: in words.
        kernel, platform: which.
    """

    where: str
    kernel: Kernel
    platform: Platform


@attrs.frozen(eq=False)
class Flush:
    """One kind of flush on a kernel and a platform.

    Args:
        request: the kind.
        lowering: whose.
        preempts: any vCPU of the platform may be preempted at any moment.
        where: the kernel and platform, in words: the first of those with equal steps.
        code: the program of a task that asks for it.
        own: the steps that the lowering wrote.
        at: the step that has the range.
        ranged: other steps have it too, as what flushes entries as they change.
        firsts: the first values of the variables that the lowering keeps (`Assembler.field`).
        alike: where it is written in the same steps: each such kernel on a platform.
    """

    request: Request
    lowering: Lowering
    preempts: bool
    where: str
    code: Code
    own: range
    at: int
    ranged: bool = False
    firsts: tuple[int, ...] = ()
    alike: tuple[Alike, ...] = ()

    @property
    def name(self) -> str:
        """The kind, the kernel and the platform, for messages."""
        return f"{self.where}: {self.request.name}"

    @property
    def everything(self) -> bool:
        """Whether all of the mm was cleared before; where entries are flushed as they change, only the range."""
        return self.request.everything and not self.ranged

    def rows(self) -> list[list[int]]:
        """Return the steps, each as operation and operands."""
        rows: list[list[int]] = self.code.steps.reshape(-1, 5).tolist()
        return rows

    def rewritten(self, lo: int, hi: int) -> Flush:
        """Return the flush of another range, written anew."""
        return written(self.request, self.lowering, self.preempts, self.where, lo, hi)


@attrs.frozen(eq=False)
class Machine:
    """A kernel on a platform that flushes in steps of its own.

    Args:
        where: in words.
        kernel, platform, lowering: of the first one that flushes so.
        preempts: any vCPU may be preempted at any moment.
        native: the way of flushing is what kernel and platform choose, not a what-if.
        flushes: each kind of flush.
        failed: what the kinds are called that can't be written, and why.
        alike: each kernel on a platform that flushes so.
    """

    where: str
    kernel: Kernel
    platform: Platform
    lowering: Lowering
    preempts: bool
    native: bool
    flushes: tuple[Flush, ...]
    failed: tuple[tuple[str, str], ...]
    alike: tuple[Alike, ...] = ()


def machines(subject: Subject) -> tuple[tuple[Machine, ...], int]:
    """Return the kernels and platforms that flush differently, and how many were looked at.

    Each way of flushing that the architecture lists is among them, where no contradiction rules it out.
    """
    kept = subject.__dict__.get("machines of flushes")
    if kept is None:
        known: dict[object, Machine] = {}
        alike: dict[object, list[Alike]] = {}
        count = 0
        for platform, native in _platforms(subject):
            looked: list[tuple[dict[tuple[str, str], Any], object]] = []
            for kernel in subject.kernels if not subject.gave_up else ():
                if _ruled_out(subject, kernel, platform, native):
                    continue
                count += 1
                key = next((key for read, key in looked if agrees(kernel, read)), None)
                if key is None:
                    read: dict[tuple[str, str], Any] = {}
                    machine = _machine(subject, kernel, platform, native, read)
                    key = _key(machine)
                    looked.append((read, key))
                    known.setdefault(key, machine)
                alike.setdefault(key, []).append(Alike(_there(kernel, platform, native), kernel, platform))
                if subject.gave_up:
                    break  # it would take as long for each kernel
        different = tuple(_with_alike(machine, tuple(alike[key])) for key, machine in known.items())
        kept = subject.__dict__["machines of flushes"] = (different, count)
    found: tuple[tuple[Machine, ...], int] = kept
    return found


def _with_alike(machine: Machine, alike: tuple[Alike, ...]) -> Machine:
    flushes = tuple(attrs.evolve(flush, alike=alike) for flush in machine.flushes)
    return attrs.evolve(machine, flushes=flushes, alike=alike)


def flushes(subject: Subject) -> list[Flush]:
    """Return each kind of flush that differs from all others in what it does, not only in what it counts."""
    every = (flush for machine in machines(subject)[0] for flush in machine.flushes)
    return apart(
        every,
        lambda flush: (flush.request, what_matters(flush.lowering), flush.preempts, without_pace(flush)),
    )


def apart(every: Iterable[Flush], key: Callable[[Flush], object]) -> list[Flush]:
    """Return the first flush of each key, with the kernels and platforms of all that have it."""
    first: dict[object, Flush] = {}
    alike: dict[object, list[Alike]] = {}
    for flush in every:
        its = key(flush)
        first.setdefault(its, flush)
        alike.setdefault(its, []).extend(flush.alike)
    return [attrs.evolve(flush, alike=tuple(alike[its])) for its, flush in first.items()]


def without_pace(flush: Flush) -> tuple[tuple[int, ...], ...]:
    """Return the steps without those that only count or take time; labels lead to the same steps as before."""
    rows = flush.rows()
    places, place = [], 0
    for row in rows:
        places.append(place)
        place += row[0] not in _PACE
    found = []
    for row in rows:
        if row[0] in _PACE:
            continue
        label = STEPS[row[0]].first(Kind.LABEL)
        if label:
            row[label] = places[row[label]]
        if row[0] in _COUNTING:
            row[_COUNTING[row[0]]] = 0
        found.append(tuple(row))
    return tuple(found)


def what_matters(lowering: Lowering) -> object:
    """Return what decides on what is dropped; of the number of ASIDs only whether it is small."""
    rules, geometry = lowering.mm, lowering.geometry
    shifts = (geometry.pmd_shift - geometry.page_shift, geometry.pud_shift - geometry.page_shift)
    return (
        attrs.evolve(rules, asids=min(rules.asids, FEW_ASIDS)),
        shifts,
        lowering.machine_locks,
        lowering.global_asid_from_start,
        lowering.no_hardware_walker() is None,
        lowering.platform.walk_entries > 0,
    )


def _platforms(subject: Subject) -> Iterator[tuple[Platform, bool]]:
    """Yield each platform as it is, and with each way of flushing that can be forced on it."""
    for platform in subject.platforms:
        yield platform, True
        if platform.flush == AUTO:
            for way in subject.architecture.flush_ways:
                yield attrs.evolve(platform, flush=way.name), False


def _ruled_out(subject: Subject, kernel: Kernel, platform: Platform, native: bool) -> bool:
    """Say whether a way of flushing can't be forced on a kernel."""
    if native:
        return False
    said = {"platform.flush": platform.flush}
    try:
        refuse_contradictions(said, kernel, platform, subject.architecture.contradictions)
    except ShootdownError:
        return True
    return False


def _machine(
    subject: Subject, kernel: Kernel, platform: Platform, native: bool, read: dict[tuple[str, str], Any]
) -> Machine:
    """Write all flushes of a kernel on a platform; `read` gets the switches that decide on them."""
    there = _there(kernel, platform, native)
    preempts = subject.architecture.preempts(platform)
    lower = subject.architecture.lower
    assert lower is not None
    known = watched(kernel, read)
    lowering: Any = None
    found, failed, what = [], [], "the platform"
    try:
        if isinstance(platform.tlb, Mapping) or isinstance(platform.itlb, Mapping):
            platform = sized(platform, known.page_size)
        what = "lower()"
        lowering = lower(known, platform)
        if not isinstance(lowering, Lowering):
            raise ShootdownError(f"it returned {lowering!r:.40}, no Lowering")
        what = "its properties"
        asked = requests(lowering)
        for request in asked:
            try:
                with patience(f"{request.method}()"):
                    found.append(written(request, lowering, preempts, there, *WRITTEN))
            except Exception as error:
                failed.append((f"{request.name} ({request.method})", _why(error)))
                if isinstance(error, TooLongError):
                    subject.gave_up = f"{request.method}() runs for too long: 4.1 says where"
                    break
        what = "its properties mm and geometry"
        _rules(lowering)
    except Exception as error:
        failed.append((what, _why(error)))
        found = []
    return Machine(there, kernel, platform, lowering, preempts, native, tuple(found), tuple(failed))


def _there(kernel: Kernel, platform: Platform, native: bool) -> str:
    return where(kernel, platform) + ("" if native else f" with flush={platform.flush}")


def _why(error: Exception) -> str:
    return " ".join(str(error).split()) if isinstance(error, ShootdownError) else one_line(error)


def written(request: Request, lowering: Lowering, preempts: bool, there: str, lo: int, hi: int) -> Flush:
    """Write a flush as the program of a task.

    Raises:
        ShootdownError: something is wrong with its steps.
    """
    asm, here = _Limited(), caller()
    asm.functions.fields, firsts = Fields.apart(CPUS, MMS)
    try:
        own, at, ranged = write(asm, lowering, request, lo, hi)
        asm.halt()
        code = asm.finish()
        check(code, _sizes(lowering, code, len(firsts)), [Start(0, 0, True)], timed=True)
    except (
        ShootdownError
    ) as error:  # core's own base class was called from here, which is no place in a plugin
        raise ShootdownError(str(error).removeprefix(f"{here}: ")) from None
    code = attrs.evolve(code, sites=tuple(None if site == here else site for site in code.sites))
    return Flush(request, lowering, preempts, there, code, own, at, ranged, tuple(firsts))


def _sizes(lowering: Lowering, code: Code, variables: int) -> Sizes:
    """Return how many there are of what a flush may name."""
    return Sizes(
        tasks=1,
        cpus=1,
        mms=1,
        slots=1,
        events=0,
        locks=lowering.machine_locks,
        classes=1,
        variables=variables,
        entries=0,
        atoms=0,
        windows=0,
        sections=1,
        lists=0,
        instructions=len(code.instructions),
        steps=len(code.cost),
        most=(1 << 62) - 1,
    )


def _key(machine: Machine) -> object:
    """Return a key that is equal for machines of which a check would find the same."""
    code = tuple(
        (flush.request, flush.code.steps.tobytes(), flush.code.instructions, flush.code.cost.tobytes())
        for flush in machine.flushes
    )
    if not machine.flushes:
        return machine.failed
    return code, machine.failed, machine.preempts, _rules(machine.lowering)


def _rules(lowering: Lowering) -> object:
    """Return what decides on the drops and counts of flushes and switches, besides their steps."""
    reach = lowering.reach_of_calls
    return lowering.mm, lowering.geometry, lowering.machine_locks, reach, what_matters(lowering)
