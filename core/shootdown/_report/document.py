"""A report as blocks, which are written as a page, as Markdown or as plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from shootdown._explore.story import Story
    from shootdown._report.plotting import Picture


#: Stands before the text of a cell, once for each level that it is indented by.
INDENT = "\u2003"


@attrs.frozen
class Heading:
    """A heading: of a result (level 2), or of a part of one (level 3)."""

    text: str
    level: int = 3


@attrs.frozen
class Text:
    """A paragraph.

    Args:
        text: it.
        kind: `plain`, `question`, `answer`, `good`, `bad` or `soft`: how a page sets it off.
    """

    text: str
    kind: str = "plain"


@attrs.frozen
class Facts:
    """A list of sentences."""

    items: Sequence[str]


@attrs.frozen
class Table:
    """A table.

    Args:
        headings: of the columns; empty ones are allowed.
        rows: as many cells each.
        right: numbers of the columns whose cells are numbers.
        links: by the text of a cell, where a page links it to.
        lines: writes it as plain text of so many columns, where a table by itself would not fit.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    links: Sequence[tuple[str, str]] = ()
    lines: Callable[[int], Sequence[str]] | None = None


@attrs.frozen
class Bar:
    """One bar.

    Args:
        name: what it stands for.
        note: a few words below the name.
        value: its length.
        part: how much of it is drawn hatched.
        text: the value in words.
        link: where a page links the note to, or empty.
    """

    name: str
    value: float
    text: str
    note: str = ""
    part: float = 0.0
    link: str = ""


@attrs.frozen
class Bars:
    """Bars of one unit below one another.

    Args:
        caption: what they show.
        bars: them.
        hatched: what the hatched part of a bar is, or empty.
    """

    caption: str
    bars: Sequence[Bar]
    hatched: str = ""

    def caption_with(self, sign: str) -> str:
        """Return the caption and, if a part is hatched, what that is, after the sign that stands for it."""
        return f"{self.caption}; {sign}: {self.hatched}" if self.hatched else self.caption


@attrs.frozen
class Drawing:
    """A picture; text forms leave it out, as the table beside it has its numbers."""

    picture: Picture


@attrs.frozen
class Race:
    """The story of a bug: a lane for each CPU."""

    story: Story


@attrs.frozen
class Command:
    """A command line."""

    text: str


Block = Heading | Text | Facts | Table | Bars | Drawing | Race | Command


@attrs.frozen
class Document:
    """A whole report.

    Args:
        title: its heading.
        blocks: what is below.
    """

    title: str
    blocks: Sequence[Block]
