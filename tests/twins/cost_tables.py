"""Writes the tables that a document on costs has between its marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from shootdown._values.platform import COST_NAMES, INCLUDED, Cost, Costs, Platform

BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"
TAKEN_OVER = "estimate: taken over from "


def number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value == round(value) else f"{value:g}"


def tables(platforms: Iterable[Platform]) -> str:
    doc = {field.name: field.metadata["doc"] for field in attrs.fields(Costs)}
    lines = []
    for platform in platforms:
        told = [name for name in COST_NAMES if getattr(platform.costs, name) != INCLUDED]
        own = [name for name in told if not getattr(platform.costs, name).source.startswith(TAKEN_OVER)]
        parents = {
            getattr(platform.costs, name).source.removeprefix(TAKEN_OVER) for name in told if name not in own
        }
        lines += [f"### {platform.name}", "", f"{platform.summary}.", ""]
        if parents:
            lines += [f"As `{', '.join(sorted(parents))}`{' but for:' if own else '.'}", ""]
        if own:
            lines += ["| cost | what | low | likely | high | source |", "|---|---|---:|---:|---:|---|"]
        for name in own:
            cost: Cost = getattr(platform.costs, name)
            range_ = " | ".join(number(value) for value in (cost.low, cost.likely, cost.high))
            lines.append(f"| `{name}` | {doc[name]} | {range_} | {cost.source} |")
        if own:
            lines.append("")
    return "\n".join(lines)


def listed(document: Path) -> str:
    text = document.read_text(encoding="utf-8")
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def write(document: Path, platforms: Iterable[Platform]) -> None:
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    document.write_text(before + BEGIN + tables(platforms) + END + rest.partition(END)[2], encoding="utf-8")
