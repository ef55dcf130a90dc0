"""Section 10: what a plugin says is not there is refused, and with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shootdown._compliance import capabilities
from shootdown._compliance.lowered import machines
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject, where
from shootdown._plugins.registry import registry
from shootdown._porting.geometry import sized
from shootdown._questions.case import Question, prepare
from shootdown._values.errors import ShootdownError
from shootdown._values.flushes import AUTO
from shootdown._values.lowering import Lowering

#: What a lowering can say is not there, and a question that needs it: `workload` or `scenario`, its name, parameters.
_QUESTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no_thp": ("workload", "anonymous", {"kind": "thp"}),
    "no_pmd_sharing": ("workload", "hugetlb-munmap", {}),
    "no_hardware_dirty": ("scenario", "dirty-bit-lost", {}),
    "no_break_before_make": ("scenario", "break-before-make", {}),
}
_SAID = (*_QUESTIONS, "no_contiguous_entries", "no_hash_table", "no_hardware_walker", "no_kernel_ranges")


def _reasons_are_sentences(subject: Subject) -> Iterator[Said]:
    count = 0
    for kernel, platform, lowering in subject.lowerings():
        for name in _SAID:
            count += 1
            answer = getattr(lowering, name)()
            if answer is not None and (not isinstance(answer, str) or not answer.strip()):
                yield Finding(
                    f"{subject.plugin}: {where(kernel, platform)}: {name}() returns {answer!r:.40}; "
                    "it returns None where "
                    "there is such a thing, else the reason in words"
                )
            elif getattr(lowering, name)() != answer:
                yield Finding(
                    f"{subject.plugin}: {where(kernel, platform)}: {name}() says something else when it is asked again"
                )
    yield Tried(count, "answers")


def _what_is_absent_is_refused(subject: Subject) -> Iterator[Said]:
    architecture, kernel = subject.architecture, subject.newest
    assert architecture.lower is not None
    for platform in subject.platforms:
        lowering: Lowering = architecture.lower(kernel, sized(platform, kernel.page_size))
        for name, (kind, program, parameters) in _QUESTIONS.items():
            found: Any = getattr(registry(), kind)(program)
            question: Question[Any] = Question(found, architecture, platform, kernel.name, parameters)
            try:
                refused = prepare(question).refusal()
            except ShootdownError as error:
                refused = str(error)
            reason = getattr(lowering, name)()
            title = f"{subject.plugin}: {where(kernel, platform)}: {program}"
            if reason is not None and reason != refused:
                said = "is answered" if refused is None else f"is refused because {refused!r}"
                yield Finding(f"{title} {said}; {name}() says {reason!r}")
            yield Tried(1, "questions")


def _unlisted_ways_are_refused(subject: Subject) -> Iterator[Said]:
    architecture, kernel = subject.architecture, subject.newest
    assert architecture.lower is not None
    listed = {AUTO, *(way.name for way in architecture.flush_ways)}
    program = registry().workload("anonymous")
    for platform in subject.platforms:
        question: Question[Any] = Question(
            program, architecture, platform, kernel.name, {}, ("platform.flush=pigeon",)
        )
        try:
            prepare(question)
            yield Finding(
                f"{subject.plugin}: {where(kernel, platform)}: platform.flush=pigeon is accepted; "
                f"there is {', '.join(listed)}"
            )
        except ShootdownError:
            yield Tried(1, "ways of flushing")
    for way in architecture.flush_ways:
        if not way.doc.strip():
            yield Finding(
                f"{subject.plugin}: the way of flushing {way.name} has no sentence that says how it flushes"
            )

    for one, other in _same_ways(subject):
        yield Finding(
            f"{subject.plugin}: the way of flushing {one} flushes as {other} does, on every kernel and platform: "
            "nothing looks at it"
        )


def _same_ways(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield ways of flushing that are written in the same steps as another one wherever they can be forced."""
    steps: dict[str, dict[tuple[str, str], int]] = {way.name: {} for way in subject.architecture.flush_ways}
    for number, machine in enumerate(machines(subject)[0]):
        for _, kernel, platform in machine.alike:
            if platform.flush in steps:
                steps[platform.flush][kernel.name, platform.name] = number
    for n, (way, there) in enumerate(steps.items()):
        for other, its in list(steps.items())[:n]:
            if there and there.items() <= its.items():
                yield way, other


def _dirty_bits_lie_in_a_format(subject: Subject) -> Iterator[Said]:
    used = [form.used for form in subject.formats if form.used is not None]
    there = any(flags.dirty_set or flags.dirty_clear for flags in used)
    count = 0
    for kernel, platform, lowering in subject.lowerings():
        count += 1
        if lowering.no_hardware_dirty() is None and not there:
            yield Finding(
                f"{subject.plugin}: {where(kernel, platform)}: hardware sets dirty bits, says no_hardware_dirty(), and "
                f"no format has any: {', '.join(form.name for form in subject.formats)}"
            )
    yield Tried(count, "answers")


def _has_kernels(subject: Subject) -> str | None:
    return capabilities.flushes(subject) or (None if subject.kernels else "no release resolves")


STATEMENTS = (
    Statement(
        "10.1",
        "A lowering gives a reason in words for each thing that is not there",
        "The reason is what a row says in place of counts.",
        "Return None or a sentence from `no_thp()` and its like; True and an empty text are neither.",
        _reasons_are_sentences,
        (capabilities.flushes,),
    ),
    Statement(
        "10.2",
        "A question about what is not there is refused with that reason",
        "An answer about THPs, shared tables or hardware dirty bits that the architecture lacks would be made up.",
        "This is decided from what the lowering says: let it say the same each time.",
        _what_is_absent_is_refused,
        (_has_kernels,),
    ),
    Statement(
        "10.3",
        "A way of flushing that is not listed is refused, and each that is has a sentence and steps of its own",
        "`--set platform.flush=` must not take a word that changes nothing.",
        "List in `flush_ways` what `lower` knows, and nothing else.",
        _unlisted_ways_are_refused,
        (_has_kernels,),
    ),
    Statement(
        "10.4",
        "Hardware that sets dirty bits has them in a format",
        "A scenario in which a walker sets a bit that no entry has says BUG, or SAFE, of another machine.",
        "Name the bits in `Format.used`, or say in `no_hardware_dirty()` who sets them instead.",
        _dirty_bits_lie_in_a_format,
        (capabilities.flushes, capabilities.formats),
    ),
)
