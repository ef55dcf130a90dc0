"""What a hunt found, as text, and as program files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from shootdown._report.lanes import story_lines
from shootdown._values.outputs import replacing

if TYPE_CHECKING:
    from shootdown._questions.hunt_finds import Finding, Hunted

_INDENT = "  "


def finding_lines(finding: Finding, width: int) -> Iterator[str]:
    """Write a finding: what breaks, since when, what makes it go away, and its story."""
    verdict = finding.verdict
    yield f"{finding.sketch.said}: BUG on {finding.arch} {finding.platform}, kernel {finding.kernel}"
    sentence = verdict.story.sentence if verdict.story is not None else ""
    yield from _wrapped(f"{finding.invariant}: {sentence}" if sentence else finding.invariant, width)
    yield from _wrapped(_because(finding), width)
    for fix in finding.fixed_by:
        if fix.says:
            yield from _wrapped(f"{fix.name}: {fix.says}", width)
    if finding.since is not None:
        yield from _wrapped(f"since {finding.since}, or before the releases that are known", width)
    yield from _wrapped(f"on {', '.join(finding.platforms)}", width)
    many = f"{finding.programs:,} program{'s' if finding.programs > 1 else ''}"
    after, seconds = finding.after
    yield from _wrapped(
        f"{many} of those tried broke so, the first as number {after:,} after {seconds:.1f} s", width
    )
    if verdict.story is not None:
        yield ""
        yield from story_lines(verdict.story, width)


def _because(finding: Finding) -> str:
    if finding.expected:
        return f"expected of {finding.arch}: {finding.expected}"
    names = " and ".join(fix.name for fix in finding.fixed_by)
    if not finding.fixed_by:
        return "UNEXPLAINED: no commit and no switch makes it go away"
    if not finding.explained:
        return f"UNEXPLAINED: no commit makes it go away; {names} does"
    return f"{names} make{'' if len(finding.fixed_by) > 1 else 's'} it go away"


def summary_lines(done: Sequence[Hunted], width: int) -> Iterator[str]:
    """Write how much was tried."""
    programs, equal, late = (
        sum(getattr(one, name) for one in done) for name in ("programs", "equal", "inconclusive")
    )
    states, seconds = sum(one.states for one in done), sum(one.seconds for one in done)
    found = sum(len(one.findings) for one in done)
    text = (
        f"{found} bug{'s' if found != 1 else ''}: {programs:,} programs, {states:,} states, {seconds:.1f} s; "
        f"{equal:,} more had equal machines"
    )
    if preempted := sum(one.preempted for one in done):
        text += f"; {preempted:,} again, with tasks preempted while a flush waits"
    if late:
        text += f"; {late:,} had too many states"
    yield from wrap(text, width, subsequent_indent=_INDENT)
    for remark in dict.fromkeys(remark for one in done for remark in one.remarks):
        yield from wrap(remark, width, subsequent_indent=_INDENT)


def write_programs(folder: Path, findings: Sequence[Finding]) -> list[str]:
    """Write each finding as a program file that `explore` runs, and return the names of the files."""
    os.makedirs(folder, exist_ok=True)
    names: list[str] = []
    for number, finding in enumerate(findings, 1):
        words = re.sub(r"[^a-z]+", "-", finding.sketch.said.lower().replace("heap", "")).strip("-")
        name = f"{number:02}-{finding.invariant}-{words}"[:60].strip("-") + ".toml"
        path = os.path.join(folder, name)
        with replacing(Path(path)) as stream:
            stream.write(
                finding.sketch.toml(
                    f"{finding.invariant} on {finding.arch} {finding.platform}, kernel {finding.kernel}",
                    _because(finding),
                    f"shootdown explore {name} {finding.command}",
                )
            )
        names.append(path)
    return names


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT * 2, break_on_hyphens=False)
