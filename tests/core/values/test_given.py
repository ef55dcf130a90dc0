"""One name or number may stand for a list, and what is no name is explained."""

from __future__ import annotations

from typing import Any

import pytest

from shootdown._values.errors import ShootdownError
from shootdown._values.given import names, numbers, one_number, what_ifs


def test_one_name_is_a_list_of_one_and_commas_part_several() -> None:
    assert names("arch", "x86") == ("x86",)
    assert names("kernels", "6.16, 7.0") == ("6.16", "7.0")
    assert names("kernels", ["7.0"]) == names("kernels", ("7.0",)) == ("7.0",)
    assert names("arch", None) == names("arch", ()) == names("arch", "") == ()


@pytest.mark.parametrize("value", [7.0, [7.0], ["6.16", 7.0]])
def test_a_release_that_is_a_number_is_told_how_it_is_written(value: Any) -> None:
    with pytest.raises(
        ShootdownError, match=r'kernels=7.0: write it as a text, kernels="7.0"; .* 6.10 would be 6.1'
    ):
        names("kernels", value)


@pytest.mark.parametrize("value", [True, [None], {"a": 1}.items(), object()])
def test_what_is_no_name_is_refused(value: Any) -> None:
    with pytest.raises(ShootdownError, match="arch="):
        names("arch", value)


def test_one_number_is_a_list_of_one() -> None:
    assert numbers("cpus", 8) == (8,)
    assert numbers("cpus", [2, 4]) == (2, 4)
    assert one_number("cpus", 8) == one_number("cpus", [8]) == 8
    assert one_number("cpus", None) is None


@pytest.mark.parametrize("value", ["8", 1.5, [True], [None]])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ShootdownError, match="cpus="):
        numbers("cpus", value)


def test_several_numbers_are_refused_where_one_is_meant() -> None:
    with pytest.raises(ShootdownError, match="takes one number"):
        one_number("cpus", [1, 2])


def test_what_ifs_are_one_text_several_or_by_name() -> None:
    assert what_ifs("cost.lock_ns=1,2,3") == ("cost.lock_ns=1,2,3",)
    assert what_ifs(["a=1", "b=2"]) == ("a=1", "b=2")
    assert what_ifs({"kernel.x": False, "platform.ghz": 2.4, "c": "d"}) == {
        "kernel.x": "false", "platform.ghz": "2.4", "c": "d",
    }  # fmt: skip
    with pytest.raises(ShootdownError, match=r"kernel\.x"):
        what_ifs({"kernel.x": None})  # type: ignore[dict-item]
