"""Numbers and tables as plain text: counts exact, times marked as estimates, columns that fit a width."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence

import attrs

from shootdown._values.result import Span

#: Columns between two cells.
GAP = 2

#: A place where a heading may be hyphenated if there is no room for it otherwise.
SOFT_HYPHEN = "\u00ad"

_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


def exact(value: int) -> str:
    """Write a count: every digit, with thousands separators."""
    return f"{value:,}"


def estimate(span: Span) -> str:
    """Write a time as an estimate: `~8.22 s (2.9-18)`, likely and, in the same unit, low and high."""
    unit, name = _unit(span.likely or span.high)
    likely = f"~{_digits(span.likely / unit, 3)} {name}"
    if span.low == span.high:
        return likely
    return f"{likely} ({_digits(span.low / unit, 2)}-{_digits(span.high / unit, 2)})"


def about(nanoseconds: float) -> str:
    """Write one end of a time as an estimate: `~85.2 us`."""
    unit, name = _unit(nanoseconds)
    return f"~{_digits(nanoseconds / unit, 3)} {name}"


def ratio(low: float, likely: float, high: float) -> str:
    """Write a ratio of times: `x4.3 (x2.2-x7.9)`."""
    return f"x{_digits(likely, 2)} (x{_digits(low, 2)}-x{_digits(high, 2)})"


def share(part: int, whole: int) -> str:
    """Write a share in percent: 100 only for all, 0 only for none."""
    if whole == 0 or part in (0, whole):
        return f"{100 if part and whole else 0} %"
    percent = 100 * part / whole
    for decimals in (0, 1, 2, 3):
        text = f"{percent:.{decimals}f}"
        if float(text) not in (0.0, 100.0):
            return f"{text} %"
    return "> 99.999 %" if percent > 50 else "< 0.001 %"


def cpu_list(cpus: Iterable[int]) -> str:
    """Write CPUs as Linux lists them: `0-3,7`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def paragraph(text: str, width: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """Wrap a text; no word is broken.

    Args:
        text: one paragraph.
        width: columns.
        first, rest: what stands before the first line and before each of the others (as many blanks if None).
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


@attrs.frozen
class Column:
    """One column of a table.

    Args:
        heading: wraps between words, and at soft hyphens if it has to.
        right: its cells are numbers.
        wraps: its cells may be wrapped, after blanks, hyphens, colons, commas and angle brackets.
    """

    heading: str
    right: bool = False
    wraps: bool = False


def widths(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    hyphenate: bool = False,
    shrink: bool = True,
) -> list[int] | None:
    """Return the width of each column of a table, or None if the table can't fit.

    Args:
        columns: the columns.
        rows: a cell for each; cells may have several lines.
        width: columns of text that there are.
        hyphenate: break headings at soft hyphens too.
        shrink: wrap cells that may be wrapped.
    """
    wide, narrow = [], []
    for i, column in enumerate(columns):
        cells = [line for row in rows for line in row[i].split("\n")]
        heading = max(map(len, _words(column.heading, hyphenate=hyphenate)), default=0)
        natural = max([heading, *map(len, cells)])
        wide.append(natural)
        pieces = [piece.rstrip() for cell in cells for piece in _pieces(cell)]
        narrow.append(max([heading, *map(len, pieces)]) if column.wraps and shrink else natural)
    room = width - GAP * (len(columns) - 1)
    while sum(wide) > room:
        over = [i for i in range(len(columns)) if wide[i] > narrow[i]]
        if not over:
            return None
        wide[max(over, key=lambda i: wide[i])] -= 1
    return wide


def lay_out(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str] | str],
    chosen: Sequence[int],
    *,
    hyphenate: bool = False,
) -> list[str]:
    """Draw a table.

    Args:
        columns: the columns.
        rows: a cell for each column, or a text that stands across all of them.
        chosen: what `widths` returned.
        hyphenate: as for `widths`.
    """
    headings = [
        _fold_heading(_words(column.heading, hyphenate=hyphenate), size)
        for column, size in zip(columns, chosen, strict=True)
    ]
    tall = max(map(len, headings))
    above = [[*[""] * (tall - len(lines)), *lines] for lines in headings]
    lines = _join(columns, above, chosen)
    lines.append("-" * (sum(chosen) + GAP * (len(chosen) - 1)))
    for row in rows:
        if isinstance(row, str):
            lines += row.split("\n")
            continue
        folded = [
            [part for line in cell.split("\n") for part in _fold(_pieces(line), size)]
            for cell, size in zip(row, chosen, strict=True)
        ]
        lines += _join(columns, folded, chosen)
    return lines


def _unit(nanoseconds: float) -> tuple[float, str]:
    return next((unit for unit in _UNITS if nanoseconds >= unit[0]), _UNITS[-1])


def _digits(value: float, digits: int) -> str:
    """Write a number with so many significant digits, or all before its point."""
    if value <= 0:
        return "0"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    magnitude = math.floor(math.log10(value)) + 1
    return f"{value:.{min(digits - magnitude, 6)}f}"


def _words(heading: str, *, hyphenate: bool) -> list[str]:
    if not hyphenate:
        return heading.replace(SOFT_HYPHEN, "").split()
    words: list[str] = []
    for word in heading.split():
        *syllables, last = word.split(SOFT_HYPHEN)
        words += [*(f"{syllable}-" for syllable in syllables), last]
    return words


def _pieces(cell: str) -> list[str]:
    """Cut a cell where it may be wrapped."""
    return re.findall(r"[^-\s:,<]*(?:[-\s:,<]+|$)", cell) if cell else [""]


def _fold(pieces: Sequence[str], size: int) -> list[str]:
    """Put the pieces of a cell on lines."""
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > size:
            lines.append(piece)
        else:
            lines[-1] += piece
    return [line.rstrip() for line in lines]


def _fold_heading(words: Sequence[str], size: int) -> list[str]:
    """Put the words and syllables of a heading on lines; hyphens inside a line are removed."""
    lines = [""]
    for word in words:
        joined = lines[-1][:-1] if lines[-1].endswith("-") else f"{lines[-1]} " if lines[-1] else ""
        if lines[-1] and len(joined) + len(word) > size:
            lines.append(word)
        else:
            lines[-1] = joined + word
    return lines


def _join(columns: Sequence[Column], cells: Sequence[Sequence[str]], chosen: Sequence[int]) -> list[str]:
    lines = []
    for n in range(max(map(len, cells))):
        parts = []
        for column, lines_of_cell, size in zip(columns, cells, chosen, strict=True):
            text = lines_of_cell[n] if n < len(lines_of_cell) else ""
            parts.append(text.rjust(size) if column.right else text.ljust(size))
        lines.append((" " * GAP).join(parts).rstrip())
    return lines
