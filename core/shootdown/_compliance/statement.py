"""What the compliance suite is made of: numbered statements, and what checking one says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

Word = Literal["shown", "finding", "unevidenced", "not applicable", "interrupted"]


@attrs.frozen
class Finding:
    """A mistake.

    Args:
        message: names the thing (a format, platform, kernel or field of the plugin), what is wrong with it, and what
            would be right.
    """

    message: str


@attrs.frozen
class Unevidenced:
    """Something that may be right, for which the plugin gives no evidence.

    Args:
        message: names the thing, and what evidence is missing.
    """

    message: str


@attrs.frozen
class Tried:
    """Something that was tried out. A statement is shown only if something was.

    Args:
        count: how many.
        what: in the plural, such as `walks of random trees`; counts of the same words are added up.
    """

    count: int
    what: str


Said = Finding | Unevidenced | Tried
About = Literal["architecture", "additions"]

#: What a plugin may lack: returns why it does, or None where it has it.
Capability = Callable[[Any], "str | None"]


@attrs.frozen
class Statement:
    """One numbered statement about a plugin.

    Args:
        number: section and place in it: `1.3`.
        title: what holds, as a sentence without its full stop.
        reason: why it matters, in a sentence or two.
        todo: what an author does about a finding.
        check: yields what it finds, and what it tried. An exception that it raises is a finding too.
        needs: what a plugin must have for the statement to apply.
        about: what is checked: an architecture on its platforms (a `Subject`), or what a plugin offers besides
            (`Additions`).
    """

    number: str
    title: str
    reason: str
    todo: str
    check: Callable[[Any], Iterator[Said]]
    needs: tuple[Capability, ...] = ()
    about: About = "architecture"

    @property
    def section(self) -> str:
        """The number of its section."""
        return self.number.partition(".")[0]

    @property
    def key(self) -> tuple[int, ...]:
        """The number as integers that compare."""
        return tuple(int(part) for part in self.number.split("."))


@attrs.frozen
class Outcome:
    """What checking one statement said.

    Args:
        statement: the statement.
        findings: the mistakes, each named.
        unevidenced: what has no evidence.
        tried: what was tried, and how many of each.
        why: why it does not apply, or how far it came before it was interrupted; empty otherwise.
        interrupted: it did not end.
        seconds: how long it took.
    """

    statement: Statement
    findings: tuple[str, ...] = ()
    unevidenced: tuple[str, ...] = ()
    tried: tuple[tuple[str, int], ...] = ()
    why: str = ""
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def word(self) -> Word:
        """The outcome in a word; a finding outweighs everything else."""
        if self.findings:
            return "finding"
        if self.interrupted:
            return "interrupted"
        if self.unevidenced:
            return "unevidenced"
        return "shown" if any(count for _, count in self.tried) else "not applicable"

    @property
    def tried_in_words(self) -> str:
        """What was tried, such as `4 formats, 1,200 walks`."""
        return ", ".join(f"{count:,} {what}" for what, count in self.tried)
