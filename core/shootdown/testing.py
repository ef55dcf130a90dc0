"""The compliance suite for an author's own repository, as a base class for pytest.

    from shootdown.testing import ArchitectureCompliance

    class TestMine(ArchitectureCompliance):
        architecture = "mine"

`shootdown check mine` checks the same statements; docs/compliance.md has each with its reason. `ArchitectureBenchmarks`
times an architecture beside another one (docs/how-to/benchmark-an-architecture.md). This module itself does not need
pytest until a test runs: `pip install shootdown[testing]`, and pytest-benchmark for benchmarks.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from shootdown._compliance.additions import Additions
    from shootdown._compliance.statement import Statement
    from shootdown._compliance.subject import Subject

__all__ = ["ArchitectureBenchmarks", "ArchitectureCompliance"]


class ArchitectureCompliance:
    """A test for each statement about one architecture. Subclass it with a name that begins with `Test`.

    A statement that does not apply, or for which there is no evidence, is skipped with the reason: `pytest -ra` shows
    those.

    Attributes:
        architecture: its name, or a plugin's or a distribution's, as `shootdown check` takes it.
        statements: numbers of statements, `1.3`, or of sections, `1`; all if empty.
        evidence_required: fail where there is no evidence, instead of skipping.
        long: take larger samples.
        seed: of everything random.
    """

    architecture: ClassVar[str] = ""
    statements: ClassVar[tuple[str, ...]] = ()
    evidence_required: ClassVar[bool] = False
    long: ClassVar[bool] = False
    seed: ClassVar[int] = 1

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make a test of each statement; pytest calls this when it collects the class."""
        if "statement" in metafunc.fixturenames:
            from shootdown._compliance.registry import chosen

            found = chosen(self.statements)
            metafunc.parametrize("statement", found, ids=[one.number for one in found])

    def test_statement(self, statement: Statement) -> None:
        """Check one statement about every architecture that the name stands for."""
        import pytest

        from shootdown._compliance.checking import check
        from shootdown._values.errors import ShootdownError

        try:
            subjects = _subjects(self.architecture, self.long, self.seed)
        except ShootdownError as error:
            pytest.fail(str(error), pytrace=False)
        reasons = []
        for subject in subjects:
            for outcome in check(subject, (statement,)):
                if outcome.findings:
                    told = [statement.title, *outcome.findings, f"to do: {statement.todo}"]
                    pytest.fail("\n".join(told), pytrace=False)
                if outcome.unevidenced and self.evidence_required:
                    told = [f"no evidence: {statement.title}", *outcome.unevidenced]
                    pytest.fail("\n".join(told), pytrace=False)
                if outcome.word != "shown":
                    reasons.append(f"{outcome.word.upper()}: {'; '.join(outcome.unevidenced) or outcome.why}")
        if not any(statement.about == subject.about for subject in subjects):
            reasons.append(f"NOT APPLICABLE: {self.architecture} offers nothing that it is about")
        if reasons:
            pytest.skip("; ".join(reasons))


@functools.cache
def _subjects(name: str, long: bool, seed: int) -> tuple[Subject | Additions, ...]:
    """Find what is checked, once for all tests of a class; a refused plugin is an error."""
    from shootdown._compliance.asked import asked
    from shootdown._values.errors import ShootdownError

    found = asked(name, long=long, seed=seed)
    for refused in found.refused:
        raise ShootdownError("\n".join(refused.findings))
    return found.subjects


class ArchitectureBenchmarks:
    """A benchmark each of an architecture's walks, flushes, comparisons and explorations. Subclass it as `Test...`.

    Each is done in two ways first, which have to agree. Then it is timed in turn with the same of another architecture,
    or with a sort of numbers;
    `extra_info` of pytest-benchmark has the quotient of the times of a unit, as quartiles of the rounds. What an
    architecture can't do is skipped with the reason.

    Attributes:
        architecture: its name.
        against: the name of the other one; empty, as by default, or its own: a sort of numbers.
        rounds: how often each is timed.
    """

    architecture: ClassVar[str] = ""
    against: ClassVar[str] = ""
    rounds: ClassVar[int] = 9

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make a benchmark of each work; pytest calls this when it collects the class."""
        if "work" in metafunc.fixturenames:
            from shootdown._compliance.speed import WORKS

            metafunc.parametrize("work", list(WORKS))

    def test_speed(self, benchmark: Any, work: str) -> None:
        """Time one work beside that of the other architecture."""
        import pytest

        from shootdown._compilation.running import compile_at_once, compiles
        from shootdown._compliance.speed import WORKS, ratio, work_of, yardstick
        from shootdown._values.errors import ShootdownError

        if not compiles():
            pytest.skip(
                "what is measured is compiled code, and SHOOTDOWN_COMPILE or NUMBA_DISABLE_JIT turn it off"
            )
        compile_at_once()
        try:
            own = work_of(work, self.architecture)
        except ShootdownError as error:
            pytest.skip(str(error))
        alone = self.against in ("", self.architecture)
        other = yardstick() if alone else work_of(work, self.against)
        found = ratio(own, other, self.rounds)
        benchmark.extra_info.update(
            architecture=self.architecture,
            work=own.what,
            unit=WORKS[work],
            against=other.what,
            ratio=found.median,
            ratio_low=found.low,
            ratio_high=found.high,
            ns=found.ns,
            against_ns=found.other_ns,
        )
        benchmark.pedantic(own.run, rounds=1)
