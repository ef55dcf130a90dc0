"""The scenarios of histories come to the states that plain Python twins come to, and break the same rules as soon."""

from __future__ import annotations

import pytest
from tests.twins import anon_vmas, mlocked_thp

from shootdown._questions.explore import Verdict, explorations, explore_case


def _explored(name: str, *, fix: bool, **parameters: object) -> Verdict:
    (case,) = explorations(
        name,
        arch=["x86"],
        kernels=["7.0"],
        settings=[f"scenario.fix={str(fix).lower()}"],
        parameters=parameters,
    )
    return explore_case(case)


@pytest.mark.parametrize("fix", [True, False])
@pytest.mark.parametrize("operations", [1, 2, 3, 4, 5, 6])
def test_histories_of_anon_vmas_are_those_of_the_twin(fix: bool, operations: int) -> None:
    twin = anon_vmas.histories(fix=fix, operations=operations)
    found = _explored("anon-vma-degree", fix=fix, operations=operations)
    assert (found.invariant, found.depth) == (twin.rule, twin.operations)
    if twin.rule is None:
        assert found.states == twin.states


@pytest.mark.parametrize(("rule", "operations"), [("I2", 8), ("I3", 7)])
def test_each_rule_of_anon_vmas_falls_when_it_falls_in_the_twin(rule: str, operations: int) -> None:
    twin = anon_vmas.histories(fix=False, operations=operations, rules=(rule,))
    found = _explored("anon-vma-degree", fix=False, operations=operations, check=rule)
    assert (found.invariant, found.depth) == (twin.rule, twin.operations)
    if twin.rule is None:
        assert found.states == twin.states


@pytest.mark.parametrize("reclaim", [True, False])
@pytest.mark.parametrize("fix", [True, False])
def test_histories_of_a_huge_page_are_those_of_the_twin(fix: bool, reclaim: bool) -> None:
    twin = mlocked_thp.histories(fix=fix, reclaim=reclaim)
    found = _explored("thp-munlock", fix=fix, reclaim=reclaim)
    assert (found.invariant, found.depth) == (twin.rule, twin.operations)
    if twin.rule is None:
        assert found.states == twin.states
