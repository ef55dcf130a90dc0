"""One run explained: its row, its ledger by cause, the steps behind it, its events."""

from __future__ import annotations

import json

import pytest

from shootdown._questions.compare import cases
from shootdown._report.explanation import Explanation, event_lines, explain, explanation


def explained(
    kernel: str = "6.16", workload: str = "hugetlb-munmap", *, arch: str = "x86", events: int = 0
) -> Explanation:
    (case,) = cases(
        workload, arch=[arch], platforms=[{"x86": "intel-server", "powerpc": "power9"}[arch]], kernels=[kernel],
        cpus=[4], parameters={"tables": 2, "threads": 2},
    )  # fmt: skip
    return explain(case, events=events)


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explained(events=500)


@pytest.fixture(scope="module")
def lines(found: Explanation) -> list[str]:
    return list(explanation(found, 100))


def test_the_ledger_adds_up_to_the_row(found: Explanation) -> None:
    ipis = sum(entry.ipis for entry in found.entries)
    assert ipis == found.row.counts["flush_ipis"] + found.row.counts["sync_ipis"] > 0
    assert sum(entry.requests for entry in found.entries) == found.row.counts["flush_requests"]


def test_causes_are_those_of_the_ledger(found: Explanation, lines: list[str]) -> None:
    at = lines.index("Ledger: who flushed and synchronised, by cause")
    causes = {entry.cause for entry in found.entries}
    assert {"TLB flush", "table sync"} <= causes
    for cause in causes:
        assert any(line.startswith(cause) for line in lines[at:])


def test_what_was_done_to_translations_is_summed_up(found: Explanation, lines: list[str]) -> None:
    told = " ".join(lines)
    for name, text in (("full_flushes", "full flushes"), ("page_invalidations", "single pages invalidated")):
        if found.row.counts[name]:
            assert f"{text} {found.row.counts[name]:,}" in told


def test_steps_stand_under_the_kernel_functions_that_they_stand_for(lines: list[str]) -> None:
    at = next(n for n, line in enumerate(lines) if line.startswith("Steps, in the order"))
    assert any("__unmap_hugepage_range" in line for line in lines[at:])
    assert any(line.lstrip().startswith("- ") for line in lines[at:])


def test_a_condition_that_was_only_asked_is_not_told_as_if_it_held(lines: list[str]) -> None:
    assert "another gather of this mm pending: flush everything" not in "\n".join(lines)
    assert "is another gather of this mm pending?" in "\n".join(lines)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_an_explanation_fits_its_terminal(found: Explanation, width: int) -> None:
    assert max(map(len, explanation(found, width))) <= width


def test_events_come_one_on_a_line_with_interrupts_marked(found: Explanation) -> None:
    shown = list(event_lines(found))
    assert len(shown) == 2 + len(list(found.events)) + 1
    interrupts = [line for line in shown if "! flush_tlb_func" in line]
    assert len(interrupts) == found.row.counts["flush_ipis"]


def test_events_that_had_no_room_are_counted() -> None:
    short = explained(events=3)
    assert short.events_lost > 0
    assert list(event_lines(short))[-1].endswith("more events were not kept (--keep)")


def test_json_has_the_row_the_causes_the_steps_and_events_if_asked(found: Explanation) -> None:
    told = json.loads(json.dumps(found.to_dict(events=True)))
    assert told["row"] == found.row.to_dict()
    assert {cause["cause"] for cause in told["causes"]} == {entry.cause for entry in found.entries}
    assert len(told["events"]) == len(list(found.events))
    assert told["events_lost"] == 0
    assert "events" not in found.to_dict()


def test_of_a_case_that_can_not_be_run_there_is_only_its_row() -> None:
    refused = explained("7.0", arch="powerpc")
    assert (refused.run, refused.entries, list(refused.events), refused.stale) == (None, [], [], None)
    assert any("not applicable" in line for line in explanation(refused, 100))
    assert list(event_lines(refused))[-1].startswith("!: an interrupt")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(("arch", "workload"), [("arm64", "anonymous"), ("powerpc", "anonymous")])
def test_a_functions_file_does_not_make_the_steps_wider_than_the_terminal(
    width: int, arch: str, workload: str
) -> None:
    (case,) = cases(workload, arch=[arch], platforms=[], kernels=["7.0"], cpus=[4], parameters={})[:1]
    assert max(map(len, explanation(explain(case), width))) <= width
