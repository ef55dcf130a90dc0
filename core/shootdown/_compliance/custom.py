"""Section 1, custom formats: a walk that a plugin wrote, twice, and what examples say of it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from shootdown._compliance import capabilities
from shootdown._compliance.examples import named
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject
from shootdown._pagetables.format import EVERY_ACCESS, Access, CustomFormat, Reason, Settings, WalkExample
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walk_steps import trace
from shootdown._pagetables.walker import Walker

_MEMORY = 1 << 27


def _custom_walks_agree(subject: Subject) -> Iterator[Said]:
    for format_ in subject.custom_formats:
        title = f"{subject.plugin}: format {format_.name}"
        for example in format_.examples:
            settings = format_.settings(**dict(example.settings))
            memory = _memory(example)
            access = Access(example.access, example.user)
            for which, pa in _both(format_, memory, example.root, example.va, access, settings):
                if pa != example.pa:
                    yield Finding(
                        f"{title}: {named(example)}: translates to {_text(example.pa)}; "
                        f"{which} says {_text(pa)}"
                    )
            yield Tried(1, "examples")
        if not format_.examples:
            yield Unevidenced(
                f"{title} has no examples: type walks from a manual or a dump (CustomFormat.examples)"
            )
        yield from _at_random(subject, format_, title)


def _at_random(subject: Subject, format_: CustomFormat, title: str) -> Iterator[Said]:
    """Walk the examples' tables with bits turned over, and addresses near theirs."""
    rng = random.Random(f"{subject.seed} {format_.name}")
    nothing = WalkExample({}, 0x10_0000, 0, None, "empty memory")
    count = subject.sample(40)
    for _ in range(count):
        example = rng.choice(format_.examples) if format_.examples else nothing
        settings = format_.settings(**dict(example.settings))
        memory = _memory(example, rng)
        va = (example.va ^ rng.getrandbits(rng.choice((1, 12, 20, 40, 64)))) & (1 << 64) - 1
        access = rng.choice(EVERY_ACCESS)
        slow = trace(format_, memory, example.root, va, access, settings)
        fast = Walker(format_, memory, settings).walk(example.root, va, access)
        said = (slow.reason, slow.pa, slow.attributes if slow.pa is not None else None)
        pa = int(fast.pa) if Reason(fast.reason) is Reason.OK else None
        got = (Reason(fast.reason), pa, format_.held(fast.rights) if pa is not None else None)
        if got != said:
            yield Finding(
                f"{title}: {access.kind} of {va:#x}: walk() says {_said(*got)}, steps() "
                f"{_said(*said)}, on tables with bits "
                "turned over"
            )
    yield Tried(count, "walks by both of its walks")


def _said(reason: Reason, pa: int | None, held: frozenset[str] | None) -> str:
    return reason.text if pa is None else f"{pa:#x} with {', '.join(sorted(held or ())) or 'no attribute'}"


def _text(pa: int | None) -> str:
    return "a fault" if pa is None else f"{pa:#x}"


def _memory(example: WalkExample, rng: random.Random | None = None) -> PhysicalMemory:
    """Return memory with an example's bytes, some of whose bits are turned over."""
    memory = PhysicalMemory(window_bytes=_MEMORY)
    for address, data in example.memory:
        content = bytearray(data)
        if rng is not None and content and rng.random() < 0.6:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        memory.write(address, bytes(content))
    return memory


def _both(
    format_: CustomFormat, memory: PhysicalMemory, root: int, va: int, access: Access, settings: Settings
) -> Iterator[tuple[str, int | None]]:
    yield "steps()", trace(format_, memory, root, va, access, settings).pa
    found = Walker(format_, memory, settings).walk(root, va, access)
    yield "walk()", int(found.pa) if Reason(found.reason) is Reason.OK else None


def _has_custom_formats(subject: Subject) -> str | None:
    return capabilities.any_format(subject) or (
        None if subject.custom_formats else "it has no format with a walk of its own"
    )


STATEMENTS = (
    Statement(
        "1.12",
        "Both walks of a custom format find the same, and what its examples say",
        "`walk` is compiled and `steps` is read by people: two pieces of code for one rule of a manual.",
        "Compare the two where the message points to; if both contradict an example, look it up where it is from.",
        _custom_walks_agree,
        (_has_custom_formats,),
    ),
)
