"""A picture of a timeline: what each CPU does from when to when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shootdown._report.plotting import COLOURS, Picture, unit_of

#: Colour and hatch of a kind of event, and what it is called.
_KINDS = {
    "step": (COLOURS[5], "", "kernel and user steps"),
    "wait": (COLOURS[4], "...", "waits for answers"),
    "interrupt": (COLOURS[1], "///", "interrupts"),
}
#: More than these are not seen: the first events, and the CPUs that have most.
_MOST_EVENTS, _MOST_CPUS = 4000, 32
#: The least share of the whole time that is shown.
_LEAST_SHARE = 0.005


def picture_of_events(events: Sequence[Mapping[str, Any]]) -> Picture:
    """Return the picture of events as `explain --events --json` has them; of many, the first."""
    shown = events[:_MOST_EVENTS]
    busy: dict[int, int] = {}
    for event in shown:
        busy[event["cpu"]] = busy.get(event["cpu"], 0) + 1
    cpus = sorted(sorted(busy, key=lambda cpu: -busy[cpu])[:_MOST_CPUS])
    unit, name = unit_of(max(event["end_ns"] for event in shown))
    begin, end = _window(shown)
    heights = {cpu: len(cpus) - 1 - n for n, cpu in enumerate(cpus)}
    title = "What each CPU does" + (
        f", the first {len(shown):,} of {len(events):,} events" if len(shown) < len(events) else ""
    )

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for kind, (colour, hatch, words) in _KINDS.items():
            for cpu in cpus:
                spans = [
                    (event["begin_ns"] / unit, (event["end_ns"] - event["begin_ns"]) / unit)
                    for event in shown
                    if event["cpu"] == cpu and event["kind"] == kind
                ]
                axis.broken_barh(
                    spans, (heights[cpu] - 0.35, 0.7), facecolor=colour, hatch=hatch, edgecolor="white",
                    linewidth=0.2, label=words if cpu == cpus[0] else None,
                )  # fmt: skip
        axis.set_yticks(list(heights.values()), [f"CPU {cpu}" for cpu in cpus])
        axis.set_xlabel(f"{name}, an estimate")
        axis.set_xlim(begin / unit, end / unit)
        axis.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle(title)

    return Picture(title, 1, 1, draw, panel=(10, 1.4 + 0.28 * len(cpus)))


def _window(events: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return from when to when: all of it, or a while around the interrupts where they take a small part of it."""
    last = max(event["end_ns"] for event in events)
    hit = [event for event in events if event["kind"] == "interrupt"]
    if not hit:
        return 0.0, last
    first, end = min(event["begin_ns"] for event in hit), max(event["end_ns"] for event in hit)
    around = max(end - first, last * _LEAST_SHARE)
    return max(first - 2 * around, 0.0), min(end + around, last)
