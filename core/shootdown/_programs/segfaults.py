"""Accesses that would be segmentation faults: to what is not mapped yet, or what their own thread took from itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import attrs

from shootdown._programs.program import Place, Process, Program, Statement, Thread, within

#: What maps memory anew, or gives the right to it.
_GIVES = ("mmap", "mprotect")


def check_segfaults(program: Program, forked: Collection[str]) -> None:
    """Refuse programs in which a thread is sure to fault.

    What another thread of the process maps, or gives rights to, is left alone: their order is not known.

    Args:
        program: the program.
        forked: its processes that others fork: what these have mapped a child has too.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    mapped = {one.place.memory: one for _, _, one in program.statements() if one.verb == "mmap" and one.place}
    for process in program.processes.values():
        for thread in process.threads:
            shared = _given_by_others(process, thread)
            nothing = [_Lack(one, name, 0, program.memory[name].size) for name, one in mapped.items()]
            lacks = [] if process.name in forked else nothing
            for one in _turns(thread.body):
                if one.place is not None and one.place.memory not in shared:
                    lacks = _after(one, one.place, lacks)
                elif one.verb == "exec":
                    lacks = nothing


@attrs.frozen
class _Lack:
    """A right that a thread has taken from itself.

    Args:
        by: the statement; an `mmap`: nothing has mapped it before that.
        memory, lo, hi: to what, in bytes.
    """

    by: Statement
    memory: str
    lo: int
    hi: int

    def without(self, place: Place) -> Iterator[_Lack]:
        """Yield what is left of it once a place has it again."""
        if place.memory != self.memory or place.hi <= self.lo or self.hi <= place.lo:
            yield self
            return
        if self.lo < place.lo:
            yield attrs.evolve(self, hi=place.lo)
        if place.hi < self.hi:
            yield attrs.evolve(self, lo=place.hi)


def _after(one: Statement, place: Place, lacks: list[_Lack]) -> list[_Lack]:
    """Return what a thread lacks after a statement."""
    if one.verb == "touch":
        for lack in lacks:
            if lack.memory != place.memory or place.hi <= lack.lo or lack.hi <= place.lo:
                continue
            if lack.by.verb == "mmap":
                raise one.wrong(
                    f"a segmentation fault: `{lack.by.text:.40}` maps it, so that it is not there from the beginning"
                )
            if one.pattern.how == "all" and (lack.by.verb == "munmap" or one.word == "write"):
                raise one.wrong(
                    f"a segmentation fault, after `{lack.by.text:.40}` and without an "
                    f"{'mmap' if lack.by.verb == 'munmap' else 'mprotect'} that gives it back"
                )
    if one.verb == "munmap" or (one.verb == "mprotect" and one.word == "read"):
        return [*lacks, _Lack(one, place.memory, place.lo, place.hi)]
    if one.verb == "mmap":
        return [left for lack in lacks for left in lack.without(place)]
    if one.verb == "mprotect":
        return [
            left for lack in lacks for left in (lack.without(place) if lack.by.verb == "mprotect" else [lack])
        ]
    return lacks


def _turns(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield statements as a thread does them, but for `it`: two turns of a loop stand for all."""
    for one in body:
        if one.place is None or not one.place.piece:
            yield one
        for _ in range(2 if one.verb == "repeat" and one.number > 1 else 1):
            yield from _turns(one.body)


def _given_by_others(process: Process, thread: Thread) -> set[str]:
    """Return the memory that other threads of a process map, or give rights to."""
    return {
        one.place.memory
        for other in process.threads
        if other is not thread
        for one in within(other.body)
        if one.verb in _GIVES and one.place
    }
