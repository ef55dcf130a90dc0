"""Section 8: what is asked twice is answered alike, to the byte."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from shootdown._compliance import capabilities
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject, where
from shootdown._machine.assembler import Assembler
from shootdown._machine.fields import Fields
from shootdown._plugins import files
from shootdown._plugins.registry import registry
from shootdown._porting.geometry import sized
from shootdown._questions.case import Question, prepare
from shootdown._questions.compare import run_cases
from shootdown._values.errors import ShootdownError
from shootdown._values.releases import resolve, starts_later
from shootdown._values.series import newest_known
from shootdown._values.workload import Workload

#: What is written twice: of short checks, the first three.
_WRITTEN = (
    "tlb_flush",
    "flush_page",
    "flush_collapsed_pmd",
    "flush_range",
    "flush_mm",
    "flush_pmd_range",
    "flush_hugetlb_range",
    "arch_tlbbatch_flush",
)
#: By which other processes hash texts: the order of a small set is the same by chance.
_HASH_SEEDS = (1, 2)
#: On how many platforms flushes are compared with those of other processes, of short checks.
_PLATFORMS = 2
#: Small programs, and their parameters: one that is random by its seed, and one that unshares tables.
_PROGRAMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("anonymous", {"threads": 3, "pages": 5, "op": "madv_dontneed"}),
    ("hugetlb-munmap", {"tables": 2}),
)


def _kernels_are_the_same(subject: Subject) -> Iterator[Said]:
    for name in subject.releases:
        try:
            one, other = resolve(name, subject.architecture), resolve(name, subject.architecture)
        except Exception:
            continue
        if one != other:
            yield Finding(f"{subject.plugin}: kernel {name} is another one when it is resolved again")
    yield Tried(len(subject.releases), "releases resolved twice")


def _flushes_are_the_same(subject: Subject) -> Iterator[Said]:
    lower = subject.architecture.lower
    if lower is None:
        return
    count = 0
    for kernel, platform, lowering in subject.lowerings():
        again = lower(kernel, platform)
        for name in _WRITTEN if subject.long else _WRITTEN[:3]:
            count += 1
            if _steps(lowering, name) != _steps(again, name):
                yield Finding(
                    f"{subject.plugin}: {where(kernel, platform)}: {name}() writes other steps a second time"
                )
    yield Tried(count, "flushes written twice")


def _steps(lowering: Any, name: str) -> bytes:
    asm = Assembler()
    asm.functions.fields, _ = Fields.apart()
    try:
        lowering.entries_changed(asm, 1, huge=False, by="ptep_get_and_clear")
        lowering.entries_cleared(asm, 1, huge=False)
        getattr(lowering, name)(asm, 0)
        found = asm.finish()
    except Exception:  # section 4 is about flushes that can't be written
        return b""
    return found.steps.tobytes() + repr(found.instructions).encode()


def _another_process_writes_the_same(subject: Subject) -> Iterator[Said]:
    if registry().architectures().get(subject.name) is not subject.architecture:
        return  # another process would load another one
    most = len(subject.platforms) if subject.long else _PLATFORMS
    here = digests(subject.name, most)
    for seed in _HASH_SEEDS:
        there = _asked_elsewhere(subject.name, most, seed)
        for (platform, method), digest in here.items():
            if there.get((platform, method)) != digest:
                yield Finding(
                    f"{subject.plugin}: {where(subject.newest, registry().platform(subject.name, platform))}: "
                    f"{method}() writes other steps in another process: something depends on the order of a set, on "
                    "the environment, or on the process"
                )
        yield Tried(len(here), "flushes written in another process")


def digests(name: str, most: int) -> dict[tuple[str, str], str]:
    """Return digests of the newest kernel's flushes on an architecture's first platforms, by platform and method."""
    architecture = registry().architecture(name)
    kernel = resolve(newest_known(), architecture)
    found = {}
    for platform in list(registry().platforms(name).values())[:most]:
        if architecture.lower is None or starts_later(platform, kernel.release):
            continue
        lowering = architecture.lower(kernel, sized(platform, kernel.page_size))
        for method in _WRITTEN:
            found[platform.name, method] = _digest(_steps(lowering, method))
    return found


def _asked_elsewhere(name: str, most: int, seed: int) -> dict[tuple[str, str], str]:
    """Return the digests of another process, which hashes texts otherwise."""
    code = f"from shootdown._compliance import same; same.tell({name!r}, {most})"
    given = os.pathsep.join(files.given())
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": str(seed), files.VARIABLE: given},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise ShootdownError(f"another process can't load it: {said.stderr.strip()[-300:]}")
    return {
        (platform, method): digest for platform, method, digest in json.loads(said.stdout.splitlines()[-1])
    }


def tell(name: str, most: int) -> None:
    """Print the digests of an architecture's flushes, for the process that asked."""
    print(json.dumps([[*key, digest] for key, digest in digests(name, most).items()]))


def _runs_are_the_same(subject: Subject) -> Iterator[Said]:
    newest = subject.newest
    platforms = subject.platforms if subject.long else subject.platforms[:2]
    for name, parameters in _PROGRAMS:
        program = registry().workload(name)
        for platform in platforms:
            question = Question(
                program,
                subject.architecture,
                platform,
                newest.name,
                {**parameters, "seed": subject.seed},
                cpus=4,
            )

            def run(asked: Question[Workload] = question) -> bytes:
                rows = run_cases([prepare(asked)])
                return json.dumps(
                    [{**row.to_dict(), "instructions": dict(row.instructions)} for row in rows],
                    sort_keys=True,
                ).encode()

            yield from _twice(subject, f"compare {name} on {platform.name}", run)


def _twice(subject: Subject, what: str, run: Callable[[], bytes]) -> Iterator[Said]:
    one, other = run(), run()
    yield Tried(1, "questions asked twice")
    if one != other:
        yield Finding(
            f"{subject.plugin}: {what}: the same seed gives other bytes, {_digest(one)} and "
            f"{_digest(other)}: something "
            "remembers the first run, or asks for a time or a random number"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _values_can_be_hashed(subject: Subject) -> Iterator[Said]:
    architecture = subject.architecture
    count = 0
    for what, values in (
        ("format", architecture.formats),
        ("platform", subject.platforms),
        ("change", architecture.changes),
        ("kernel", subject.kernels),
    ):
        for value in values:
            count += 1
            try:
                hash(value)
            except TypeError as error:
                name = getattr(value, "name", getattr(value, "commit", ""))
                yield Finding(
                    f"{subject.plugin}: {what} {name} can't be hashed: {error}. Use tuples and frozen values"
                )
    yield Tried(count, "values hashed")


def _has_kernels(subject: Subject) -> str | None:
    return capabilities.flushes(subject) or (None if subject.kernels else "no release resolves")


STATEMENTS = (
    Statement(
        "8.1",
        "A release resolves to the same kernel each time",
        "`history` puts releases of equal switches together: an answer must not depend on who asked before.",
        "`configure` is a function of its argument: no random numbers, no times, no state.",
        _kernels_are_the_same,
    ),
    Statement(
        "8.2",
        "A flush is written in the same steps each time",
        "Machines that are equal, step by step, are run once: what is written twice must be equal.",
        "A lowering is a function of kernel and platform: keep nothing between calls.",
        _flushes_are_the_same,
        (capabilities.flushes,),
    ),
    Statement(
        "8.3",
        "The same question with the same seed gives the same bytes",
        "A count that can't be had again can't be checked.",
        "Take random numbers from the seed of the program alone.",
        _runs_are_the_same,
        (_has_kernels,),
    ),
    Statement(
        "8.5",
        "A flush is written in the same steps in another process",
        "Who asks the same question tomorrow starts another process, in which sets have another order.",
        "Sort what a set has before steps are written; look neither at the environment nor at the process.",
        _another_process_writes_the_same,
        (capabilities.flushes,),
    ),
    Statement(
        "8.4",
        "Values that a plugin hands over can be hashed",
        "What is derived from them is kept for the next question, under their hash.",
        "Use frozen attrs classes and tuples: no lists and dicts in fields.",
        _values_can_be_hashed,
    ),
)
