"""What all pictures share: matplotlib, colours that the colour-blind tell apart, files of SVG, PNG and HTML.

Each line has a colour, a style and a mark of its own, and each part of a bar a hatch, so that a picture is read in grey
as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from shootdown._values.errors import ShootdownError

#: Okabe and Ito's colours, without the yellow that is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\")
_STYLES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
#: The most lines of a picture that have styles of their own.
MOST_LINES = len(COLOURS) * len(_STYLES)
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_DOTS_PER_INCH = 150
_SETTINGS = {
    "svg.hashsalt": "shootdown",  # the same rows give the same file
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "legend.frameon": True,
    "legend.fontsize": "small",
}


@attrs.frozen
class Picture:
    """A picture that is yet to be drawn.

    Args:
        title: what it shows, in a few words.
        columns, rows: the size in panels.
        draw: draws into a figure of matplotlib.
        headings, table: the numbers that it shows, for a page that has both.
        panel: the width and height of a panel in inches.
    """

    title: str
    columns: int
    rows: int
    draw: Callable[[Any], None]
    headings: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    panel: tuple[float, float] = (4.6, 3.2)


def drawable() -> bool:
    """Whether matplotlib is installed."""
    try:
        required()
    except ShootdownError:
        return False
    return True


def svg(picture: Picture) -> str:
    """Return a picture as SVG."""
    with _figure(picture) as figure:
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Title": picture.title})
    return stream.getvalue()


def inline(picture: Picture) -> str:
    """Return a picture as SVG for a page: without the heading of an XML file, as wide as there is room."""
    text = svg(picture)
    return text[text.index("<svg") :].replace("<svg ", '<svg role="img" ', 1)


def png(picture: Picture) -> bytes:
    """Return a picture as PNG."""
    with _figure(picture) as figure:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH)
    return stream.getvalue()


@contextmanager
def _figure(picture: Picture) -> Iterator[Any]:
    matplotlib = required()
    from matplotlib.figure import Figure

    wide, high = picture.panel
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(wide * picture.columns, high * picture.rows), layout="constrained")
        picture.draw(figure)
        yield figure


def required() -> Any:
    """Import matplotlib.

    Raises:
        ShootdownError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ShootdownError(
            "pictures need matplotlib, which is not installed: pip install 'shootdown[plots]'"
        ) from None
    return matplotlib


def styles(names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return what each line looks like: a colour, a style and a mark of its own.

    Args:
        names: of the lines, `MOST_LINES` at most.
    """
    # As 7 and 4 share no factor, no two of 28 have both in common; neighbours differ in everything.
    return {
        name: {
            "color": COLOURS[n % len(COLOURS)],
            "linestyle": _STYLES[n % len(_STYLES)],
            "marker": _MARKS[n % len(_MARKS)],
            "markersize": 4,
        }
        for n, name in enumerate(names)
    }


def unit_of(nanoseconds: float) -> tuple[float, str]:
    """Return the unit in which a time is best written: its nanoseconds and its name."""
    return next((unit for unit in _UNITS if nanoseconds >= unit[0]), _UNITS[-1])


def grouped_digits(axis: Any) -> None:
    """Write counts on an axis with every digit and separators."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value == round(value) else ""))
