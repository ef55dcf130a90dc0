"""Rows of a comparison are named by what differs between them."""

from __future__ import annotations

from tests.core.report.values import result

from shootdown._report.naming import label


def test_a_row_is_named_by_what_tells_it_from_the_others() -> None:
    one, other = result(platform="intel-server"), result(platform="amd-server")
    assert label(one, [one]) == "7.0"
    assert label(one, [one, other]) == "intel-server 7.0"
    assert label(one, [one, result(cpus=4)]) == "7.0 with 8 CPUs"


def test_of_several_values_of_a_parameter_it_is_named_by_its_own() -> None:
    rows = [result(parameters={"tables": 2, "sharers": n}) for n in (1, 2)]
    assert label(rows[1], rows) == "7.0 sharers=2"
