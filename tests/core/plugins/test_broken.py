"""A plugin that is broken or outdated is refused in one line, and the others work."""

from __future__ import annotations

import pytest
from tests.core.plugins.registries import GOOD, Install, names, refusal_of

from shootdown._plugins.registry import discover

BROKEN = {
    "an import that fails": (
        "import x_that_is_nowhere",
        "ModuleNotFoundError: No module named 'x_that_is_nowhere'",
    ),
    "a syntax error": ("def (", "SyntaxError: invalid syntax"),
    "sys.exit at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "any other BaseException": ("raise GeneratorExit", "GeneratorExit"),
    "a message of many lines": ("raise ValueError('a\\n\\x1b[31m  b')", r"ValueError: a \x1b[31m b"),
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
