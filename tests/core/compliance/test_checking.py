"""What checking a statement says, whatever its check and the plugin's code do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.core.compliance.narrow import narrow
from tests.core.compliance.toys import good, subject, vax

from shootdown._compliance.additions import Additions
from shootdown._compliance.asked import asked
from shootdown._compliance.checking import MOST_FINDINGS, check
from shootdown._compliance.registry import SECTIONS, chosen, statements
from shootdown._compliance.statement import Finding, Outcome, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject
from shootdown._values.errors import ShootdownError


def said(*values: Said, raises: Exception | None = None) -> Outcome:
    def body(_: Subject) -> Iterator[Said]:
        yield from values
        if raises is not None:
            raise raises

    (found,) = check(subject(good()), [Statement("9.9", "t", "r", "d", body)])
    return found


def test_a_statement_that_tried_something_and_found_nothing_is_shown() -> None:
    found = said(Tried(2, "walks"), Tried(3, "walks"), Tried(1, "trees"))
    assert (found.word, found.tried_in_words) == ("shown", "5 walks, 1 trees")


def test_a_statement_that_tried_nothing_is_not_shown() -> None:
    assert (said().word, said().why) == ("not applicable", "there is nothing to try it on")


def test_a_finding_outweighs_missing_evidence() -> None:
    assert said(Unevidenced("u"), Finding("f"), Tried(1, "walks")).word == "finding"
    assert said(Unevidenced("u"), Tried(1, "walks")).word == "unevidenced"


def test_an_exception_of_the_plugin_is_a_finding_with_its_place() -> None:
    (message,) = said(Tried(1, "walks"), raises=KeyError("x")).findings
    assert message.startswith("toy: KeyError: 'x', at ")
    assert "test_checking.py:" in message


def test_a_refusal_by_core_is_a_finding_in_its_own_words() -> None:
    assert said(raises=ShootdownError("format f\nhas none")).findings == ("toy: format f has none",)


def test_of_many_findings_the_first_are_kept_and_the_rest_counted() -> None:
    found = said(*(Finding(str(n)) for n in range(MOST_FINDINGS + 5)))
    assert found.findings[-1] == "... and 5 more like these"


def test_a_loop_without_an_end_is_given_up_and_its_place_named() -> None:
    def forever(_: Subject) -> Iterator[Said]:
        yield Finding("found before")
        while True:
            try:
                sum(range(1000))
            except Exception:  # as a plugin might
                continue

    (found,) = check(subject(good()), [Statement("9.9", "t", "r", "d", forever)], patience=0.2)
    assert found.findings[0] == "found before"
    assert "not done after 0.2 s, at " in found.findings[1]


def test_a_statement_whose_capability_is_missing_does_not_apply() -> None:
    (found,) = check(
        subject(good()), [Statement("9.9", "t", "r", "d", lambda _: iter(()), (lambda _: "no such",))]
    )
    assert (found.word, found.why) == ("not applicable", "no such")


def test_numbers_are_unique_sorted_and_within_their_section() -> None:
    numbers = [one.number for one in statements()]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers, key=lambda number: tuple(map(int, number.split("."))))
    assert {one.section for one in statements()} == set(SECTIONS)


def test_statements_are_chosen_by_number_or_section() -> None:
    assert [one.number for one in chosen(["2.2", "2.1"])] == ["2.1", "2.2"]
    assert {one.section for one in chosen(["2"])} == {"2"}
    with pytest.raises(ShootdownError, match="there is no statement"):
        chosen(["2.99"])


def test_what_depends_on_a_function_that_never_ends_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loops(vax.VaxLowering):  # type: ignore[name-defined,misc]
        def flush_range(self, asm: object, g: int) -> None:
            while True:
                pass

    monkeypatch.setenv("SHOOTDOWN_PLUGIN_SECONDS", "0.05")
    about = narrow(Loops)
    found = {one.statement.number: one for one in check(about, chosen(["4", "8.2", "2.1"]))}
    (message,) = found["4.1"].findings
    assert "runs for 0.05 s without writing a step: it was in" in message
    assert "test_checking.py, line" in message
    assert found["4.2"].why == found["8.2"].why == "flush_range() runs for too long: 4.1 says where"
    assert found["2.1"].word == "shown"


def test_a_plugin_is_found_by_what_it_offers() -> None:
    (subject_,) = asked("fork-storm").subjects
    assert isinstance(subject_, Additions)
    assert "fork-storm" in {workload.name for workload in subject_.workloads}
    with pytest.raises(ShootdownError, match="there is no architecture 'fork-strom'"):
        asked("fork-strom")
