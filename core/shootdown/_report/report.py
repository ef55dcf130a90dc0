"""A report of saved results: what was asked, the answer, what it rests on, and how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shootdown._report import told_compare, told_explain, told_explore, told_history
from shootdown._report.document import Block, Command, Document, Facts, Heading, Text
from shootdown._report.results import Saved
from shootdown._values.errors import ShootdownError


def report(saved: Sequence[Saved], *, version: str, date: str) -> Document:
    """Return the report of one or several results.

    Args:
        saved: them.
        version: of shootdown that writes the report.
        date: the day on which it is written.

    Raises:
        ShootdownError: something in a result is missing or of another type.
    """
    told = [blocks_of(one) for one in saved]
    first = told[0][0] if told else None
    if len(told) == 1 and isinstance(first, Heading):
        return Document(first.text, [*told[0][1:], *_made(saved[0], version, date)])
    blocks: list[Block] = []
    for one, own in zip(saved, told, strict=True):
        blocks += [*own, *_made(one, version, date)]
    return Document(f"shootdown: {len(told)} results", blocks)


def _made(saved: Saved, version: str, date: str) -> Iterator[Block]:
    yield Heading("How it was made")
    if saved.command:
        yield Command(saved.command)
    else:
        yield Text("Its file does not say by which command: it was written by an older version.", "soft")
    made = (
        f"Computed by shootdown {saved.version}"
        if saved.version
        else "Computed by an unknown version of shootdown"
    )
    yield Facts([f"{made}, from {saved.where}.", f"Report written by shootdown {version} on {date}."])


def blocks_of(saved: Saved) -> list[Block]:
    """Return the report of a result as blocks, its question first.

    Raises:
        ShootdownError: something in it is missing or of another type.
    """
    tell = {
        "compare": told_compare.tell,
        "explain": told_explain.tell,
        "explore": told_explore.tell,
        "history": told_history.tell,
        "hunt": told_explore.tell_hunt,
    }[saved.kind]
    try:
        return list(tell(saved.value))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else f"{error}"
        raise ShootdownError(
            f"{saved.where}: not what shootdown {saved.kind} --json prints: {what:.200}"
        ) from None
