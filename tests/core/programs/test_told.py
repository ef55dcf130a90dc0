"""What a program's file says of itself as a scenario means what the reference says, and mistakes are one line each."""

from __future__ import annotations

from typing import Any

import pytest

from shootdown._plugins.registry import registry
from shootdown._programs.explored import scenario_of
from shootdown._programs.reading import read_values
from shootdown._programs.shipped import scenario_files
from shootdown._questions.explore import explorations, explore
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Expect, Scenario


def _scenario(**more: Any) -> Scenario:
    process = {"A": {"do": ["touch heap write", "munmap heap", "spin"], "thread": {"user": {"do": ["spin"]}}}}
    return scenario_of(read_values({"memory": {"heap": {"size": "$PAGE_SIZE"}}, "process": process, **more}))


def test_each_shipped_file_is_a_scenario_with_verdicts_and_a_window() -> None:
    for name in scenario_files():
        found = registry().scenarios()[name]
        assert found.source != ""
        assert {"safe", "bug"} <= {cell.verdict for cell in found.expected}
        assert found.window


def test_a_table_of_expected_verdicts_is_one_for_each_place() -> None:
    found = _scenario(
        expected=[{"verdict": "safe", "on": ["x86", "arm64/emag"], "kernel": "6.1", "set": "memory_model=sc"}]
    )
    assert found.expected == (
        Expect("safe", "x86", "", "6.1", ("memory_model=sc",)),
        Expect("safe", "arm64", "emag", "6.1", ("memory_model=sc",)),
    )


def test_a_switch_sets_the_switches_of_the_kernel_that_calls_look_at() -> None:
    words = {"true": {}, "false": {"nested_gathers_flush": False}}
    found = _scenario(switches={"fix": {"meaning": "the fix", "kernel": words}})
    (switch,) = found.switches
    assert (switch.name, switch.default, switch.doc) == ("fix", True, "the fix")
    for value, there in ((True, 1), (False, 0)):
        (case,) = explorations(found, arch=["x86"], kernels=["7.0"], settings=[f"scenario.fix={value}"])
        texts = [note.text for note in case.program.build(case.setup()).machine.code.notes]
        assert sum("another gather" in text for text in texts) == there


def test_a_place_that_is_not_reached_makes_a_safe_verdict_vacuous_and_no_cpu_idles_unless_it_says_so() -> (
    None
):
    (case,) = explorations(_scenario(reaches=["moved"], idle=False), arch=["x86"], kernels=["7.0"])
    assert case.program.build(case.setup()).machine.layout.cpus == 2
    (case,) = explorations(_scenario(), arch=["x86"], kernels=["7.0"])
    assert case.program.build(case.setup()).machine.layout.cpus == 3


def test_a_parameter_chooses_between_texts() -> None:
    lazy = {"true": "sleep", "false": "spin"}
    source = read_values(
        {
            "parameters": {"call": {"drop": "madvise heap DONTNEED", "unmap": "munmap heap"}, "lazy": lazy},
            "memory": {"heap": {"size": "$PMD_SIZE"}},
            "process": {"A": {"do": ["touch heap", "$call", "$lazy"]}},
        }
    )
    assert [(one.default, one.choices) for one in source.parameters] == [
        ("drop", ("drop", "unmap")),
        (True, ()),
    ]
    (main,) = source.chosen({"call": "unmap", "lazy": False}).processes["A"].threads
    assert [one.verb for one in main.body] == ["touch", "munmap", "spin"]
    assert source.chosen({}, {"PAGE_SIZE": "64K", "PMD_SIZE": "512M"}).memory["heap"].size == 512 << 20


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"source": 3}, "program, source: it is one line of text"),
        ({"reaches": ["mooved"]}, "there is no place 'mooved'; nearest: moved"),
        ({"idle": 1}, "program, idle: it is true or false, not 1"),
        ({"switches": {"fix": {"kernel": {}}}}, "switches.fix: it lacks what it means"),
        ({"switches": {"fix": {"meaning": "m"}}}, "it lacks the kernel's switches that it sets"),
        ({"switches": {"fix": {"meaning": "m", "kernel": {"on": {}}}}}, "a choice has two words or more"),
        (
            {"switches": {"fix": {"meaning": "m", "kernel": {"a": {}, "b": {"nested_flush": True}}}}},
            "it has no 'nested_flush'; nearest: nested_gathers_flush",
        ),
        (
            {"switches": {"fix": {"meaning": "m", "kernel": {"a": {}, "b": {"delayed_rmap": 1}}}}},
            "kernel.delayed_rmap is no int",
        ),
        ({"expected": [{"verdict": "fine"}]}, "there is no verdict 'fine'"),
        ({"expected": [{"verdict": "safe", "where": "x86"}]}, "it has no 'where'"),
        ({"parameters": {"p": {"one": "1"}}}, "a choice has two words or more"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        _scenario(**more)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_explore_takes_the_name_of_a_shipped_program() -> None:
    (row,) = explore("malloc1", arch=["x86"], parameters={"threads": 1})
    assert row.scenario == "malloc1"
