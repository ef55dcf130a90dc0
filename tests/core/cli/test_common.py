"""Options read lists and assignments in one way."""

from __future__ import annotations

import click
import pytest

from shootdown._cli import _common


def test_a_list_keeps_its_order_and_its_repetitions() -> None:
    assert _common.read_list("7.0, 6.15 ,7.0") == ("7.0", "6.15", "7.0")


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,,b", "a, ,b"])
def test_an_empty_place_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="empty place"):
        _common.read_list(text)


def test_counts_are_whole_numbers_from_one() -> None:
    assert _common.read_counts("2,196, 4096") == (2, 196, 4096)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "2,0", "٣", "9" * 5000, "1e3"])
def test_other_counts_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number from 1"):
        _common.read_counts(text)


def test_assignments_become_a_dict_in_their_order() -> None:
    read = _common.read_assignments(["tables=3", "state = lazy", "expr=a=b"])
    assert read == {"tables": "3", "state": "lazy", "expr": "a=b"}
    assert list(read) == ["tables", "state", "expr"]


@pytest.mark.parametrize("text", ["tables", "=3", "tables=", "", "="])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not of the form name=value"):
        _common.read_assignments([text])


def test_a_name_that_is_assigned_twice_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="'tables' is given twice"):
        _common.read_assignments(["tables=1", "tables=1"])


def collect(*arguments: str) -> dict[str, object]:
    """Parse with all the options that commands share."""
    seen: dict[str, object] = {}

    @_common.command("all")
    @_common.arch_option
    @_common.platform_option
    @_common.kernel_option
    @_common.cpus_option
    @_common.parameter_option
    @_common.set_option
    @_common.json_option
    def everything(**given: object) -> None:
        seen.update(given)

    everything.main(list(arguments), standalone_mode=False)
    return seen


def test_options_that_are_not_given_are_empty() -> None:
    assert collect() == {
        "arch": (),
        "platform": (),
        "kernel": (),
        "cpus": (),
        "parameters": {},
        "settings": (),
        "as_json": False,
    }


def test_options_reach_the_command_as_values() -> None:
    what = "--arch x86,riscv --platform a --kernel 7.0,6.15 --cpus 2,4"
    how = "-p tables=3 -p a=b --set kernel.pti=off --set platform.jitter=0 --json"
    assert collect(*what.split(), *how.split()) == {
        "arch": ("x86", "riscv"),
        "platform": ("a",),
        "kernel": ("7.0", "6.15"),
        "cpus": (2, 4),
        "parameters": {"tables": "3", "a": "b"},
        "settings": ("kernel.pti=off", "platform.jitter=0"),
        "as_json": True,
    }


def test_a_list_that_is_given_again_is_longer() -> None:
    seen = collect(*["--kernel", "6.15,6.16", "--kernel", "7.0", "--cpus", "4", "--cpus", "2,8"])
    assert seen["kernel"] == ("6.15", "6.16", "7.0")
    assert seen["cpus"] == (4, 2, 8)


def test_a_bad_option_is_named_in_the_message() -> None:
    with pytest.raises(click.BadParameter) as raised:
        collect("--cpus", "0")
    assert raised.value.format_message() == "Invalid value for '--cpus': '0' is not a whole number from 1"
