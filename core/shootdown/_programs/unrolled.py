"""`each` of an explored program: what is done with the first and the last piece of a place stands for all turns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from shootdown._programs.language import size_text
from shootdown._programs.program import Memory, Place, Process, Program, Statement


@attrs.frozen
class Unrolled:
    """A program without `each`.

    Args:
        program: it.
        left_out: the pieces between the first and the last one, which are explored as if they were not there.
        cut: what that left out, in words.
    """

    program: Program
    left_out: tuple[Place, ...]
    cut: tuple[str, ...]


def unrolled(program: Program) -> Unrolled:
    """Return a program with two turns, or one if there are no more, in place of each `each`."""
    loops = [one for _, _, one in program.statements() if one.verb == "each" and one.place]
    if not loops:
        return Unrolled(program, (), ())
    processes = {name: _process(process, program.memory) for name, process in program.processes.items()}
    made = attrs.evolve(program, processes=processes)
    left_out: dict[Place, None] = {}
    cut: dict[str, None] = {}
    for one in loops:
        assert one.place is not None
        lo, hi, size = one.place.lo, one.place.hi, one.number
        if hi - lo > 2 * size:
            cut[f"2 of {(hi - lo) // size:,} pieces of {one.place.memory}"] = None
            between = Place(one.place.memory, lo + size, hi - size)
            if not _is_cut(made, between):
                left_out[between] = None
    return Unrolled(made, tuple(left_out), tuple(cut))


def _is_cut(program: Program, between: Place) -> bool:
    """Whether some statement treats a part of a place apart."""
    return any(
        between.lo < end < between.hi
        for _, _, one in program.statements()
        if one.place is not None and one.place.memory == between.memory
        for end in (one.place.lo, one.place.hi)
    )


def _process(process: Process, memory: Mapping[str, Memory]) -> Process:
    threads = tuple(
        attrs.evolve(thread, body=tuple(_without_each(thread.body, memory))) for thread in process.threads
    )
    return attrs.evolve(process, threads=threads)


def _without_each(body: tuple[Statement, ...], memory: Mapping[str, Memory]) -> Iterator[Statement]:
    for one in body:
        if one.verb != "each" or one.place is None:
            yield attrs.evolve(one, body=tuple(_without_each(one.body, memory)))
            continue
        lo, hi, size = one.place.lo, one.place.hi, one.number
        for start in dict.fromkeys((lo, hi - size)):
            piece = Place(one.place.memory, start, start + size)
            begin = memory[piece.memory].begin
            name = f"{piece.memory}[{size_text(start - begin)}:{size_text(start + size - begin)}]"
            yield from (_with(inner, piece, name) for inner in _without_each(one.body, memory))


def _with(one: Statement, piece: Place, name: str) -> Statement:
    """Return a statement of a turn, with the piece, and its name, in place of `it`."""
    body = tuple(_with(inner, piece, name) for inner in one.body)
    if one.place is None or not one.place.piece:
        return attrs.evolve(one, body=body)
    return attrs.evolve(one, body=body, place=piece, text=re.sub(r"\bit\b", name, one.text))
