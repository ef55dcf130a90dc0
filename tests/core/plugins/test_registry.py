"""Plugins are found through real metadata on sys.path, and each is loaded or refused on its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shootdown import hookspecs
from shootdown._plugins import registry as _registry
from shootdown._plugins.installed import Refusal, Registry
from shootdown._plugins.registry import discover
from shootdown._values.errors import ShootdownError

HEADER = """
from types import SimpleNamespace
import attrs
from shootdown._values.architecture import Architecture
from shootdown._values.platform import COST_NAMES, Cost, Costs, Platform
from shootdown._plugins.markers import hookimpl
from shootdown._values.flushes import FlushWay
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.workload import Workload
from shootdown._values.changes import Change

def arch(name, **more):
    return Architecture(**{"api": 1, "name": name, "summary": "made up", **more})

def platform(name):
    return Platform(name, "made up", Costs(**{cost: Cost(1, 1, 1, "made up") for cost in COST_NAMES}))

def workload(name, *parameters, **more):
    return Workload(name, "made up", parameters, **{"build": lambda setting: None, **more})

def scenario(name, **more):
    return Scenario(**{"name": name, "summary": "made up", "source": "", "build": lambda scene: None, **more})

def change(**more):
    return Change(**{"commit": "123456789abc", "subject": "made up", "mainline": "6.9-rc1", **more})
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a distribution with one plugin module, as pip would leave it, into a folder of sys.path."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(
        distribution: str,
        code: str,
        *,
        version: str = "1.0",
        entry_points: str | None = None,
        header: str = HEADER,
    ) -> None:
        module = "plugged_" + distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(header + textwrap.dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        name = distribution.removeprefix("shootdown-")
        (info / "entry_points.txt").write_text(entry_points or f"[shootdown]\n{name} = {module}\n")
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("plugged_"):
            del sys.modules[name]


def refusal_of(registry: Registry, distribution: str) -> Refusal:
    return next(refusal for refusal in registry.refusals if refusal.origin.distribution == distribution)


def names(registry: Registry) -> set[str]:
    return {plugin.origin.distribution for plugin in registry.plugins}


GOOD = """
    @hookimpl
    def shootdown_architectures():
        return [arch("good")]
"""


def test_a_strangers_architecture_is_found_through_its_entry_point(install: Install) -> None:
    install("shootdown-good", GOOD)
    registry = discover()
    assert registry.architecture("good").summary == "made up"
    assert "shootdown-good" in names(registry)


def test_the_shipped_architecture_comes_through_the_same_door() -> None:
    registry = discover()
    origins = [plugin.origin for plugin in registry.plugins] + [one.origin for one in registry.refusals]
    assert ("x86", "shootdown", "shootdown_x86") in {(o.name, o.distribution, o.target) for o in origins}


BROKEN = {
    "an import that fails": (
        "import x_that_is_nowhere",
        "ModuleNotFoundError: No module named 'x_that_is_nowhere'",
    ),
    "a syntax error": ("def (", "SyntaxError: invalid syntax"),
    "sys.exit at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "any other BaseException": ("raise GeneratorExit", "GeneratorExit"),
    "a message of many lines": ("raise ValueError('a\\n\\x1b[31m  b')", "ValueError: a ?[31m b"),
    "a message that can't be shown": (
        "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad",
        "Bad: (its message raises ValueError)",
    ),
    "a long message": ("raise ValueError('y' * 5000)", "ValueError: " + "y" * 300 + "..."),
    "no hook": (
        "def shootdown_architectures(): return []",
        "implements no hook: mark functions with shootdown.hookimpl",
    ),
    "a hook that there is not": (
        "@hookimpl\ndef shootdown_architecture(): return []",
        "shootdown_architecture is no hook; nearest: shootdown_architectures",
    ),
    "an argument that the hook doesn't have": (
        "@hookimpl\ndef shootdown_architectures(config): return []",
        "shootdown_architectures takes config: it is called with no argument",
    ),
    "a hook that raises": ("@hookimpl\ndef shootdown_architectures(): return [1 // 0]", "ZeroDivisionError:"),
    "a hook that exits": ("@hookimpl\ndef shootdown_workloads(): raise SystemExit('bye')", "SystemExit: bye"),
    "a value and no list": (
        "@hookimpl\ndef shootdown_architectures(): return arch('a')",
        "shootdown_architectures returned an Architecture, not a list or tuple",
    ),
    "a generator and no list": (
        "@hookimpl\ndef shootdown_workloads(): return (w for w in ())",
        "shootdown_workloads returned a generator, not a list or tuple",
    ),
    "a coroutine and no list": (
        "@hookimpl\nasync def shootdown_workloads(): return []",
        "shootdown_workloads returned a coroutine, not a list or tuple",
    ),
    "strings where architectures belong": (
        "@hookimpl\ndef shootdown_architectures(): return ['a']",
        "shootdown_architectures returned a str where a named architecture belongs",
    ),
    "something that looks like an architecture": (
        "@hookimpl\ndef shootdown_architectures(): return [SimpleNamespace(name='a', api=1)]",
        "returned architecture 'a' as a SimpleNamespace, not an Architecture",
    ),
    "a name that can't be typed in a list": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a,b')]",
        "the architecture name 'a,b': use letters, digits",
    ),
    "an alias that can't be typed in a list": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', aliases=('b c',))]",
        "the architecture alias name 'b c': use letters, digits",
    ),
    "an architecture's platforms of another type": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', platforms=({},))]",
        "architecture 'a': platforms has a dict where a Platform belongs",
    ),
    "platforms without their architecture": (
        "@hookimpl\ndef shootdown_platforms(): return [platform('p')]",
        "shootdown_platforms returned a list, not a dict by the architecture's name",
    ),
    "something that looks like a platform": (
        "@hookimpl\ndef shootdown_platforms(): return {'x86': [SimpleNamespace(name='p')]}",
        "returned platform 'p' as a SimpleNamespace, not a Platform",
    ),
    "a summary that is no text": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', summary=None)]",
        "architecture 'a': summary is a NoneType, not a str",
    ),
    "formats that are none": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', formats=5)]",
        "architecture 'a': formats is an int, not a list or tuple",
    ),
    "a format of another type": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', formats=('sv39',))]",
        "architecture 'a': formats has a str where a Format belongs",
    ),
    "a lowering that can't be called": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', lower=3)]",
        "architecture 'a': lower is an int, not a function",
    ),
    "switches that are no class": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', switches={'pti': True})]",
        "architecture 'a': switches is {'pti': True}, not a class",
    ),
    "a change of a switch that there is not": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', changes=(change(sets={'merge_vma': 1}),))]",
        "architecture 'a': the change 123456789abc sets 'merge_vma'; nearest: merge_vmas",
    ),
    "a change in a series that there is not": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', changes=(change(mainline='6.20-rc1'),))]",
        "the change 123456789abc names the series '6.20'; nearest: 6.2",
    ),
    "a change that was never merged and has no name": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', changes=(change(mainline=None),))]",
        "is to have either a mainline release or a proposal's name",
    ),
    "a platform without costs": (
        "@hookimpl\ndef shootdown_platforms(): return {'x86': [Platform('p', 'made up', 7)]}",
        "platform 'p': costs is an int, not a Costs: 7",
    ),
    "a platform with a value out of range": (
        "@hookimpl\ndef shootdown_platforms(): return {'x86': [attrs.evolve(platform('p'), cpus=0)]}",
        "platform 'p': cpus is 0; it lies between 1 and 8,192",
    ),
    "a parameter of another type": (
        "@hookimpl\ndef shootdown_workloads(): return [workload('w', 'tables')]",
        "workload 'w': parameters has a str where a Parameter belongs",
    ),
    "a parameter whose default is out of its range": (
        "@hookimpl\ndef shootdown_workloads(): return [workload('w', Parameter('n', 0, 'many', minimum=1))]",
        "workload 'w', default: -p n=0: it lies between 1 and 1000000000",
    ),
    "a parameter that every workload has": (
        "@hookimpl\ndef shootdown_workloads(): return [workload('w', Parameter('seed', 1, 'mine'))]",
        "workload 'w' has two parameters 'seed'",
    ),
    "a workload that builds nothing": (
        "@hookimpl\ndef shootdown_workloads(): return [workload('w', build=7)]",
        "workload 'w': build is an int, not a function",
    ),
    "something that looks like a scenario": (
        "@hookimpl\ndef shootdown_scenarios(): return [workload('w')]",
        "returned scenario 'w' as a Workload, not a Scenario",
    ),
    "a scenario and no list": (
        "@hookimpl\ndef shootdown_scenarios(): return scenario('s')",
        "shootdown_scenarios returned a Scenario, not a list or tuple",
    ),
    "a scenario that builds nothing": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', build=None)]",
        "scenario 's': build is a NoneType, not a function",
    ),
    "a scenario's source that is no text": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', source=None)]",
        "scenario 's': source is a NoneType, not a str",
    ),
    "a switch of a scenario of another type": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', switches=('fix',))]",
        "scenario 's': switches has a str where a Parameter belongs",
    ),
    "a switch with the name of a parameter": (
        "@hookimpl\ndef shootdown_scenarios():\n"
        "    return [scenario('s', parameters=(Parameter('n', 1, ''),), switches=(Parameter('n', True, ''),))]",
        "scenario 's' has two parameters 'n'",
    ),
    "a switch that every scenario has": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', switches=(Parameter('memory_model', 'sc', ''),))]",
        "scenario 's' has two parameters 'memory_model'",
    ),
    "a switch whose default is none of its choices": (
        "@hookimpl\ndef shootdown_scenarios():\n"
        "    return [scenario('s', switches=(Parameter('how', 'a', '', choices=('b',)),))]",
        "scenario 's', default: -p how=a: it is one of b",
    ),
    "an expected verdict that is text": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', expected=('safe',))]",
        "scenario 's': expected has a str where an Expect belongs",
    ),
    "sentences that are a list": (
        "@hookimpl\ndef shootdown_scenarios(): return [scenario('s', sentences=['no'])]",
        "scenario 's': sentences is a list, not a dict",
    ),
    "a way of flushing of another type": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', flush_ways=('ipi',))]",
        "architecture 'a': flush_ways has a str where a FlushWay belongs",
    ),
    "two ways of flushing of one name": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', flush_ways=(FlushWay('ipi', ''),) * 2)]",
        "architecture 'a' has two ways of flushing 'ipi'",
    ),
    "a way of flushing that is called as none is": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', flush_ways=(FlushWay('auto', ''),))]",
        "architecture 'a' has two ways of flushing 'auto'",
    ),
    "a platform that flushes in a way that there is not": (
        "@hookimpl\ndef shootdown_architectures():\n"
        "    return [arch('a', flush_ways=(), platforms=(attrs.evolve(platform('p'), flush='ipi'),))]",
        "architecture 'a': platform 'p' flushes by 'ipi'; there is: auto",
    ),
    "a machine that is like a platform that there is not": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', cpuinfo=(('cpu: a', 'p'),))]",
        "architecture 'a': cpuinfo names 'p'; there is none",
    ),
    "a machine that is known by no regular expression": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', cpuinfo=(('(', 'p'),))]",
        "architecture 'a': cpuinfo has the pattern '(': missing ), unterminated subpattern at position 0",
    ),
    "a machine that is no pair": (
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', cpuinfo=(('cpu: a',),))]",
        "architecture 'a': cpuinfo has ('cpu: a',), which has ('cpu: a',): 2 values are expected",
    ),
    "something that looks like a workload": (
        "@hookimpl\ndef shootdown_workloads(): return [SimpleNamespace(name='w', summary='')]",
        "returned workload 'w' as a SimpleNamespace, not a Workload",
    ),
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_refused_in_one_line_and_the_others_work(
    install: Install, code: str, reason: str
) -> None:
    install("shootdown-boom", code, version="9.9")
    install("shootdown-good", GOOD)
    registry = discover()
    refusal = refusal_of(registry, "shootdown-boom")
    line = str(refusal)
    assert line.startswith("not loaded: boom (shootdown-boom 9.9): ")
    assert reason in line
    assert "\n" not in line
    assert refusal.kind == "broken"
    assert "shootdown-good" in names(registry)
    assert "shootdown-boom" not in names(registry)


def test_the_line_of_a_failed_import_is_the_documented_one(install: Install) -> None:
    install(
        "shootdown-bad", "import x", version="9.9", entry_points="[shootdown]\nboom = plugged_shootdown_bad\n"
    )
    assert (
        str(refusal_of(discover(), "shootdown-bad"))
        == "not loaded: boom (shootdown-bad 9.9): ModuleNotFoundError: No module named 'x'"
    )


def test_ctrl_c_while_a_plugin_is_imported_is_passed_on(install: Install) -> None:
    install("shootdown-slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover()


@pytest.mark.parametrize(
    "code",
    [
        "[arch('old', api=0)]",
        "[arch('old', api='1')]",
        "[arch('old', api=True)]",
        "[arch('old', api=None)]",
        "[SimpleNamespace(name='old')]",
    ],
)
def test_an_architecture_written_for_another_api_is_outdated(install: Install, code: str) -> None:
    install("shootdown-old", f"@hookimpl\ndef shootdown_architectures(): return {code}")
    refusal = refusal_of(discover(), "shootdown-old")
    assert refusal.kind == "outdated"
    assert refusal.reason.startswith("architecture 'old' ")
    assert refusal.reason.endswith("this shootdown supports api 1")


def test_an_architecture_made_without_an_api_is_refused_for_that(install: Install) -> None:
    install(
        "shootdown-old",
        "@hookimpl\ndef shootdown_architectures(): return [Architecture(name='o', summary='')]",
    )
    assert "'api'" in refusal_of(discover(), "shootdown-old").reason


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


def test_what_flush_takes_is_what_architectures_list_the_longest_list_first(install: Install) -> None:
    install(
        "shootdown-aaa",
        "@hookimpl\ndef shootdown_architectures(): return [arch('a', flush_ways=(FlushWay('bus', ''),))]",
    )
    registry = discover()
    assert registry.flush_names() == ("auto", "ipi", "broadcast", "invlpgb", "kvm", "hypercall", "bus")


def test_an_architecture_that_lists_no_ways_of_flushing_has_those_of_api_1(install: Install) -> None:
    install("shootdown-good", GOOD)
    architecture = discover().architecture("good")
    assert [way.name for way in architecture.flush_ways] == [
        "ipi",
        "broadcast",
        "invlpgb",
        "kvm",
        "hypercall",
    ]
    assert architecture.preempting_hosts == ("kvm",)


def test_two_distributions_may_use_the_same_name_for_their_entry_points(install: Install) -> None:
    for letter in "ab":
        install(
            f"shootdown-{letter}",
            f"@hookimpl\ndef shootdown_architectures(): return [arch('{letter}')]",
            entry_points=f"[shootdown]\nsame = plugged_shootdown_{letter}\n",
        )
    assert {"shootdown-a", "shootdown-b"} <= names(discover())


def test_a_module_named_by_two_entry_points_is_loaded_once(install: Install) -> None:
    install(
        "shootdown-good",
        GOOD,
        entry_points="[shootdown]\na = plugged_shootdown_good\nb = plugged_shootdown_good\n",
    )
    registry = discover()
    assert str(refusal_of(registry, "shootdown-good")) == (
        "not loaded: b (shootdown-good 1.0): plugged_shootdown_good is loaded already, as shootdown-good:a"
    )
    assert "good" in registry.architectures()


@pytest.mark.parametrize("text", ["[shootdown]\nno equals sign\n", "[shootdown]\nx = 1 2 3\n"])
def test_malformed_entry_points_refuse_their_distribution_alone(install: Install, text: str) -> None:
    install("shootdown-bad", "", entry_points=text)
    install("shootdown-good", GOOD)
    registry = discover()
    assert refusal_of(registry, "shootdown-bad").kind == "broken"
    assert "shootdown-good" in names(registry)


def test_platforms_are_added_to_somebody_elses_architecture(install: Install) -> None:
    install(
        "shootdown-good",
        "@hookimpl\ndef shootdown_architectures():\n"
        "    return [arch('g', aliases=('gg',), platforms=(platform('own'),))]",
    )
    install("shootdown-more", "@hookimpl\ndef shootdown_platforms(): return {'g': [platform('added')]}")
    registry = discover()
    assert list(registry.platforms("g")) == ["own", "added"]
    assert registry.platform("gg", "added").name == "added"
    with pytest.raises(ShootdownError, match="there is no g platform 'ad'; nearest: added"):
        registry.platform("gg", "ad")


def test_platforms_for_an_architecture_that_is_not_there_are_noted(install: Install) -> None:
    install("shootdown-more", "@hookimpl\ndef shootdown_platforms(): return {'x68': [platform('p')]}")
    assert (
        "more (shootdown-more 1.0): adds platforms to 'x68', which no loaded plugin describes"
        in discover().notes
    )


@pytest.mark.parametrize("disabled", ["good", "shootdown-good", "shootdown-good:good", " other , good "])
def test_a_disabled_plugin_is_not_even_imported(install: Install, disabled: str) -> None:
    install("shootdown-good", "raise SystemExit")
    refusal = refusal_of(discover(disabled=disabled), "shootdown-good")
    assert refusal.kind == "disabled"
    assert refusal.reason.startswith("SHOOTDOWN_DISABLE=")
    assert "plugged_shootdown_good" not in sys.modules


def test_disabling_the_first_owner_gives_a_name_to_the_second(install: Install) -> None:
    install("shootdown-aaa", "@hookimpl\ndef shootdown_workloads(): return [workload('w')]")
    install("shootdown-bbb", "@hookimpl\ndef shootdown_workloads(): return [workload('w')]")
    assert "shootdown-bbb" in names(discover(disabled="aaa"))


def test_disabling_what_is_not_installed_is_noted() -> None:
    assert "SHOOTDOWN_DISABLE: no plugin is called 'x68'" in discover(disabled="x68").notes


def test_asking_for_what_is_missing_says_who_was_refused_likeliest_first(install: Install) -> None:
    for number in range(6):
        install(f"shootdown-a{number}", "import nowhere_at_all")
    install("shootdown-riscv", "import nowhere_at_all")
    with pytest.raises(ShootdownError) as raised:
        discover().architecture("riscv")
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("there is no architecture 'riscv'; ")
    assert lines[1].startswith("not loaded: riscv (shootdown-riscv 1.0): ModuleNotFoundError")
    assert len(lines) <= 8
    assert "more not loaded: see `shootdown plugins`" in lines[-1]


def test_what_a_plugin_prints_goes_to_standard_error(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "shootdown-chatty",
        """
        print("imported")
        @hookimpl
        def shootdown_architectures():
            print("asked")
            return [arch("chatty")]
        """,
    )
    assert "chatty" in discover().architectures()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "imported" in captured.err
    assert "asked" in captured.err


@pytest.fixture
def fresh() -> Iterator[None]:
    """Let `registry()` look again, and forget what it found afterwards."""
    _registry._registry.cache_clear()
    yield
    _registry._registry.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_plugins_are_asked_once_in_a_process(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("shootdown-chatty", "@hookimpl\ndef shootdown_workloads():\n    print('asked')\n    return []")
    assert _registry.registry() is _registry.registry()
    assert capsys.readouterr().err.count("asked") == 1


@pytest.mark.usefixtures("fresh")
def test_two_threads_that_ask_first_get_the_same_answer(install: Install) -> None:
    install("shootdown-slow", "import time; time.sleep(0.05)" + textwrap.dedent(GOOD))
    answers: list[Registry] = []
    threads = [threading.Thread(target=lambda: answers.append(_registry.registry())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer is answers[0] for answer in answers)


@pytest.mark.usefixtures("fresh")
def test_a_plugin_that_asks_what_is_installed_while_it_is_loaded_is_refused(install: Install) -> None:
    install("shootdown-loop", "from shootdown._plugins.registry import registry\nregistry()")
    install("shootdown-good", GOOD)
    found = _registry.registry()
    assert refusal_of(found, "shootdown-loop").reason.startswith(
        "a plugin asks what is installed while it is being loaded"
    )
    assert "shootdown-good" in names(found)


@pytest.mark.usefixtures("fresh")
def test_the_environment_disables_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("shootdown-good", GOOD)
    monkeypatch.setenv("SHOOTDOWN_DISABLE", "good")
    assert refusal_of(_registry.registry(), "shootdown-good").kind == "disabled"


def test_an_error_in_a_plugins_code_is_blamed_on_it_by_file_and_line(install: Install) -> None:
    install("shootdown-good", GOOD + "\n    def lower():\n        return 1 // 0\n")
    registry = discover()
    with pytest.raises(ZeroDivisionError) as raised:
        sys.modules["plugged_shootdown_good"].lower()
    found = registry.blame(raised.value)
    assert found is not None
    origin, place = found
    assert str(origin) == "good (shootdown-good 1.0)"
    assert "plugged_shootdown_good.py:" in place


def test_an_error_of_nobodys_plugin_is_blamed_on_none(install: Install) -> None:
    install("shootdown-good", GOOD)
    registry = discover()
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 // 0
    assert registry.blame(raised.value) is None


def test_importing_the_package_loads_neither_pluggy_nor_a_plugin() -> None:
    code = "import sys, shootdown, shootdown._values.errors, shootdown._values.kernel; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "shootdown" in loaded
    assert not {"pluggy", "numba", "rich", "shootdown_x86"} & set(loaded)


HOOKS = [getattr(hookspecs, name) for name in hookspecs.__all__]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_each_hook_is_prefixed_and_says_in_one_sentence_when_it_runs(hook: Callable[..., object]) -> None:
    summary = (hook.__doc__ or "").splitlines()[0]
    assert hook.__name__.startswith("shootdown_")
    assert summary.startswith("Return ")
    assert "; runs once, " in summary
    assert summary.endswith(".")
    assert "return" in hook.__annotations__


def test_the_documentation_names_each_hook() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "plugins.md").read_text()
    assert [hook.__name__ for hook in HOOKS if f"`{hook.__name__}`" not in page] == []
