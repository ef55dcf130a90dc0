"""Section 1, evidence: examples typed from manuals and dumps."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance import capabilities
from shootdown._compliance.examples import disagreements, named
from shootdown._compliance.formats import title_of
from shootdown._compliance.otherwise import unshown
from shootdown._compliance.sources import names_source
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject


def _examples_agree(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        if not names_source(format_.source):
            yield Unevidenced(f"{title_of(subject, format_)} names no manual (Format.source)")
        for example in format_.examples:
            for wrong in disagreements(format_, example):
                yield Finding(f"{title_of(subject, format_)}: {named(example)}: {wrong}")
            if not names_source(example.source):
                yield Unevidenced(f"{title_of(subject, format_)}: {named(example)} names no source")
        if not format_.examples:
            yield Unevidenced(
                f"{title_of(subject, format_)} has no examples: type some from a manual's table or a "
                "dump (Format.examples)"
            )
            continue
        yield Tried(len(format_.examples), "examples")
        missing = unshown(format_)
        if missing:
            yield Unevidenced(f"{title_of(subject, format_)}: no example shows {'; '.join(missing)}")


STATEMENTS = (
    Statement(
        "1.11",
        "Examples from a manual or a dump mean what the format says, and show each of its parts",
        "A format that is wrong and consistent passes everything else: only what others wrote down "
        "can contradict it.",
        "If an example is wrong, so is the format or the example: look it up where the example is "
        "from. What no example "
        "shows is listed: add an entry, by level, that would mean something else if that part was otherwise.",
        _examples_agree,
        (capabilities.formats,),
    ),
)
