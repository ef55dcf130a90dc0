"""What a result rests on: estimates, what-ifs, remarks, changes that were left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._report.document import Block, Facts, Heading, Table
from shootdown._values.errors import ShootdownError
from shootdown._values.left_out import LEFT_OUT
from shootdown._values.platform import Costs
from shootdown._values.series import Release, parse_release

#: Where the documentation is read.
DOCS = "docs/reference"
_ESTIMATE = "estimate:"


def assumptions(
    rows: Iterable[Mapping[str, Any]],
    *,
    timed: bool,
    remarks: Sequence[str] = (),
    kernels: Sequence[str] = (),
) -> Iterator[Block]:
    """Yield the part of a report that says what it rests on.

    Args:
        rows: with `arch`, `platform`, `set` and perhaps `patch` and `remarks`, as JSON has them.
        timed: whether there are times.
        remarks: more of them.
        kernels: the releases that it is about.
    """
    found = list(rows)
    facts = list(_facts(found, timed))
    facts += [remark for remark in dict.fromkeys((*remarks, *_remarks(found))) if remark]
    facts.append(f"What is modelled, and what is not: {DOCS}/model.md.")
    yield Heading("What this rests on")
    yield Facts(facts)
    names = dict.fromkeys((*kernels, *(str(row["kernel"]) for row in found if "kernel" in row)))
    left = _left_out(list(names), {str(row["arch"]) for row in found if row.get("arch")})
    if left:
        yield Heading(
            "Changes that these releases have, that were read, and that move no switch of the model"
        )
        yield Table(("commit", "change", "first in", "why it is left out"), left)


def _facts(rows: Sequence[Mapping[str, Any]], timed: bool) -> Iterator[str]:
    for row in rows:
        if row.get("patch"):
            yield f"Patched: {_text_of_patch(row['patch'])}; no released kernel is like that."
            break
    for name, value in {pair: None for row in rows for pair in dict(row.get("set") or {}).items()}:
        yield f"What if: --set {name}={value}; no kernel or platform is like that by itself."
    if timed:
        yield "Counts are exact for the program as it is written, except where a remark says that timing decides."
        yield "Times are estimates: likely, and what 80 % of the draws of all costs from their ranges lie within."
        yield from _of_costs({(str(row["arch"]), str(row["platform"])) for row in rows})
    else:
        yield "SAFE is said only of the orders of steps that the search reached; a bug has its story."


def _text_of_patch(patch: Any) -> str:
    return str(patch.get("file") or patch.get("name")) if isinstance(patch, Mapping) else str(patch)


def _remarks(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        where = " ".join(str(row[name]) for name in ("platform", "kernel", "first") if row.get(name))
        for remark in row.get("remarks") or ():
            yield f"{where}: {remark}" if where else str(remark)


def _of_costs(platforms: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say how many costs of a platform have a published source."""
    for arch, name in sorted(platforms):
        try:
            found = registry().architecture(arch)
            platform = next(one for one in found.platforms if one.name == name)
        except (ShootdownError, StopIteration):
            yield f"{name}: no platform that is installed here; where its costs are from can't be said."
            continue
        sources = [getattr(platform.costs, field.name).source for field in attrs.fields(Costs)]
        guessed = sum(source.startswith(_ESTIMATE) for source in sources)
        yield (
            f"{arch} {name}: {len(sources) - guessed} of {len(sources)} costs are from published measurements, "
            f"{guessed} are estimates; each with its source in {DOCS}/costs*.md."
        )


def _left_out(kernels: Sequence[str], archs: Collection[str]) -> list[list[str]]:
    """Return a row for each change of these releases; without those of architectures that are not asked about."""
    releases = [found for name in kernels if (found := _release(name)) is not None]
    others = set(registry().architectures()) - set(archs) if archs else set()
    return [
        [one.commit or "not found", one.subject, one.first, one.why]
        for one in LEFT_OUT
        # A subject begins with the part of the kernel that it is about: `riscv: ...`, `x86/mm: ...`, `arm64 mm: ...`.
        if re.split("[/: ]", one.subject, maxsplit=1)[0] not in others
        and any(_has(release, one.first) for release in releases)
    ]


def _release(name: str) -> Release | None:
    try:
        return parse_release(name.partition("+")[0])[0]
    except ShootdownError:
        return None


def _has(release: Release, first: str) -> bool:
    """Whether a release has a change, by the releases that first had it."""
    points = {}
    for word in first.partition(";")[0].replace(" or earlier", "").split(", "):
        found = _release(word)
        if found is not None:
            points[found.key] = found.point
    if release.key in points:
        return release.point >= points[release.key]
    # What is named with point releases alone is a backport: whether other series have it is not said.
    return any(release.key > key for key, point in points.items() if point == 0)
