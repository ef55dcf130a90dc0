"""Pictures of published measurements beside what the model says, as SVG; matplotlib draws them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shootdown._evidence.judging import Row
from shootdown._values.errors import ShootdownError

CURVES, ALL = "evidence-curves.svg", "evidence-all.svg"
# Two of Okabe and Ito's colours, which the colour-blind tell apart; the marks differ as well.
_OURS, _THEIRS = "#0072B2", "#D55E00"
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
    try:
        import matplotlib
    except ImportError:
        raise ShootdownError(
            "pictures need matplotlib, which is not installed: pip install 'shootdown[plots]'"
        ) from None
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "shootdown"  # the same rows give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"
    run = [row for row in found if row.ranges and row.claim.measure != "fact"]
    curves = [row for row in run if _numbers(row) is not None]
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if curves:
            written.append(_curves(curves, folder / CURVES))
        if run:
            written.append(_all(run, folder / ALL))
    except OSError as error:
        raise ShootdownError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    return written


def _numbers(row: Row) -> list[float] | None:
    """Return where the points of a curve lie if they lie at numbers above zero."""
    try:
        at = [float(point.label) for point in row.claim.points]
    except ValueError:
        return None
    return at if len(at) > 1 and min(at) > 0 else None


def _curves(rows: Sequence[Row], path: Path) -> Path:
    from matplotlib import pyplot

    down = -(-len(rows) // _ACROSS)
    figure, axes = pyplot.subplots(down, _ACROSS, figsize=(4 * _ACROSS, 3 * down), squeeze=False)
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
    return _save(figure, path)


def _all(rows: Sequence[Row], path: Path) -> Path:
    """Draw predicted over published, each claim by its first value: what lies on the line is right."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 3 + 0.16 * len(rows)))
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
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
