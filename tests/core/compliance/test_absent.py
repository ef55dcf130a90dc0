"""Section 10: what is not there is refused; and custom formats, whose two walks have to agree."""

from __future__ import annotations

import itertools
import re
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, good, outcome, subject, vax

from shootdown import Architecture
from shootdown._compliance import absent
from shootdown._compliance.asked import asked
from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown.formats import CustomFormat, WalkExample
from shootdown.porting import FlushWay

_turns = itertools.count()


def lowering(**methods: Any) -> Architecture:
    return good(lower=type("Wrong", (vax.VaxLowering,), methods))


NO_DIRTY_BITS = attrs.evolve(good().formats[0], used=None)


@pytest.mark.parametrize("number", ["10.1", "10.2", "10.3", "10.4"])
def test_each_statement_is_shown_of_the_toy(number: str) -> None:
    assert outcome(number, good()).word == "shown"


@pytest.mark.parametrize(
    ("number", "architecture", "named"),
    [
        (
            "10.1",
            lowering(no_thp=lambda _: ""),
            "no_thp.. returns ''; it returns None where there is such a thing",
        ),
        (
            "10.1",
            lowering(no_thp=lambda _: f"none, turn {next(_turns)}"),
            "no_thp.. says something else when it is asked again",
        ),
        ("10.1", lowering(no_pmd_sharing=lambda _: True), "no_pmd_sharing.. returns True"),
        (
            "10.3",
            good(flush_ways=(FlushWay("ipi", "IPIs"), FlushWay("magic", "by magic"))),
            "the way of flushing magic flushes as ipi does",
        ),
        ("10.3", good(flush_ways=(FlushWay("ipi", ""),)), "the way of flushing ipi has no sentence"),
        (
            "10.4",
            attrs.evolve(lowering(no_hardware_dirty=lambda _: None), formats=(NO_DIRTY_BITS,)),
            "hardware sets dirty bits, says no_hardware_dirty.., and no format has any: vax",
        ),
    ],
)
def test_a_wrong_value_is_named(number: str, architecture: Architecture, named: str) -> None:
    text = findings(number, architecture)
    assert re.search(named, text), text


def test_a_question_that_is_answered_although_the_thing_is_not_there_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {"no_thp": ("workload", "anonymous", {"kind": "isolated"})}
    monkeypatch.setattr(absent, "_QUESTIONS", wrong)
    text = "\n".join(
        getattr(one, "message", "")
        for one in absent._what_is_absent_is_refused(subject(lowering(no_thp=lambda _: "no huge pages here")))
    )
    assert "anonymous is answered; no_thp() says 'no huge pages here'" in text


def powerpc_hash() -> CustomFormat:
    (found, *_) = asked("powerpc").subjects[0].custom_formats
    return found


def test_both_walks_of_the_hash_table_agree_with_a_walk_counted_by_hand() -> None:
    (found,) = check(asked("powerpc").subjects[0], chosen(["1.12"]))
    assert found.word == "shown", found
    assert dict(found.tried)["examples"] >= 2


def test_a_custom_format_without_examples_is_unevidenced() -> None:
    form = attrs.evolve(powerpc_hash(), examples=())
    found = outcome("1.12", good(formats=(form,)))
    assert found.word == "unevidenced"
    assert "has no examples" in found.unevidenced[0]


def test_an_example_that_a_custom_walk_contradicts_is_found() -> None:
    form = powerpc_hash()
    (first, *_) = form.examples
    assert isinstance(first, WalkExample)
    wrong = attrs.evolve(form, examples=(attrs.evolve(first, pa=0x1000),))
    text = findings("1.12", good(formats=(wrong,)))
    assert "translates to 0x1000; steps() says" in text
    assert "translates to 0x1000; walk() says" in text


def test_walks_that_differ_are_found() -> None:
    form = powerpc_hash()

    def steps(*arguments: Any) -> Any:
        found = form.steps(*arguments)
        return found if found.pa is None else attrs.evolve(found, pa=found.pa ^ 0x1000)

    text = findings("1.12", good(formats=(attrs.evolve(form, steps=steps),)))
    assert "steps() says" in text
