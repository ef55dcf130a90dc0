"""What a hunt has found: each bug with its smallest program and its cause, and how much was tried."""

from __future__ import annotations

from typing import Any

import attrs

from shootdown._programs.sketch import Sketch
from shootdown._questions.explore import Verdict
from shootdown._questions.hunt_ground import Fix, Ground


@attrs.frozen
class Finding:
    """A bug that a hunt found.

    Args:
        bug: its name, from the invariant and the program.
        arch, platform, kernel: where.
        invariant: what breaks.
        sketch: the smallest program.
        fixed_by: the fewest commits or switches that make it go away; none if it is not understood.
        since: the first mainline release with it; None if that is not known.
        platforms: those of the architecture that have it.
        programs: how many of the programs tried broke for this reason.
        after: how many programs had been tried when the first of them was, and the seconds by then.
        verdict: of the program, with its story.
        ground: where, with the fixes of earlier finds.
        expected: why the architecture's plugin expects it; empty if it does not.
    """

    bug: str
    arch: str
    platform: str
    kernel: str
    invariant: str
    sketch: Sketch
    fixed_by: tuple[Fix, ...]
    since: str | None
    platforms: tuple[str, ...]
    programs: int
    after: tuple[int, float]
    verdict: Verdict
    ground: Ground = attrs.field(repr=False)
    expected: str = ""

    @property
    def command(self) -> str:
        """The options with which `explore` finds it: the fixes of earlier finds are turned on."""
        ground = self.ground
        words = [f"--arch {ground.arch}", f"--platform {ground.platform}", f"--kernel {ground.kernel}"]
        words += [f"--set {text}" for text in ground.settings_with_fixes()]
        words += [f"--patch {ground.patch}"] if ground.patch is not None else []
        return " ".join(words)

    @property
    def explained(self) -> bool:
        """Whether it is understood: a commit closes it, the question made it, a page explains it, or it is expected."""
        return bool(self.expected) or self._is_closed

    @property
    def _is_closed(self) -> bool:
        return bool(self.fixed_by) and all(fix.origin != "guess" for fix in self.fixed_by)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return {
            "bug": self.bug,
            "arch": self.arch,
            "platform": self.platform,
            "kernel": self.kernel,
            "invariant": self.invariant,
            "sentence": self.verdict.story.sentence if self.verdict.story else None,
            "program": self.sketch.tables(),
            "calls": self.sketch.said,
            "explore": self.command,
            "explained": self.explained,
            "expected": self.expected or None,
            "fixed_by": [fix.name for fix in self.fixed_by],
            "since": self.since,
            "platforms": list(self.platforms),
            "programs": self.programs,
            "found_after": {"programs": self.after[0], "seconds": round(self.after[1], 2)},
            "depth": self.verdict.depth,
            "story": self.verdict.story.to_list() if self.verdict.story else [],
        }


@attrs.define
class Hunted:
    """What a hunt has found so far.

    Args:
        findings: in the order in which they were found.
        programs: how many programs were explored; of equal machines one.
        preempted: how many of them were explored once more, with tasks that are preempted while a flush waits.
        equal: how many had a machine that had been explored before.
        inconclusive: how many had too many states.
        states: found in all searches.
        seconds: that it took.
        interrupted: somebody ended it.
        remarks: what a reader must know: functions of the patch that no program calls.
    """

    findings: list[Finding] = attrs.field(factory=list)
    programs: int = 0
    preempted: int = 0
    equal: int = 0
    inconclusive: int = 0
    states: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "programs": self.programs,
            "preempted": self.preempted,
            "equal": self.equal,
            "inconclusive": self.inconclusive,
            "states": self.states,
            "seconds": round(self.seconds, 2),
            "interrupted": self.interrupted,
            "remarks": list(self.remarks),
        }
