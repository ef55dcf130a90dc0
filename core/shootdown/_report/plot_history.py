"""A picture of a history: counts by release as steps, or verdicts as bands, with the commits at the boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from shootdown._report.history import heading, telling
from shootdown._report.plotting import COLOURS, Picture, grouped_digits, styles
from shootdown._values.errors import ShootdownError
from shootdown._values.timelines import MAINLINE
from shootdown._values.verdict import BUG, LIVELOCK, NOT_APPLICABLE, SAFE

Row = Mapping[str, Any]

#: Counts that a panel shows at most.
_MOST_COUNTS = 4
_MOST_PANELS = 24
_ACROSS = 2
#: Above so many times the smallest count, small ones would not be seen on a linear axis.
_STEEP = 300
#: Colour and hatch of a verdict.
_VERDICTS = {SAFE: (COLOURS[2], ""), BUG: (COLOURS[1], "xxx"), LIVELOCK: (COLOURS[3], "///")}
_OTHER = ("#BBBBBB", "...")


def picture_of_history(value: Mapping[str, Any]) -> Picture:
    """Return the picture of what `history --json` prints.

    Raises:
        ShootdownError: no release can run the program, or there are more series than can be read.
    """
    rows: list[Row] = list(value["rows"])
    verdicts = any(row["verdict"] is not None for row in rows)
    if not any(row["supported"] or row["verdict"] == NOT_APPLICABLE for row in rows):
        raise ShootdownError("--plot: no release can run the program")
    groups = _groups(rows)
    if len(groups) > _MOST_PANELS:
        raise ShootdownError(
            f"--plot: {len(groups)} series on all platforms are more than can be read ({_MOST_PANELS}): name fewer"
        )
    counts = _counts([row["counts"] for row in rows if row["supported"]])
    looks = styles(counts)
    title = f"{value['program']}: {'verdicts' if verdicts else 'counts'} by release"

    def draw(figure: Any) -> None:
        axes = figure.subplots(down, across, squeeze=False)
        for axis, (name, own) in zip(axes.flat, groups, strict=False):
            if verdicts:
                _draw_verdicts(axis, own)
            else:
                _draw_steps(axis, own, counts, looks)
            _boundaries(axis, own)
            axis.set_title(name, fontsize="medium", pad=30)
        for axis in axes.flat[len(groups) :]:
            axis.set_axis_off()
        if not verdicts:
            handles, labels = axes.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1))
        figure.suptitle(title)

    across = min(_ACROSS, len(groups))
    down = -(-len(groups) // across)
    headings = ["series", "releases", *(["verdict"] if verdicts else map(heading, counts)), "moved by"]
    table = [
        [
            str(row["series"]),
            _releases(row),
            *([str(row["verdict"])] if verdicts else (f"{row['counts'].get(name, 0):,}" for name in counts)),
            ", ".join(row["commits"]),
        ]
        for _, own in groups
        for row in own
    ]
    widest = max(len(own) for _, own in groups)
    return Picture(
        title, across, down, draw, [one.replace("\u00ad", "") for one in headings], table,
        panel=(max(5.2, 0.85 * widest), 2.4 if verdicts else 3.6),
    )  # fmt: skip


def _counts(rows: Sequence[Mapping[str, int]]) -> list[str]:
    """Choose the counts to draw: the most telling ones, redundant syncs beside all of them."""
    found = telling(rows)
    beside = "redundant_sync_ipis"
    if found[:1] == ["sync_ipis"] and beside in found:
        found = ["sync_ipis", beside, *(name for name in found[1:] if name != beside)]
    return found[:_MOST_COUNTS]


def _groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the series of each platform; those in which nothing moves only where nothing else is there."""
    found = []
    several = len({(row["arch"], row["platform"]) for row in rows}) > 1
    for (arch, platform, series), group in groupby(
        rows, key=lambda row: (row["arch"], row["platform"], row["series"])
    ):
        own = list(group)
        name = series if series == MAINLINE else f"{series}.y"
        found.append((f"{arch} {platform}, {name}" if several else name, own))
    moved = [one for one in found if len(one[1]) > 1 or one[0].endswith(MAINLINE)]
    return moved or found


def _releases(row: Row) -> str:
    return str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}"


def _draw_steps(axis: Any, rows: Sequence[Row], counts: Sequence[str], looks: Mapping[str, Any]) -> None:
    values = []
    for name in counts:
        own = [row["counts"].get(name, 0) if row["supported"] else float("nan") for row in rows]
        values += [value for value in own if value == value]
        look = {**looks[name], "linewidth": 1.8}
        label = heading(name).replace("\u00ad", "")
        axis.step(range(len(own) + 1), [*own, own[-1]], where="post", label=label, markevery=[0], **look)
    some = [value for value in values if value]
    if some and max(some) / min(some) > _STEEP:
        axis.set_yscale("symlog", linthresh=max(min(some), 1))
    axis.set_ylim(bottom=0)
    axis.margins(y=0.1)
    axis.set_ylabel("count, exact")
    grouped_digits(axis.yaxis)


def _draw_verdicts(axis: Any, rows: Sequence[Row]) -> None:
    for n, row in enumerate(rows):
        colour, hatch = _VERDICTS.get(row["verdict"], _OTHER)
        axis.barh(0, 1, left=n, height=0.8, color=colour, alpha=0.6, hatch=hatch, edgecolor="white")
        word = (
            str(row["verdict"] or "").upper()
            if row["verdict"] in (BUG, LIVELOCK)
            else str(row["verdict"] or "")
        )
        text = f"{word}\n{row['invariant']}" if row.get("invariant") else word
        axis.text(n + 0.5, 0, text, ha="center", va="center", fontsize="small",
                  bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1.5})  # fmt: skip
    axis.set_yticks([])
    axis.grid(visible=False)


def _boundaries(axis: Any, rows: Sequence[Row]) -> None:
    """Write the first release of each range below, and the commits that begin it above."""
    axis.set_xlim(0, len(rows))
    axis.set_xticks(range(len(rows)), [row["first"] for row in rows], rotation=35, ha="right")
    axis.set_xlabel(f"first release of each range, to {rows[-1]['last']}")
    axis.grid(axis="x", visible=False)
    for n, row in enumerate(rows):
        if n:
            axis.axvline(n, color="#555555", linewidth=0.8, linestyle=":")
        if not row["commits"]:
            continue
        more = f" +{len(row['commits']) - 1}" if len(row["commits"]) > 1 else ""
        axis.annotate(
            f"{row['commits'][0][:16]}{more}", (n, 1), xycoords=("data", "axes fraction"), xytext=(1, 3),
            textcoords="offset points", fontsize="x-small", rotation=15, family="monospace",
        )  # fmt: skip
