"""Findings that an author expects: they are set aside, and missed where they do not come."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance.lowered import Flush
from shootdown._compliance.statement import Finding, Said, Tried
from shootdown._compliance.subject import Subject


class Expectations:
    """What an architecture's author expects a statement to find, and what of it came.

    Args:
        subject: whose.
        statement: the statement's number.
    """

    def __init__(self, subject: Subject, statement: str) -> None:
        self._subject = subject
        self._statement = statement
        self._all = [one for one in subject.architecture.expected if statement in one.statements]
        self._came: set[int] = set()
        self._told: set[tuple[str, str]] = set()
        self._kinds: dict[str, set[str]] = {}

    def found(self, flush: Flush, text: str) -> Iterator[Said]:
        """Yield a finding about a flush, unless it is expected or was told of another kernel or platform already."""
        for number, one in enumerate(self._all):
            if one.about in ("", flush.request.method) and one.when(
                flush.lowering.kernel, flush.lowering.platform
            ):
                self._came.add(number)
                return
        if (flush.request.name, flush.where) in self._told:
            return
        self._told.add((flush.request.name, flush.where))
        there = self._kinds.setdefault(flush.request.name, set())
        there.add(flush.where)
        if len(there) == 1:
            yield Finding(f"{self._subject.plugin}: {flush.where}: {flush.request.name}: {text}")

    def bug(self, about: str, kernel: object, platform: object, message: str) -> Iterator[Said]:
        """Yield a finding about something named, unless it is expected."""
        for number, one in enumerate(self._all):
            if one.about in ("", about) and one.when(kernel, platform):
                self._came.add(number)
                return
        yield Finding(message)

    def missing(self) -> Iterator[Said]:
        """Yield a finding for each expectation that nothing came of, and count the others."""
        for number, one in enumerate(self._all):
            if number not in self._came:
                what = f" of {one.about}" if one.about else ""
                yield Finding(
                    f"{self._subject.plugin}: a finding{what} of statement {self._statement} is expected "
                    f"({one.why}), and none was found: change `expected`, or mend what should show it"
                )
        if self._came:
            yield Tried(len(self._came), "expected findings, which came")
