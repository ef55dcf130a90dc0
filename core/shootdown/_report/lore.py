"""Reports for mails to a kernel list: ASCII, 72 columns, races as commit messages draw them.

Documentation/process/submitting-patches.rst wants plain text, wrapped at 75 columns. A race is drawn with a column for
each CPU, and what happens later stands further down.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from shootdown._report.lanes import blocks, shown
from shootdown._report.text import paragraph
from shootdown._values.verdict import SAFE

if TYPE_CHECKING:
    from shootdown._explore.story import Story
    from shootdown._questions.explore import Verdict

#: The least width of a CPU's column; with less, all CPUs share one column of text.
_LANE = 18
#: A CPU that answers and is not the last one to do so changes nothing that a race is about.
_WAITS = " still waits for "
_ASCII = str.maketrans(
    {
        "→": "->",
        "✗": "*",
        "●": "*",
        "│": "|",
        "┃": "|",
        "─": "-",
        "┼": "+",
        "┌": "+",
        "\u00d7": "x",
        "\u00b5": "u",
        "\u2026": "...",
    }
)


def ascii_only(text: str) -> str:
    """Write a text in ASCII, as mails to kernel lists are."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def mail(lines: Iterable[str], command: str, width: int) -> Iterator[str]:
    """Write a report as the body of a mail: no line is longer than the width, and the last one is the command.

    Args:
        lines: the report.
        command: the command that makes it again; where it is longer than a line, backslashes continue it.
        width: columns.
    """
    blank = True
    for line in lines:
        text = ascii_only(line).rstrip()
        if text or not blank:
            yield from _narrow(text, width)
        blank = not text
    if not blank:
        yield ""
    yield from continued(command, width)


def _narrow(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)


def continued(command: str, width: int) -> list[str]:
    """Write a command; where it is longer than a line, backslashes continue it."""
    if len(command) <= width:
        return [ascii_only(command)]
    words = [shlex.quote(word) for word in shlex.split(command)]
    # An option and its value stay together.
    parts: list[str] = []
    for word in words:
        if parts and parts[-1].startswith("-") and " " not in parts[-1] and not word.startswith("-"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    lines = [parts[0]]
    for word in parts[1:]:
        # Room for " \" at the end of the line.
        if len(lines[-1]) + 1 + len(word) > width - 2:
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return [ascii_only(line) + (" \\" if n < len(lines) - 1 else "") for n, line in enumerate(lines)]


def verdict_mail(row: Verdict, width: int) -> Iterator[str]:
    """Write a verdict, and the race of a bug, for a mail.

    Args:
        row: the verdict, its story included.
        width: columns.
    """
    word = row.verdict if row.story is None else row.verdict.upper()
    yield f"{row.scenario}: {word}"
    yield f"on {row.arch} {row.platform}, kernel {row.kernel}"
    yield ""
    if row.story is not None:
        yield from paragraph(f"{row.invariant}: {row.story.sentence}", width)
    if row.reason:
        yield from paragraph(row.reason, width)
    if row.states and row.verdict == SAFE:
        yield from paragraph(f"{row.states:,} states, every one of them checked.", width)
    values = [f"{name}={shown(value)}" for name, value in row.parameters.items()]
    values += [f"{name}={value}" for name, value in row.set.items()]
    if values:
        yield from paragraph(f"With {', '.join(values)}.", width)
    for remark in row.remarks:
        yield from paragraph(remark, width)
    if row.story is not None:
        yield ""
        yield from race(row.story, width)


def race(story: Story, width: int) -> Iterator[str]:
    """Draw a story as a race between CPUs.

    Args:
        story: the moves.
        width: columns.
    """
    movers = sorted({cpu for line in story.lines for cpu, _ in blocks(line)})
    lane = (width - 2 - 3 * (len(movers) - 1)) // max(len(movers), 1)
    yield from (_side_by_side(story, movers, lane) if lane >= _LANE else _one_column(story, movers, width))
    yield ""
    for text in story.ending:
        yield from paragraph(ascii_only(text), width, first="=> ")


def _side_by_side(story: Story, movers: Sequence[int], lane: int) -> Iterator[str]:
    bars = [2 + (lane + 3) * n + lane + 1 for n in range(len(movers) - 1)]

    def row(text: str, column: int) -> str:
        """Put a text into a column; what is longer runs over the bars to its right."""
        start = 2 + (lane + 3) * column
        cells = list(" " * start + text)
        for bar in bars:
            if bar < start or bar > len(cells):
                cells += " " * (bar + 1 - len(cells))
                cells[bar] = "|"
        return "".join(cells).rstrip()

    def heads(texts: Sequence[str]) -> str:
        return ("  " + " | ".join(f"{text:<{lane}}" for text in texts)).rstrip()

    yield heads([f"CPU{cpu}" for cpu in movers])
    said = [wrap(story.lanes[cpu], lane) for cpu in movers]
    for n in range(max(map(len, said), default=0)):
        yield heads([head[n] if n < len(head) else "" for head in said])
    yield "  " + "-+-".join("-" * lane for _ in movers)
    for cpu, text in _told(story, lane, movers[-1]):
        yield row(text, movers.index(cpu))


def _one_column(story: Story, movers: Sequence[int], width: int) -> Iterator[str]:
    for cpu in movers:
        yield from paragraph(f"CPU{cpu}: {story.lanes[cpu]}", width, first="  ", rest="    ")
    yield ""
    before = None
    for cpu, text in _told(story, width - 8):
        yield f"  {f'CPU{cpu}' if cpu != before else '':<6}{text}"
        before = cpu


def _told(story: Story, lane: int, last: int | None = None) -> Iterator[tuple[int, str]]:
    """Return the lines of a race with their CPUs.

    A function stands once, and indented below it what it does that changes something. In the last column, where `last`
    says which, also names of functions are wrapped.
    """
    function: dict[int, str] = {}
    for line in story.lines:
        for part, (cpu, block) in enumerate(blocks(line)):
            # It is in the way of what the CPU does, which goes on below.
            interrupt = line.who == "interrupt" and not part
            for phrase in block:
                name, colon, rest = phrase.text.rpartition("(): ")
                text = rest if colon else phrase.text
                if interrupt:
                    text = f"<{text}>"
                elif colon and function.get(cpu) != name:
                    function[cpu] = name
                    called = f"{name}()"
                    for piece in _broken(called, lane) if cpu == last else [called]:
                        yield cpu, piece
                if not (phrase.changed or line.bad or interrupt):
                    continue
                inside = 2 if cpu in function and not interrupt else 0
                changed = [change for change in phrase.changed if _WAITS not in change]
                if len(changed) == 1 and inside + len(joined := f"{text} -> {changed[0]}") <= lane:
                    text, changed = joined, []
                yield from ((cpu, piece) for piece in _wrapped(text, lane, inside))
                for change in changed:
                    yield from ((cpu, piece) for piece in _wrapped(f"-> {change}", lane, inside + 2))


def _broken(name: str, lane: int) -> list[str]:
    """Break the name of a function between its words where it is too long for a line."""
    lines = [""]
    for word in re.findall(r"_*[^_]+", name):
        if lines[-1].strip() and len(lines[-1]) + len(word) > lane:
            lines.append("    ")
        lines[-1] += word
    return lines


def _wrapped(text: str, lane: int, indent: int) -> list[str]:
    return wrap(
        ascii_only(text),
        lane,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )
