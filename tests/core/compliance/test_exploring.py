"""Section 7: scenarios on every platform, hunts, and what an author expects of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from tests.core.compliance import right_lowerings as right
from tests.core.compliance import wrong_targets
from tests.core.compliance.narrow import narrow, outcomes

from shootdown import Expected
from shootdown._compliance import exploring
from shootdown._compliance.statement import Outcome
from shootdown._compliance.subject import Subject
from shootdown._plugins.registry import registry


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explore few scenarios, and hunt in few programs."""
    known = registry().scenarios()
    few = {name: known[name] for name in ("lazy-freed-tables", "cow-stale-writable", "dirty-bit-lost")}
    monkeypatch.setattr(exploring, "registry", lambda: SimpleNamespace(scenarios=lambda: few))
    monkeypatch.setattr(exploring, "_RANDOM", 2)


def said(number: str, about: Subject) -> Outcome:
    return outcomes([number], about)[number]


@pytest.mark.parametrize("number", ["7.1", "7.2"])
def test_a_right_lowering_is_shown(number: str) -> None:
    found = said(number, narrow(right.Good))
    assert (found.findings, found.word) == ((), "shown")


class LosesDirtyBits(right.Good):  # type: ignore[misc]
    """The hardware of one platform sets dirty bits, and the kernel clears entries without looking."""

    def no_hardware_dirty(self) -> str | None:
        return None if self.platform.name == "sets-dirty-bits" else "software does"


def _two_platforms(**fields: Any) -> Subject:
    about = narrow(LosesDirtyBits, pte_clear="store", pte_clear_atomic=False, **fields)
    (machine,) = about.platforms
    about.platforms = (machine, attrs.evolve(machine, name="sets-dirty-bits"))
    return about


def test_platforms_that_flush_alike_are_explored_each() -> None:
    (finding,) = said("7.1", _two_platforms()).findings
    assert "dirty-bit-lost on sets-dirty-bits" in finding
    assert "shootdown explore dirty-bit-lost" in finding


def test_an_expected_bug_is_set_aside_and_one_that_does_not_come_is_told() -> None:
    bug = Expected(
        ("7.1",),
        "the manual, 4.2: a write of the walker is lost",
        about="dirty-bit-lost",
        when=lambda kernel, platform: platform.name == "sets-dirty-bits",
    )
    found = said("7.1", _two_platforms(expected=(bug,)))
    assert found.findings == ()
    assert dict(found.tried)["expected findings, which came"] == 1
    other = attrs.evolve(bug, about="cow-stale-writable")
    told = said("7.1", _two_platforms(expected=(bug, other))).findings
    assert [finding for finding in told if "cow-stale-writable" in finding and "none was found" in finding]


def test_a_scenario_finds_a_lowering_that_forgets_lazy_cpus() -> None:
    (finding,) = said("7.1", narrow(wrong_targets.ForgetsLazy)).findings
    assert "lazy-freed-tables on vax-9000" in finding
    assert "breaks walk-cache" in finding


def test_a_hunt_finds_a_lowering_that_flushes_only_here_and_names_the_smallest_program() -> None:
    found = said("7.2", narrow(wrong_targets.OnlyHere)).findings
    assert any("breaks stale-tlb-entry" in finding for finding in found)
    assert all("shootdown hunt --arch vax --platform vax-9000" in finding for finding in found)


@pytest.mark.long
def test_a_hunt_is_the_same_each_time() -> None:
    first, second = (said("7.2", narrow(wrong_targets.OnlyHere)) for _ in range(2))
    assert (first.findings, first.tried) == (second.findings, second.tried)


def test_a_lowering_that_raises_is_a_finding_of_each_scenario() -> None:
    class Raises(right.Good):  # type: ignore[misc]
        def flush_page(self, asm: Any, g: int) -> None:
            raise KeyError("page")

    found = said("7.1", narrow(Raises))
    assert any("cow-stale-writable" in finding for finding in found.findings)
