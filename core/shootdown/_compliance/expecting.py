"""Findings that an author expects: they are set aside, and missed where they do not come."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance.lowered import Flush
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._values.errors import nearest
from shootdown._values.kernel import Kernel
from shootdown._values.platform import Platform


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
        #: By expectation, the kernels of which something came.
        self._came: dict[int, set[Kernel]] = {}
        self._told: set[str] = set()
        #: Where a flush is not expected to be wrong.
        self._places: dict[Flush, str | None] = {}

    def found(self, flush: Flush, text: str) -> Iterator[Said]:
        """Yield a finding about a flush, unless it is expected wherever that is written, or its kind was told."""
        if flush not in self._places:
            self._places[flush] = self._unexpected(flush)
        there = self._places[flush]
        if there is not None and flush.request.name not in self._told:
            self._told.add(flush.request.name)
            yield Finding(f"{self._subject.plugin}: {there}: {flush.request.name}: {text}")

    def _unexpected(self, flush: Flush) -> str | None:
        """Return the first kernel on a platform with this flush on which nothing is expected; None if there is none."""
        found = None
        for there, kernel, platform in flush.alike:
            if not self._is_expected(flush.request.method, kernel, platform) and found is None:
                found = there
        return found

    def _is_expected(self, about: str, kernel: Kernel, platform: Platform) -> bool:
        for number, one in enumerate(self._all):
            if one.about in ("", about) and one.when(kernel, platform):
                self._came.setdefault(number, set()).add(kernel)
                return True
        return False

    def bug(self, about: str, kernel: Kernel, platform: Platform, message: str) -> Iterator[Said]:
        """Yield a finding about something named, unless it is expected."""
        if not self._is_expected(about, kernel, platform):
            yield Finding(message)

    def missing(self) -> Iterator[Said]:
        """Yield a finding for each expectation that nothing came of, on all kernels or on some, and count the others.

        Which kernels are looked at is known of flushes alone.
        """
        for number, one in enumerate(self._all):
            if number not in self._came:
                what = f" of {one.about}" if one.about else ""
                yield Finding(
                    f"{self._subject.plugin}: a finding{what} of statement {self._statement} is expected "
                    f"({one.why}), and none was found: change `expected`, or mend what should show it"
                )
            elif self._places and (silent := self._without(number)):
                yield Finding(
                    f"{self._subject.plugin}: a finding of statement {self._statement} is expected on kernel "
                    f"{silent.name} too ({one.why}), and none was found there: let `when` say on which kernels"
                )
        if self._came:
            yield Tried(len(self._came), "expected findings, which came")

    def _without(self, number: int) -> Kernel | None:
        """Return the first kernel on which something is expected and nothing came."""
        return next(
            (
                kernel
                for kernel in self._subject.kernels
                if kernel not in self._came[number]
                and any(self._all[number].when(kernel, platform) for platform in self._subject.platforms)
            ),
            None,
        )


def _statements_exist(subject: Subject) -> Iterator[Said]:
    from shootdown._compliance.registry import statements

    known = [one.number for one in statements()]
    for one in subject.architecture.expected:
        title = f"{subject.plugin}: the expected finding ({one.why})"
        if not one.statements:
            yield Finding(f"{title} names no statement, so that nothing has to find it")
        for number in one.statements:
            if number not in known:
                yield Finding(f"{title} names {number!r}, which is no statement; {nearest(number, known)}")
    yield Tried(len(subject.architecture.expected), "expected findings")


STATEMENTS = (
    Statement(
        "0.2",
        "What the author expects to be found names statements that there are",
        "A finding that is expected of no statement is looked for by nobody.",
        "Give the numbers of the statements that find it; this page has them.",
        _statements_exist,
        (lambda subject: None if subject.architecture.expected else "its author expects no finding",),
    ),
)
