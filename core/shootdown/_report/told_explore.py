"""Saved verdicts, and what a hunt found, as the blocks of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shootdown._report.assumptions import assumptions
from shootdown._report.document import Block, Command, Facts, Heading, Race, Table, Text
from shootdown._report.lanes import shown
from shootdown._report.results import story_of
from shootdown._report.text import exact
from shootdown._report.told_compare import listed
from shootdown._values.verdict import BUG, DEADLOCK, LIVELOCK, NOT_APPLICABLE, SAFE

_WRONG = (BUG, LIVELOCK, DEADLOCK)


def tell(value: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the report of what `explore --json` printed."""
    rows: Sequence[Mapping[str, Any]] = value["rows"]
    names = list(dict.fromkeys(str(row["scenario"]) for row in rows))
    kernels = list(dict.fromkeys(str(row["kernel"]) for row in rows))
    yield Heading(f"Can it go wrong? {listed(names)} on {listed(kernels)}", 2)
    yield Text(_answer(rows), "answer")
    if len(rows) > 1:
        yield Table(
            ("scenario", "arch", "platform", "kernel", "verdict", "invariant", "states", "moves"),
            [
                [
                    *(str(row[name]) for name in ("scenario", "arch", "platform", "kernel")),
                    _word(row),
                    row["invariant"] or "",
                    exact(row["states"]),
                    str(row["depth"]),
                ]
                for row in rows
            ],
            frozenset((6, 7)),
        )
    for row in rows:
        yield from _row(row)
    yield from assumptions(rows, timed=False)


def _word(row: Mapping[str, Any]) -> str:
    word = str(row["verdict"])
    return word.upper() if word in _WRONG else word


def _answer(rows: Sequence[Mapping[str, Any]]) -> str:
    judged = [row for row in rows if row["verdict"] != NOT_APPLICABLE]
    if not judged:
        return f"It applies to none of these: {rows[0]['reason']}"
    wrong = [row for row in judged if row["verdict"] in _WRONG]
    safe = [row for row in judged if row["verdict"] == SAFE]
    if wrong:
        row = wrong[0]
        many = "" if len(judged) == 1 else f" on {len(wrong)} of {len(judged)} rows"
        what = row.get("sentence") or row["invariant"] or row["verdict"]
        fewest = min((len(one["story"]) for one in wrong if one["story"]), default=0)
        moves = f", in {fewest} moves" if fewest else ""
        rest = f"; it is safe on {len(safe)}" if safe and len(judged) > 1 else ""
        return f"Yes{many}{moves}: {str(what).rstrip('.')}{rest}."
    if len(safe) == len(judged):
        states = sum(row["states"] for row in safe)
        return f"No order of steps that was reached breaks anything: {exact(states)} states in all."
    others = [row for row in judged if row["verdict"] != SAFE]
    return f"It isn't known on {len(others)} of {len(judged)} rows: {others[0]['reason'] or others[0]['verdict']}"


def _row(row: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(
        f"{row['scenario']} on {row['arch']} {row['platform']}, kernel {row['kernel']}: {_word(row)}"
    )
    kind = {SAFE: "good", BUG: "bad", LIVELOCK: "bad"}.get(str(row["verdict"]), "plain")
    told = str(row["reason"] or "")
    if row["verdict"] == SAFE:
        told = told or "Safe in every order of steps that was reached."
    if told:
        yield Text(told, kind)
    facts = []
    if row["states"]:
        facts.append(
            f"{exact(row['states'])} states, {exact(row['transitions'])} transitions, depth {row['depth']}"
        )
    chosen = [f"{name}={shown(value)}" for name, value in row["parameters"].items()]
    chosen += [f"--set {name}={value}" for name, value in row["set"].items()]
    facts += [", ".join(chosen)] if chosen else []
    yield Facts([*facts, *map(str, row["remarks"])])
    story = story_of(row["story"], row["invariant"] or "", row.get("sentence"))
    if story is not None:
        yield Race(story)
        yield from _functions(story, str(row["kernel"]))


def _functions(story: Any, kernel: str) -> Iterator[Block]:
    """Yield where the kernel functions of a story are."""
    from shootdown._report.sources import link, where

    there = dict.fromkeys(
        (atom.function, atom.file)
        for line in story.lines
        for atom in line.atoms
        if atom.function and atom.file
    )
    rows = [[f"{function}()", where(kernel, function, file)] for function, file in there]
    if rows:
        links = [
            (cells[1], link(kernel, function, file))
            for cells, (function, file) in zip(rows, there, strict=True)
            if link(kernel, function, file)
        ]
        yield Table(("kernel function of the story", "where"), rows, links=links)


def tell_hunt(value: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the report of what `hunt --json` printed."""
    found: Sequence[Mapping[str, Any]] = value["findings"]
    yield Heading("What goes wrong with programs that nobody wrote?", 2)
    unknown = sum(not one["explained"] for one in found)
    tried = f"{exact(value['programs'])} programs, {exact(value['states'])} states"
    told = f"{len(found)} bug{'s' if len(found) != 1 else ''} in {tried}"
    told += (
        f"; {unknown} of them no commit explains."
        if unknown
        else ("; commits explain all." if found else ".")
    )
    yield Text(told, "answer")
    facts = [f"{exact(value['equal'])} more programs had equal machines"]
    facts += [f"{exact(value['inconclusive'])} had too many states"] if value["inconclusive"] else []
    facts += ["the hunt was interrupted: what follows is what it had found"] if value["interrupted"] else []
    facts += value.get("remarks", [])  # results of earlier versions have none
    yield Facts(facts)
    if found:
        yield Table(
            ("program", "breaks", "on", "kernel", "goes away with", "since"),
            [
                [one["calls"], one["invariant"], f"{one['arch']} {one['platform']}", one["kernel"],
                 ", ".join(one["fixed_by"]) or "nothing that is known", one["since"] or ""]
                for one in found
            ],
        )  # fmt: skip
    for one in found:
        yield Heading(f"{one['calls']}: BUG on {one['arch']} {one['platform']}, kernel {one['kernel']}")
        yield Text(f"On {', '.join(one['platforms'])}.", "soft")
        story = story_of(one["story"], one["invariant"], one.get("sentence"))
        if story is not None:
            yield Race(story)
            yield from _functions(story, one["kernel"])
        yield Text("The same again, with the program in a file that `hunt --keep FOLDER` writes:", "soft")
        yield Command(f"shootdown explore PROGRAM.toml {one['explore']}")
    yield from assumptions(({**one, "remarks": ()} for one in found), timed=False)
