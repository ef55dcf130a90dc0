"""What the reports of all recordings are made of: tables, lists, times, pages and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shootdown._records import paths, reasons
from shootdown._records.groups import Latencies
from shootdown._report.text import Column, exact, lay_out, paragraph, widths

#: The most rows of a table, and what stands for a path that nothing tells.
ROWS = 12
UNTOLD = "(not told)"


def listed(heading: str, texts: Iterable[str], width: int) -> Iterator[str]:
    """Write a heading with texts below it and a blank line; nothing if there are no texts."""
    found = list(texts)
    if not found:
        return
    yield heading
    for text in found:
        yield from paragraph(text, width, first="  ", rest="    ")
    yield ""


def draw_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Draw a table and a blank line; it is wider than asked for where it can't be narrower."""
    sizes = widths(columns, rows, width) or widths(columns, rows, 10_000)
    assert sizes is not None
    return [*lay_out(columns, rows, sizes), ""]


def time(ns: float) -> str:
    """Write a time that was recorded, which is no estimate: `36 us`."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= unit:
            return f"{ns / unit:.4g} {name}"
    return f"{ns:.4g} ns"


def range_of(times: Latencies) -> str:
    """Write from which time to which something took."""
    if times.least == times.most:
        return time(times.least)
    half = f" (half of them within {time(times.below(0.5))})" if times.count >= 10 else ""
    return f"{time(times.least)} to {time(times.most)}{half}"


def pages(number: int | None) -> str:
    """Write a number of pages: -1 is the whole address space, None is unknown."""
    return "?" if number is None else "all" if number < 0 else exact(number)


def amount(count: float) -> str:
    """Write a count, or a share that is none."""
    return exact(int(count)) if count == int(count) else f"{count:,.2f}"


def count_of(number: int, one: str, many: str = "") -> str:
    """Write how many of something: `1 answer`, `2 answers`."""
    return f"{exact(number)} {one if number == 1 else many or one + 's'}"


def reasons_of(
    flushes: Mapping[tuple[int, int], Any], write: Callable[[Any], str], unit: str
) -> Iterator[str]:
    """Write a line for each reason of tlb_flush events: how many, of how many pages.

    Args:
        flushes: counts or shares, by reason and pages.
        write: how one of them is written.
        unit: what follows it.
    """
    for reason, name in enumerate(reasons.NAMES):
        mine = {number: count for (why, number), count in flushes.items() if why == reason}
        if not mine:
            continue
        total = sum(mine.values())
        shown = ", ".join(
            f"{write(count)}{unit} x {of_pages(number)}"
            for number, count in sorted(mine.items(), key=lambda pair: -pair[1])[:6]
        )
        more = f", {len(mine) - 6} more" if len(mine) > 6 else ""
        meaning = reasons.MEANING[reason]
        if reason == reasons.SWITCH and set(mine) == {0}:
            meaning += " and nothing had to be flushed"
        yield f"{write(total)}{unit} {name}: {meaning} ({shown}{more})"


def targets(number: int | None) -> str:
    """Write how many CPUs each reached; None is unknown."""
    return "?" if number is None else exact(number)


def of_pages(number: int) -> str:
    """Write a number of pages with its noun: below zero is the whole address space, -2 stands for all other sizes."""
    if number == -2:
        return "other sizes"
    return "all pages" if number < 0 else f"{exact(number)} page{'' if number == 1 else 's'}"


def remarks(found: Iterable[str], width: int) -> Iterator[str]:
    """Write what a person should know of the paths that were found."""
    for path in sorted(found):
        if text := paths.remark(path):
            yield from paragraph(f"{path}: {text}.", width, rest="  ")


def breakable(cell: str) -> str:
    """Let a long function's name wrap after an underscore where nothing else would fit."""
    return cell if len(cell) <= 18 else "\n".join(_wrapped(cell))


def _wrapped(name: str, room: int = 18) -> list[str]:
    found = [""]
    for piece in name.replace("_", "_\0").split("\0"):
        if found[-1] and len(found[-1]) + len(piece) > room:
            found.append("")
        found[-1] += piece
    return found
