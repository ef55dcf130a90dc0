"""Pictures of published measurements beside what the model says; matplotlib draws them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shootdown._evidence.judging import Row
from shootdown._report.picture_files import check_picture, write_picture
from shootdown._report.plotting import COLOURS, Picture
from shootdown._values.errors import ShootdownError

CURVES, ALL = "evidence-curves.svg", "evidence-all.svg"
_OURS, _THEIRS = COLOURS[:2]  # the marks differ as well
_ACROSS = 3  # panels beside each other


def draw(found: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the curves, and all values against the predicted ones.

    Args:
        found: rows; those without a prediction are left out.
        folder: where the files go.

    Returns:
        The files that were written.

    Raises:
        ShootdownError: matplotlib is not installed, or a file can't be written.
    """
    run, curves = _drawn(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShootdownError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    written = []
    for name, picture in ((CURVES, _picture_of_curves(curves)), (ALL, _picture_of_all(run))):
        if picture is not None:
            check_picture(folder / name)
            write_picture(picture, folder / name)
            written.append(folder / name)
    return written


def picture(found: Sequence[Row]) -> Picture:
    """Return one picture: the curves if there are any, and all values against the predicted ones below.

    Raises:
        ShootdownError: no claim has a prediction.
    """
    run, curves = _drawn(found)
    if not run:
        raise ShootdownError("--plot: none of these claims has numbers to draw")
    above, below = _picture_of_curves(curves), _picture_of_all(run)
    assert below is not None
    high = below.panel[1]
    if above is None:
        return below
    top = above.rows * above.panel[1]

    def draw_both(figure: Any) -> None:
        first, second = figure.subfigures(2, 1, height_ratios=[top, high])
        above.draw(first)
        below.draw(second)

    return Picture(below.title, 1, 1, draw_both, below.headings, below.table, panel=(12, top + high))


def _drawn(found: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows that have predictions, and those of them that are curves."""
    run = [row for row in found if row.ranges and row.claim.measure != "fact"]
    return run, [row for row in run if _numbers(row) is not None]


def _numbers(row: Row) -> list[float] | None:
    """Return where the points of a curve lie if they lie at numbers above zero."""
    try:
        at = [float(point.label) for point in row.claim.points]
    except ValueError:
        return None
    return at if len(at) > 1 and min(at) > 0 else None


def _picture_of_curves(rows: Sequence[Row]) -> Picture | None:
    if not rows:
        return None
    across, down = min(_ACROSS, len(rows)), -(-len(rows) // _ACROSS)

    def draw_curves(figure: Any) -> None:
        axes = figure.subplots(down, across, squeeze=False)
        for axis, row in zip(axes.flat, rows, strict=False):
            at = _numbers(row)
            assert at is not None
            low, likely, high = zip(*((one.low, one.likely, one.high) for one in row.ranges), strict=True)
            axis.fill_between(at, low, high, color=_OURS, alpha=0.2, linewidth=0, label="predicted, range")
            axis.loglog(at, likely, "s-", color=_OURS, markersize=4, label="predicted")
            axis.loglog(at, row.claim.values, "o--", color=_THEIRS, markersize=4, label="published")
            fitted = " (fitted)" if row.claim.in_sample else ""
            axis.set_title(f"{row.claim.name}{fitted}", fontsize="medium")
            axis.set_ylabel(row.claim.unit or "ratio")
            axis.grid(which="both", alpha=0.3)
        for axis in axes.flat[len(rows) :]:
            axis.set_axis_off()
        axes.flat[0].legend(fontsize="x-small")

    return Picture("Published curves beside predicted ones", across, down, draw_curves, panel=(4, 3))


def _picture_of_all(rows: Sequence[Row]) -> Picture | None:
    """Draw predicted over published, each claim by its first value: what lies on the line is right."""
    if not rows:
        return None

    def draw_all(figure: Any) -> None:
        axis = figure.subplots()
        for height, row in enumerate(reversed(rows)):
            for point, one in zip(row.claim.points, row.ranges, strict=True):
                if point.published <= 0 or one.low <= 0:
                    continue
                axis.plot(
                    [one.low / point.published, one.high / point.published],
                    [height, height],
                    color=_OURS,
                    alpha=0.3,
                    linewidth=4,
                    solid_capstyle="butt",
                )
                axis.plot(
                    one.likely / point.published,
                    height,
                    "s" if row.claim.in_sample else "o",
                    color=_OURS,
                    markersize=4,
                    fillstyle="none" if row.claim.in_sample else "full",
                )
        axis.axvline(1, color=_THEIRS)
        axis.axvspan(0.75, 1.25, color=_THEIRS, alpha=0.15, linewidth=0)
        axis.set_xscale("log")
        axis.set_yticks(range(len(rows)), [row.claim.name for row in reversed(rows)], fontsize="x-small")
        axis.set_xlabel("predicted over published, with ranges; band: 25 %; hollow squares: fitted")
        axis.grid(axis="x", alpha=0.3)
        axis.grid(axis="y", visible=False)

    table = [
        [row.claim.name, point.label, f"{point.published:g}", f"{one.likely:.4g} ({one.low:.3g}-{one.high:.3g})",
         row.claim.unit or "ratio"]
        for row in rows
        for point, one in zip(row.claim.points, row.ranges, strict=True)
    ]  # fmt: skip
    headings = ("claim", "at", "published", "predicted (range)", "unit")
    size = (8, 3 + 0.16 * len(rows))
    return Picture("Published values beside predicted ones", 1, 1, draw_all, headings, table, panel=size)
