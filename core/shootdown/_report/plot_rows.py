"""Pictures of a comparison or a sweep: scaling curves with bands, or a bar for each row, redundant beside needed.

Rows are flat: one level of names, as `--csv` has them (`cpus`, `parameters.tables`, `counts.sync_ipis`,
`times.elapsed_ns.likely`). A name that is missing counts as 0, and a time that is missing is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import attrs

from shootdown._report.plotting import COLOURS, HATCHES, MOST_LINES, Picture, grouped_digits, styles, unit_of
from shootdown._report.text import estimate, exact
from shootdown._values.errors import ShootdownError
from shootdown._values.result import TIMING_DECIDES, Span

Row = Mapping[str, Any]

#: What interrupts a CPU, in the order of the parts of a bar.
_PARTS = {
    "needed sync IPIs": lambda row: _count(row, "sync_ipis") - _count(row, "redundant_sync_ipis"),
    "redundant sync IPIs": lambda row: _count(row, "redundant_sync_ipis"),
    "flush IPIs": lambda row: _count(row, "flush_ipis"),
    "transition IPIs": lambda row: _count(row, "transition_ipis"),
}
_IPIS = ("flush_ipis", "sync_ipis", "transition_ipis")
#: Numbers with at least so many values are drawn as curves over the one that has most.
_CURVE = 3
_WHERE = ("workload", "arch", "platform", "kernel", "cpus")
_MOST_BARS = 60
#: Room below 0, as a share of the most, so that marks at 0 are whole.
_BELOW = -0.03


def picture_of_rows(rows: Iterable[Row]) -> Picture:
    """Return the picture of flat rows: curves over the number that has most values, else a bar for each row.

    Args:
        rows: as `--csv` has them; those that are not supported are left out.

    Raises:
        ShootdownError: there is nothing to draw, or more than can be read.
    """
    drawn = [row for row in rows if row.get("supported", True) is True]
    if not drawn:
        raise ShootdownError("--plot: no row has counts: kernel and platform can't run the workload")
    varying = _varying(drawn)
    over = _number_of_most_values(drawn, varying)
    return _bars(drawn, varying) if over is None else _curves(drawn, varying, over)


def _varying(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [
        name
        for name in names
        if (name in _WHERE or name.startswith(("parameters.", "set.")))
        and len({str(row.get(name)) for row in rows}) > 1
    ]


def _number_of_most_values(rows: Sequence[Row], varying: Sequence[str]) -> str | None:
    sizes = {
        name: len({row[name] for row in rows})
        for name in varying
        if all(_is_number(row.get(name)) for row in rows)
    }
    most = max(sizes, key=lambda name: sizes[name], default=None)
    return most if most is not None and sizes[most] >= _CURVE else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(name: str) -> str:
    return "CPUs online" if name == "cpus" else name.rpartition(".")[2]


def _label(row: Row, names: Sequence[str]) -> str:
    plain = [str(row.get(name)) for name in names if name in ("workload", "arch", "platform", "kernel")]
    named = [
        f"{exact(row[name])} CPUs" if name == "cpus" else f"{_short(name)}={row.get(name)}"
        for name in names
        if name not in ("workload", "arch", "platform", "kernel")
    ]
    return " ".join((*plain, *named)) or str(row.get("kernel", ""))


def _count(row: Row, name: str) -> int:
    value = row.get(f"counts.{name}", 0)
    return int(value) if _is_number(value) else 0


def _sent(row: Row) -> tuple[int, int, int]:
    """Return the fewest, the likely and the most IPIs of a row: timing may decide."""
    ranges = {}
    for remark in str(row.get("remarks", "")).split(" | "):
        if remark.startswith(TIMING_DECIDES):
            for part in remark.removeprefix(TIMING_DECIDES).split(", "):
                name, low, _, high = part.split(" ")
                ranges[name] = int(low), int(high)
    spans = [ranges.get(name, (_count(row, name),) * 2) for name in _IPIS]
    return (
        sum(low for low, _ in spans),
        sum(_count(row, name) for name in _IPIS),
        sum(high for _, high in spans),
    )


def _span(row: Row) -> Span | None:
    found = [row.get(f"times.elapsed_ns.{which}") for which in ("low", "likely", "high")]
    return Span(*map(float, found)) if all(map(_is_number, found)) else None  # type: ignore[arg-type]


def _title(rows: Sequence[Row], varying: Sequence[str]) -> str:
    row = rows[0]
    same = [
        str(row[name]) for name in ("workload", "arch", "platform") if name in row and name not in varying
    ]
    same += [f"{exact(row['cpus'])} CPUs"] if "cpus" in row and "cpus" not in varying else []
    same += [str(row["kernel"])] if "kernel" in row and "kernel" not in varying else []
    return ", ".join(same)


def _table(rows: Sequence[Row], varying: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    shown = [name for name in _PARTS if any(_PARTS[name](row) for row in rows)]
    spans = [_span(row) for row in rows]
    headings = [*map(_short, varying or ["kernel"]), *(shown or ["IPIs"]), "elapsed"]
    cells = [
        [
            *(str(row.get(name, "")) for name in varying or ["kernel"]),
            *([exact(_PARTS[name](row)) for name in shown] or ["0"]),
            "" if span is None else estimate(span),
        ]
        for row, span in zip(rows, spans, strict=True)
    ]
    return headings, cells


@attrs.frozen
class _Curve:
    """One line: its name, and its rows by where they lie."""

    name: str
    at: Sequence[float]
    rows: Sequence[Row]


def _curves(rows: Sequence[Row], varying: Sequence[str], over: str) -> Picture:
    places = [name for name in ("workload", "arch", "platform") if name in varying]
    lines = [name for name in varying if name != over and name not in places]
    panels: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        own = panels.setdefault(_label(row, places) if places else "", {})
        own.setdefault(_label(row, lines) if lines else str(row.get("kernel", "")), []).append(row)
    names = list(dict.fromkeys(name for own in panels.values() for name in own))
    if len(names) > MOST_LINES or len(panels) > MOST_LINES:
        raise ShootdownError(
            f"--plot: {max(len(names), len(panels))} lines over {_short(over)} are more than can be told apart "
            f"({MOST_LINES}): ask for fewer kernels, platforms or values"
        )
    looks = styles(names)
    redundant = any(_count(row, "redundant_sync_ipis") for row in rows)
    timed = any(_span(row) is not None for row in rows)
    kinds = ["sent", *(["redundant"] if redundant else []), *(["time"] if timed else [])]
    title = _title(rows, varying)

    def draw(figure: Any) -> None:
        axes = figure.subplots(len(panels), len(kinds), squeeze=False)
        for line_of_axes, (place, own) in zip(axes, panels.items(), strict=True):
            curves = [_curve(name, found, over) for name, found in own.items()]
            for axis, kind in zip(line_of_axes, kinds, strict=True):
                _DRAWN[kind](axis, curves, looks)
                axis.set_xlabel(_short(over))
                at = sorted({x for curve in curves for x in curve.at})
                if at[0] > 0 and at[-1] / at[0] > 10:
                    axis.set_xscale("log", base=2)
                    axis.set_xticks(at, [f"{x:,g}" for x in at], rotation=45 if len(at) > 6 else 0)
                    axis.minorticks_off()
                elif all(x.is_integer() for x in at):
                    axis.xaxis.get_major_locator().set_params(integer=True)
                if place:
                    axis.set_title(f"{place}: {axis.get_title()}", fontsize="medium")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        figure.suptitle(title)

    headings, table = _table(rows, varying)
    return Picture(title, len(kinds), len(panels), draw, headings, table)


def _curve(name: str, rows: Sequence[Row], over: str) -> _Curve:
    ordered = sorted(rows, key=lambda row: float(row[over]))
    return _Curve(name, [float(row[over]) for row in ordered], ordered)


def _band(
    axis: Any, curve: _Curve, spans: Sequence[tuple[float, float, float]], look: Mapping[str, Any]
) -> None:
    low, likely, high = zip(*spans, strict=True)
    if low != high:
        axis.fill_between(curve.at, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axis.plot(curve.at, low, color=look["color"], linewidth=0.4)
        axis.plot(curve.at, high, color=look["color"], linewidth=0.4)
    axis.plot(curve.at, likely, label=curve.name, **look)


def _draw_sent(axis: Any, curves: Sequence[_Curve], looks: Mapping[str, Any]) -> None:
    for curve in curves:
        _band(axis, curve, [_sent(row) for row in curve.rows], looks[curve.name])
    _counted(axis, "IPIs sent", f"IPIs, {_exactness(row for curve in curves for row in curve.rows)}")


def _draw_redundant(axis: Any, curves: Sequence[_Curve], looks: Mapping[str, Any]) -> None:
    for curve in curves:
        look = dict(looks[curve.name])
        needed = [_PARTS["needed sync IPIs"](row) for row in curve.rows]
        spare = [_PARTS["redundant sync IPIs"](row) for row in curve.rows]
        if any(needed) or any(spare):
            axis.plot(curve.at, needed, **look)
            axis.plot(curve.at, spare, **{**look, "linestyle": ":"}, fillstyle="none")
    rows = (row for curve in curves for row in curve.rows)
    _counted(axis, "needed (full) and redundant (hollow)", f"sync IPIs, {_exactness(rows)}")


def _exactness(rows: Iterable[Row]) -> str:
    """Say whether counts are exact, or those of the likely costs, where timing decides."""
    spans = [_sent(row) for row in rows]
    return "exact" if all(low == high for low, _, high in spans) else "by the likely costs"


def _counted(axis: Any, title: str, unit: str) -> None:
    axis.set_title(title, fontsize="medium", wrap=True)
    axis.set_ylabel(unit)
    axis.set_ylim(bottom=_BELOW * axis.get_ylim()[1])
    grouped_digits(axis.yaxis)


def _draw_time(axis: Any, curves: Sequence[_Curve], looks: Mapping[str, Any]) -> None:
    there = [(curve, [span for row in curve.rows if (span := _span(row)) is not None]) for curve in curves]
    unit, name = unit_of(max((span.likely for _, spans in there for span in spans), default=1.0))
    for curve, spans in there:
        if len(spans) == len(curve.rows):
            scaled = [(one.low / unit, one.likely / unit, one.high / unit) for one in spans]
            _band(axis, curve, scaled, looks[curve.name])
    axis.set_title("elapsed, with its 80 % interval", fontsize="medium")
    axis.set_ylabel(f"{name}, an estimate")
    axis.set_ylim(bottom=_BELOW * axis.get_ylim()[1])


_DRAWN = {"sent": _draw_sent, "redundant": _draw_redundant, "time": _draw_time}


def _bars(rows: Sequence[Row], varying: Sequence[str]) -> Picture:
    if len(rows) > _MOST_BARS:
        raise ShootdownError(
            f"--plot: {len(rows)} bars are more than can be read ({_MOST_BARS}): ask for fewer rows, or for numbers "
            f"of CPUs or of a parameter, over which curves are drawn"
        )
    labels = [_label(row, varying) for row in rows]
    heights = list(range(len(rows)))[::-1]
    spans = [_span(row) for row in rows]
    title = _title(rows, varying)

    def draw(figure: Any) -> None:
        timed = [span for span in spans if span is not None]
        columns = 2 if timed else 1
        axes = figure.subplots(1, columns, squeeze=False, sharey=True)[0]
        parts = _draw_parts(axes[0], rows, heights)
        axes[0].set_yticks(heights, labels)
        axes[0].set_ylim(-0.6, len(rows) - 0.4)
        if timed:
            _draw_spans(axes[1], spans, heights)
        if parts:
            figure.legend(loc="outside lower center", ncols=len(parts))
        figure.suptitle(title)

    headings, table = _table(rows, varying)
    return Picture(title, 2, 1, draw, headings, table, panel=(4.8, 1.6 + 0.3 * len(rows)))


def _draw_parts(axis: Any, rows: Sequence[Row], heights: Sequence[int]) -> list[str]:
    left = [0] * len(rows)
    shown = [name for name in _PARTS if any(_PARTS[name](row) for row in rows)]
    for n, name in enumerate(_PARTS):
        if name not in shown:
            continue
        values = [_PARTS[name](row) for row in rows]
        look = {"color": COLOURS[n], "hatch": HATCHES[n], "edgecolor": "white", "linewidth": 0.5}
        axis.barh(heights, values, left=left, height=0.65, label=name, **look)
        left = [a + b for a, b in zip(left, values, strict=True)]
    most = max(left) or 1
    for height, total in zip(heights, left, strict=True):
        axis.text(total + most * 0.01, height, exact(total), va="center", fontsize="small")
    axis.set_xlim(0, most * 1.25)
    axis.grid(axis="y", visible=False)
    axis.set_title("IPIs by what they are for", fontsize="medium")
    axis.set_xlabel(f"IPIs, {_exactness(rows)}")
    axis.tick_params(axis="x", rotation=20)
    grouped_digits(axis.xaxis)
    return shown


def _draw_spans(axis: Any, spans: Sequence[Span | None], heights: Sequence[int]) -> None:
    unit, name = unit_of(max(span.likely for span in spans if span is not None))
    for height, span in zip(heights, spans, strict=True):
        if span is not None:
            axis.plot(
                [span.low / unit, span.high / unit], [height] * 2, color=COLOURS[0], linewidth=5, alpha=0.35
            )
            axis.plot(span.likely / unit, height, "o", color=COLOURS[0], markersize=5)
    axis.set_title("Elapsed, an estimate: likely, with its 80 % interval", fontsize="medium")
    axis.set_xlabel(name)
    axis.set_xlim(left=0)
    axis.grid(axis="y", visible=False)
