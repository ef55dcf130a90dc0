"""Of plugins that claim one name the first has it, whatever was installed first."""

from __future__ import annotations

import pytest
from tests.core.plugins.registries import Install, names, refusal_of

from shootdown._plugins.registry import discover
from shootdown._values.errors import ShootdownError


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("def shootdown_architectures(): return [arch('same')]", "architecture 'same'"),
        ("def shootdown_architectures(): return [arch('other', aliases=('same',))]", "architecture 'same'"),
        ("def shootdown_workloads(): return [workload('storm')]", "workload 'storm'"),
        ("def shootdown_scenarios(): return [scenario('race')]", "scenario 'race'"),
        ("def shootdown_platforms(): return {'same': [platform('p')]}", "platform 'p' of 'same'"),
    ],
)
def test_the_second_distribution_that_claims_a_name_is_refused(
    install: Install, code: str, what: str
) -> None:
    install(
        "shootdown-aaa",
        """
        @hookimpl
        def shootdown_architectures():
            return [arch("same", platforms=(platform("p"),))]
        @hookimpl
        def shootdown_workloads():
            return [workload("storm")]
        @hookimpl
        def shootdown_scenarios():
            return [scenario("race")]
        """,
    )
    install("shootdown-bbb", f"@hookimpl\n{code}")
    registry = discover()
    refusal = refusal_of(registry, "shootdown-bbb")
    assert refusal.kind == "duplicate"
    assert refusal.reason == f"provides {what}, which aaa (shootdown-aaa 1.0) provides already"
    assert "shootdown-aaa" in names(registry)


def test_who_wins_a_name_does_not_hang_on_the_order_of_installation(install: Install) -> None:
    install("shootdown-zzz", "@hookimpl\ndef shootdown_architectures(): return [arch('same')]")
    install("shootdown-aaa", "@hookimpl\ndef shootdown_architectures(): return [arch('same')]")
    assert refusal_of(discover(), "shootdown-zzz").kind == "duplicate"


def test_an_architectures_own_platform_wins_over_one_that_is_added(install: Install) -> None:
    install("shootdown-aaa", "@hookimpl\ndef shootdown_platforms(): return {'z': [platform('p')]}")
    install(
        "shootdown-zzz",
        "@hookimpl\ndef shootdown_architectures(): return [arch('z', platforms=(platform('p'),))]",
    )
    registry = discover()
    assert refusal_of(registry, "shootdown-aaa").kind == "duplicate"
    assert "z" in registry.architectures()


def test_a_plugin_that_names_a_thing_twice_is_refused(install: Install) -> None:
    install("shootdown-twice", "@hookimpl\ndef shootdown_workloads(): return [workload('w'), workload('w')]")
    assert (
        refusal_of(discover(), "shootdown-twice").reason
        == "provides workload 'w', which it provides twice itself"
    )


def test_a_strangers_scenario_comes_after_those_of_core(install: Install) -> None:
    install("shootdown-aaa", "@hookimpl\ndef shootdown_scenarios(): return [scenario('a-race')]")
    registry = discover()
    (plugin,) = (plugin for plugin in registry.plugins if plugin.origin.distribution == "shootdown-aaa")
    assert [value.name for value in plugin.scenarios] == ["a-race"]
    assert registry.scenario("a-race") is plugin.scenarios[0]
    names = list(registry.scenarios())
    (core,) = (plugin for plugin in registry.plugins if plugin.origin.name == "core")
    assert names[: len(core.scenarios)] == [value.name for value in core.scenarios]
    assert names[-1] == "a-race"


def test_a_scenario_with_the_name_of_one_of_core_is_refused(install: Install) -> None:
    install("shootdown-aaa", "@hookimpl\ndef shootdown_scenarios(): return [scenario('unshare-gup')]")
    reason = refusal_of(discover(), "shootdown-aaa").reason
    assert reason.startswith("provides scenario 'unshare-gup', which core (shootdown ")
    assert reason.endswith(") provides already")


def test_an_unknown_scenario_names_the_nearest_and_who_was_refused(install: Install) -> None:
    install("shootdown-boom", "import nowhere_at_all")
    with pytest.raises(ShootdownError) as raised:
        discover().scenario("unshare-gap")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("unknown scenario 'unshare-gap'; nearest: unshare-gup")
    assert lines[1].startswith("not loaded: boom (shootdown-boom 1.0): ModuleNotFoundError")
