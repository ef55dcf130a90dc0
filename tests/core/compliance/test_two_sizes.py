"""A platform whose TLB depends on the page size, docs/examples/two_sizes.py, is checked as any other one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, outcome

from shootdown import Architecture, ShootdownError
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.compare import run_cases

SOURCE = Path(__file__).parents[3] / "docs" / "examples" / "two_sizes.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("shootdown_two_sizes", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


duo = _load()
(DUO,) = duo.shootdown_architectures()
SMALL, LARGE = duo.MACHINE.tlb[4096], duo.MACHINE.tlb[16384]


def machine(**tlbs: dict[int, Any]) -> Architecture:
    """Return duo with another TLB."""
    architecture: Architecture = attrs.evolve(DUO, platforms=(attrs.evolve(duo.MACHINE, **tlbs),))
    return architecture


@pytest.mark.parametrize(
    "number",
    [
        "2.3",
        "2.4",
        "3.1",
        "3.2",
        "3.3",
        "3.4",
        "3.5",
        "3.6",
        "4.1",
        "4.2",
        "4.3",
        "4.4",
        "4.5",
        "5.1",
        "5.2",
        "6.1",
        "6.2",
        "6.3",
        "6.4",
        "8.4",
        "9.2",
        "10.2",
    ],
)
def test_each_statement_is_shown(number: str) -> None:
    found = outcome(number, DUO)
    assert (found.word, found.findings) == ("shown", ())


def test_what_is_tried_covers_both_page_sizes() -> None:
    assert dict(outcome("3.4", DUO).tried) == {"platforms with a page size": 2}
    assert dict(outcome("3.5", DUO).tried) == {"platforms": 2}
    assert dict(outcome("9.2", DUO).tried) == {"TLBs": 2}


def test_a_page_size_of_which_a_platform_says_nothing_is_found_once() -> None:
    wrong = machine(tlb={16384: LARGE}, itlb={4096: SMALL, 16384: LARGE})
    assert "platform duo-1: kernels have pages of 4K, and its tlb says nothing of them; of: 16K" in findings(
        "3.4", wrong
    )
    assert not findings("3.1", wrong)


def test_a_geometry_under_another_page_size_is_found() -> None:
    assert "platform duo-1, tlb of 16384: its levels begin with base pages of 4K" in findings(
        "3.3", machine(tlb={4096: SMALL, 16384: SMALL})
    )


def test_more_asids_than_the_tlb_of_one_page_size_has_are_found() -> None:
    class Most(duo.DuoLowering):  # type: ignore[misc]
        mm = duo.mm_rules(1024, clear_on_switch=False)

    few = machine(tlb={4096: SMALL, 16384: attrs.evolve(LARGE, asid_bits=2)})
    assert "TlbGeometry.asid_bits is 2" in findings("6.4", attrs.evolve(few, lower=Most))


def test_a_tlb_of_one_page_size_without_a_source_is_unevidenced() -> None:
    found = outcome("9.2", machine(tlb={4096: SMALL, 16384: attrs.evolve(LARGE, source="")}))
    assert found.word == "unevidenced"


def test_where_cpus_that_are_spared_do_not_catch_up_it_is_found() -> None:
    other = attrs.evolve(DUO, lower=type("Other", (duo.DuoLowering,), {"tracked": False}))
    assert "runs the mm again after the flush and keeps a translation" in findings("6.1", other)


def asked(*settings: str) -> Any:
    return prepare(Question(registry().workload("anonymous"), DUO, duo.MACHINE, "7.0", settings=settings))


@pytest.mark.parametrize(("settings", "va_bits"), [((), 47), (("kernel.page_size=4k",), 39)])
def test_the_bits_of_an_address_follow_from_the_page_size_alone(
    settings: tuple[str, ...], va_bits: int
) -> None:
    kernel = asked(*settings).kernel
    assert (kernel.va_bits, kernel.arch.va_bits) == (va_bits, va_bits)
    assert kernel.page_size == kernel.arch.page_size


def test_bits_that_contradict_the_page_size_are_refused() -> None:
    with pytest.raises(ShootdownError, match="pages of 4 KiB have 39 bits, of 16 KiB 47"):
        asked("kernel.va_bits=39")


# --- what no statement finds


def counted(architecture: Architecture, pages: int) -> dict[str, int]:
    """Return the instructions of a process of one thread that discards pages."""
    parameters = {"op": "madv_dontneed", "pages": str(pages), "threads": "0"}
    question = Question(
        registry().workload("anonymous"), architecture, duo.MACHINE, "7.0", parameters, cpus=2
    )
    (row,) = run_cases([prepare(question)])
    return dict(row.instructions)


@pytest.mark.parametrize(
    ("fields", "pages", "right", "wrong"),
    [
        ({"pages_in_pairs": False}, 4, {"inv_page": 2}, {"inv_page": 4}),
        ({"ceiling": 7}, 16, {"inv_page": 8}, {"new_asid": 1}),
    ],
)
def test_a_wrong_count_of_a_right_flush_passes_and_a_row_counted_by_hand_finds_it(
    fields: dict[str, Any], pages: int, right: dict[str, int], wrong: dict[str, int]
) -> None:
    other = attrs.evolve(DUO, lower=type("Other", (duo.DuoLowering,), fields))
    assert not "".join(findings(number, other) for number in ("3.3", "4.5", "5.1", "6.1"))
    for architecture, instructions in ((DUO, right), (other, wrong)):
        assert {name: n for name, n in counted(architecture, pages).items() if n} == instructions
