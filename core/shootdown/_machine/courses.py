"""What is wrong with programs as tasks go through them, as far as their text says it.

Each task is followed from where it begins, over both ways of each branch: to the end of the programs without an end of
its own, into the program of another task, to an unlock of what it cannot hold, to work on an mm that it does not have.
What only a run can tell, steps say themselves (`ops.MISTAKES`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

from shootdown._machine import ops as o
from shootdown._machine.checks import Sizes, lies_between, wrong
from shootdown._machine.code import Code, Derived
from shootdown._machine.steps.cells import Of
from shootdown._machine.steps.row import BY_MM, BY_TABLE, Kind, Row, Use
from shootdown._machine.steps.table import ROWS, STEPS, steps_that
from shootdown._values.sites import Site, mistake

_LABELS = {row.number: row.first(Kind.LABEL) for row in ROWS if row.first(Kind.LABEL)}
_ENDS = steps_that(lambda row: row.ends)
#: Steps at which a task is over.
OVER = steps_that(lambda row: row.over)
_LOCKS = {row.number: row for row in ROWS if row.lock}
#: Calls that change nothing of an mm: a task that concerns none may send them.
_WITHOUT_MM = (o.CALL_SYNC, o.CALL_RCU, o.CALL_BARRIER, o.CALL_KERNEL)
#: A lock as far as the text tells: its number, or with -1 one of several.
_Lock = tuple[int, bool]


def _concerns_an_mm(row: Row) -> bool:
    """Say whether a step reads or writes what belongs to the mm that its task's work concerns."""
    return any(cell.of is Of.ON for cell in (*row.reads, *row.writes))


_ON = steps_that(_concerns_an_mm)

#: Steps that change what is known, lead elsewhere, or end.
_TELLING = steps_that(
    lambda row: (
        row.lock
        or row.targets
        or row.ends
        or row.first(Kind.LABEL)
        or row.name in ("ON_MM", "GATHER", "TARGET_RCU", "FLUSH_BEGIN", "SEND", "WAIT", "CANCEL")
    )
)
#: Steps that what is known can make wrong.
_LOOKED_AT = _ON | _LOCKS.keys() | {o.SEND, o.FLUSH_SELF, o.GATHER_END}


class Start(NamedTuple):
    """Where a task begins.

    Args:
        pc: its first step; -1 if nobody said.
        mm: the mm that its work concerns, or None.
        ready: it runs from the beginning.
        site: the line that declared it.
    """

    pc: int
    mm: int | None
    ready: bool
    site: Site | None = None


class _Known(NamedTuple):
    """What may be so where a task is.

    Args:
        on: mms that its work may concern; None among them: none, -1: any.
        held: locks that it may hold.
        begun: gathers that may have begun, as a mask.
        asked: a flush has surely begun or a call was sent, and not been waited for.
        aimed: targets may have been chosen.
    """

    on: frozenset[int | None]
    held: frozenset[_Lock]
    begun: int
    asked: bool
    aimed: bool


def after(steps: Sequence[Sequence[int]], pc: int) -> list[int]:
    """List the steps that can come after a step."""
    step = steps[pc]
    found = [] if step[0] in _ENDS else [pc + 1]
    if step[0] in _LABELS:
        found.append(step[_LABELS[step[0]]])
    return found


def rows_of(code: Code) -> list[list[int]]:
    """List the steps of a program, each as operation and operands."""
    rows: list[list[int]] = code.steps.reshape(-1, 5).tolist()
    return rows


class _Rows(Sequence[list[int]]):
    """The same list, in which steps that were derived become numbers only where they are looked at: few are."""

    def __init__(self, code: Code) -> None:
        self._array = code.steps.reshape(-1, 5)
        self._rows: list[list[int] | None] = []
        for run in code.derived:
            self._rows += self._array[len(self._rows) : run.start].tolist()
            self._rows += [None] * (run.end - run.start)
        self._rows += self._array[len(self._rows) :].tolist()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> list[int]: ...

    @overload
    def __getitem__(self, at: slice) -> list[list[int]]: ...

    def __getitem__(self, at: int | slice) -> list[int] | list[list[int]]:
        if isinstance(at, slice):
            rows: list[list[int]] = self._array[at].tolist()
            return rows
        row = self._rows[at]
        if row is None:
            row = self._rows[at] = self._array[at].tolist()
        return row


def reachable(steps: Sequence[Sequence[int]], start: int) -> set[int]:
    """List the steps that a task which begins there may get to."""
    found, work = {start}, [start]
    while work:
        for then in after(steps, work.pop()):
            if then not in found:
                found.add(then)
                work.append(then)
    return found


def check(code: Code, sizes: Sizes, starts: Sequence[Start], *, timed: bool) -> None:
    """Check the programs of a machine.

    Args:
        code: the programs.
        sizes: of the machine.
        starts: where its tasks begin.
        timed: they are to be run, not explored.

    Raises:
        ShootdownError: something is wrong; it names the line.
    """
    steps = _Rows(code)
    if any(wrong(step, sizes) for step in {tuple(steps[pc]) for pc in _to_look_at(code, steps)}):
        for pc, step in enumerate(steps):
            if bad := wrong(step, sizes):
                raise mistake(bad, code.sites[pc])
    if not starts:
        raise mistake("there is no task: model.task() declares one")
    entries = {start.pc: number for number, start in reversed(list(enumerate(starts)))}
    alike = {run.start: run for run in code.derived if _alike(steps, run, entries)}
    spawned: set[int] = set()
    followed: set[tuple[int, bool]] = set()
    for number, start in enumerate(starts):
        if not 0 <= start.pc < len(steps):
            said = "model.starts() says where it begins, before its first step"
            raise mistake(f"task {number} has no program: {said}", start.site)
        key_of_task = (start.pc, start.mm is None)
        if key_of_task in followed:
            continue
        reached, again = _Course(code, steps, sizes, number, start, entries, alike).follow()
        followed.add(key_of_task)
        spawns = [pc for pc in reached if steps[pc][0] == o.SPAWN]
        spawned.update(steps[pc][1] for pc in spawns)
        for run in again:
            first = run.start - run.size
            for pc in set(spawns).intersection(range(first, run.start)):
                spawned.update(step[1] for step in steps[pc + run.size : run.end : run.size])
        if timed and not any(steps[pc][0] in OVER or steps[pc][0] == o.FAIL for pc in reached):
            raise mistake(
                f"task {number} never ends: from where it begins there is no way to halt(), sleep() or spin()",
                code.sites[start.pc],
            )
    for number, start in enumerate(starts):
        if not start.ready and number not in spawned:
            raise mistake(
                f"task {number} never runs: it is not ready, and no other task forks it", start.site
            )


def _to_look_at(code: Code, steps: Sequence[Sequence[int]]) -> Iterator[int]:
    """Number the steps whose operands can be wrong: of those that were derived few can if those around them are not."""
    at = 0
    for run in code.derived:
        yield from range(at, run.start)
        for n in range(run.size):
            if not lies_between(steps[run.start - run.size + n], steps[run.end + n]):
                yield from range(run.start + n, run.end, run.size)
        at = run.end
    yield from range(at, len(steps))


def _alike(steps: Sequence[Sequence[int]], run: Derived, entries: Iterable[int]) -> bool:
    """Whether a task that goes through derived steps learns from each time what it learned from the time before them.

    No task begins there, branches stay within one time, and steps that tell something always tell the same.
    """
    first = run.start - run.size
    if any(first <= entry < run.end for entry in entries):
        return False
    for step, last in zip(steps[first : run.start], steps[run.end : run.end + run.size], strict=True):
        if step[0] not in _TELLING and step[0] not in _LOOKED_AT:
            continue
        differ = [b - a for a, b in zip(step, last, strict=True)]
        if step[0] in _LABELS:
            label = _LABELS[step[0]]
            if differ[label] != run.end - first or not first <= step[label] <= run.start:
                return False
            differ[label] = 0
        if any(differ):
            return False
    return True


class _Course:
    """One task's way through the programs."""

    def __init__(
        self,
        code: Code,
        steps: Sequence[Sequence[int]],
        sizes: Sizes,
        number: int,
        start: Start,
        entries: dict[int, int],
        alike: dict[int, Derived],
    ) -> None:
        self.alike = alike
        self.code, self.steps, self.sizes = code, steps, sizes
        self.number, self.start, self.entries = number, start, entries

    def follow(self) -> tuple[set[int], set[Derived]]:
        """Follow the task.

        Where it knows the same before and after some steps, it does so after each further time of them.

        Returns:
            the steps that it may get to; and those derived from some of them, which were left out.
        """
        first = _Known(frozenset({self.start.mm}), frozenset(), 0, asked=False, aimed=False)
        known = {self.start.pc: first}
        work = [self.start.pc]
        steps, entries, alike, last = self.steps, self.entries, self.alike, len(self.steps) - 1
        left_out: set[Derived] = set()
        while work:
            pc = work.pop()
            what = known[pc]
            run = alike.get(pc)
            if run is not None and known.get(pc - run.size) == what:
                left_out.add(run)
                found: Iterable[tuple[int, _Known]] = [(run.end, what)]
            else:
                # Most steps say nothing and lead to the next one.
                while (
                    pc < last
                    and steps[pc][0] not in _TELLING
                    and pc + 1 not in entries
                    and pc + 1 not in known
                    and pc + 1 not in alike
                ):
                    pc += 1
                    known[pc] = what
                found = self._after(pc, what)
            for then, now in found:
                before = known.get(then)
                if before is not None:
                    now = _Known(
                        before.on | now.on,
                        before.held | now.held,
                        before.begun | now.begun,
                        before.asked and now.asked,
                        before.aimed or now.aimed,
                    )
                if now != before:
                    known[then] = now
                    work.append(then)
        for pc, what in known.items():
            if steps[pc][0] in _LOOKED_AT:
                self._look(pc, what)
        return set(known), left_out

    def _after(self, pc: int, known: _Known) -> Iterator[tuple[int, _Known]]:
        step = self.steps[pc]
        now = self._changed(step, known)
        for then in after(self.steps, pc):
            if then == len(self.steps):
                raise self._wrong(
                    pc, "the program goes on behind its last step: it ends with halt(), sleep() or spin()"
                )
            other = self.entries.get(then, self.number)
            falls = then == pc + 1 and then in self.entries and then != self.start.pc
            if falls and step[0] not in _LABELS and pc not in reachable(self.steps, then):
                raise self._wrong(
                    pc,
                    f"task {self.number} goes on into that of task {other}: end it with halt(), sleep() or spin()",
                )
            refused = step[0] == o.TRY_WRITE and then == step[3]
            yield then, now._replace(held=known.held) if refused else now

    def _changed(self, step: Sequence[int], known: _Known) -> _Known:
        op = step[0]
        if op == o.ON_MM:
            return known._replace(on=frozenset({step[1] if step[2] < 0 else -1}))
        if op in _LOCKS:
            if _LOCKS[op].lock is Use.RELEASE:
                return known
            locks = frozenset((lock, _LOCKS[op].for_writing) for lock in self._locks(step, known.on))
            return known._replace(held=known.held | locks)
        if op == o.GATHER:
            return known._replace(begun=known.begun | 1 << step[1])
        if STEPS[op].targets in ("all", "mm") or op == o.TARGET_RCU:
            return known._replace(aimed=True)
        if op in (o.FLUSH_BEGIN, o.SEND):
            return known._replace(asked=True)
        if op in (o.WAIT, o.CANCEL):
            return known._replace(asked=False, aimed=False)
        return known

    def _locks(self, step: Sequence[int], on: Iterable[int | None]) -> list[int]:
        """Number the locks that a step may mean; -1 if it is not known which."""
        first, index = step[1], step[2]
        if index == BY_MM:
            return [-1 if mm in (None, -1) else first + int(mm or 0) for mm in on]
        if index == BY_TABLE and self.sizes.slots > 1:
            return [-1]
        return [first]

    def _look(self, pc: int, known: _Known) -> None:
        """Check a step against what may be so where it stands."""
        step = self.steps[pc]
        op, row = step[0], STEPS[step[0]]
        by_mm = row.lock is not None and step[2] == BY_MM
        sends = op == o.SEND and step[1] not in _WITHOUT_MM and not known.asked
        if None in known.on and (op in _ON or by_mm or sends):
            raise self._wrong(
                pc,
                f"{row.name}: the work of task {self.number} concerns no mm: give it one, or say model.concern(mm)",
            )
        if op == o.FLUSH_SELF and not known.asked:
            raise self._wrong(pc, f"{row.name}: no flush has begun: flush_begin() or send() comes first")
        if op == o.SEND and not known.aimed:
            raise self._wrong(pc, f"{row.name}: there are no targets: a target step comes first")
        if op == o.GATHER_END and not known.begun >> step[1] & 1:
            raise self._wrong(pc, f"{row.name}: gather {step[1]} has not begun")
        if row.lock is Use.RELEASE:
            kind = [number for number, write in known.held if write == row.for_writing]
            meant = self._locks(step, known.on)
            if not kind or not (-1 in meant or -1 in kind or set(meant) & set(kind)):
                how = "writing" if row.for_writing else "reading"
                name = f"lock {meant[0]}" if -1 not in meant else "a lock"
                raise self._wrong(
                    pc, f"{row.name}: task {self.number} cannot hold {name} for {how} here: it never took it"
                )

    def _wrong(self, pc: int, text: str) -> Exception:
        return mistake(text, self.code.sites[pc])
