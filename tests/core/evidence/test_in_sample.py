"""A claim that a cost cites is in-sample: it can't confirm what was taken from it."""

from __future__ import annotations

import re

import attrs
import pytest

from shootdown._evidence.claim import Claim
from shootdown._evidence.shipped import shipped
from shootdown._plugins.registry import registry
from shootdown._values.platform import COST_NAMES

CITED = re.compile(r"commit ([0-9a-f]{12})|lore (\S+@[\w.-]+\w)|(pull request \d+)")


def cited(text: str) -> set[str]:
    """Return commits, mails and pull requests that a text names."""
    return {next(filter(None, groups)) for groups in CITED.findall(text)}


def sources() -> dict[str, str]:
    """Return where each cost of each platform comes from."""
    there = registry()
    return {
        f"{arch}/{name}.{cost}": getattr(platform.costs, cost).source
        for arch in there.architectures()
        for name, platform in there.platforms(arch).items()
        for cost in COST_NAMES
    }


def claims() -> list[Claim]:
    return [claim for claim in shipped() if claim.measure not in ("none", "fact") and not claim.needs]


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.name)
def test_a_claim_that_a_cost_cites_says_that_it_is_in_sample(claim: Claim) -> None:
    mine = cited(claim.source)
    citing = {cost for cost, source in sources().items() if mine & cited(source)}
    assert not citing or claim.in_sample, f"{claim.name} is cited by {sorted(citing)}"


@pytest.mark.parametrize("claim", [one for one in claims() if one.in_sample], ids=lambda claim: claim.name)
def test_a_claim_names_only_costs_that_cite_it(claim: Claim) -> None:
    there = sources()
    for cost in claim.used_by:
        assert cost in there, f"{claim.name}: there is no cost {cost}"
        told = there[cost]
        named = cited(claim.source) & cited(told) or claim.source.split(",")[0] in told
        assert named, f"{claim.name}: {cost} does not cite {claim.source}"


def test_cited_finds_each_form() -> None:
    found = cited("commit aa44284960d5 (lore 2022-x@vmware.com), opensbi pull request 111")
    assert found == {"aa44284960d5", "2022-x@vmware.com", "pull request 111"}
    assert attrs.fields(Claim).used_by is not None
