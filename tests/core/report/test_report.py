"""Reports of saved results: what is read, what is answered, and that every form says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.core.report.test_pages import Seen
from tests.core.report.values import STORY, bug, refused, result, span, verdict

from shootdown._report.document_html import page
from shootdown._report.document_text import markdown, plain
from shootdown._report.lanes import story_lines
from shootdown._report.report import report
from shootdown._report.results import read_result, result_of, story_of
from shootdown._report.sources import link
from shootdown._values.errors import ShootdownError

COMMAND = "shootdown compare hugetlb-munmap --json"


def saved(**value: Any) -> Any:
    text = json.dumps({"schema": 1, "version": "0.1.0", "command": COMMAND, **value})
    return read_result(text, "saved.json")


def compared(*rows: Any) -> Any:
    return saved(rows=[row.to_dict() for row in rows])


def explored(*rows: Any) -> Any:
    return saved(rows=[row.to_dict() for row in rows])


def explained(**given: Any) -> Any:
    entry = {
        "cause": "table sync", "caller": "munmap", "function": "huge_pmd_unshare", "where": "mm/hugetlb.c",
        "called_by": "unmap", "requests": 0, "sends": 2, "targets": 6, "ipis": 6, "own_flushes": 0, "waits": 2,
        "time_ns": 5660.0,
    }  # fmt: skip
    step = {"text": "clear the <PUD> entry", "count": 2, "targets": 0, "time_ns": 400.0}
    inner = {"function": "huge_pmd_unshare", "where": "mm/hugetlb.c", "time_ns": 400.0, "steps": [step]}
    usual: dict[str, Any] = {
        "row": result("7.3.4", counts={"sync_ipis": 6, "redundant_sync_ipis": 6, "interrupted_cpus": 3}).to_dict(),
        "causes": [], "ledger": [entry], "interrupts": [0, 2, 2, 2], "stale": None,
        "steps": [{"function": "munmap", "where": "mm/mmap.c", "time_ns": 400.0, "steps": [inner]}],
    }  # fmt: skip
    return saved(**{**usual, **given})


def hunted() -> Any:
    finding = {
        "calls": "exit || spin", "arch": "arm64", "platform": "neoverse-v2", "kernel": "6.15",
        "invariant": "walk-cache", "sentence": None, "explore": "--arch arm64", "explained": False, "fixed_by": [],
        "since": "5.10", "platforms": ["neoverse-v2"], "story": STORY.to_list(), "remarks": [],
    }  # fmt: skip
    numbers = {"programs": 37, "equal": 3, "inconclusive": 0, "states": 900, "interrupted": False}
    return saved(findings=[finding], **numbers)


def of_history() -> Any:
    usual = {
        "arch": "x86", "platform": "intel-server", "series": "mainline", "releases": 1, "verdict": None,
        "invariant": None, "supported": True, "reason": None, "remarks": ["6.16: a doubt"],
    }  # fmt: skip
    rows = [
        {**usual, "first": "6.15", "last": "6.15", "counts": {"sync_ipis": 0}, "commits": []},
        {**usual, "first": "6.16", "last": "6.18", "counts": {"sync_ipis": 780}, "commits": ["1013af4f585f"]},
    ]
    change = {"subject": "fix the race", "mainline": "6.16-rc1", "stable": {"6.12": "6.12.35"}, "source": ""}
    advice = [
        {"arch": "x86", "platform": "intel-server", "series": "6.12", "release": "6.12.74", "lacks": [],
         "reason": None}
    ]  # fmt: skip
    return saved(
        program="hugetlb-munmap", kind="workload", parameters={"tables": 4}, set={"kernel.x": "1"}, rows=rows,
        advice=advice, changes={"1013af4f585f": change},
    )  # fmt: skip


ALL = {
    "compare": lambda: compared(
        result("6.16", counts={"sync_ipis": 28}), result("7.0", counts={"sync_ipis": 7})
    ),
    "explain": explained,
    "explore": lambda: explored(bug(), verdict("7.1")),
    "history": of_history,
    "hunt": hunted,
}


def page_of(*given: Any) -> str:
    return page(report(list(given), version="0.1.0", date="2026-11-30"))


def text_of(*given: Any, width: int = 72) -> str:
    return "\n".join(plain(report(list(given), version="0.1.0", date="2026-11-30"), width))


@pytest.mark.parametrize("kind", ALL)
def test_every_kind_of_result_is_told_on_a_page_that_is_whole_and_loads_nothing(kind: str) -> None:
    one = ALL[kind]()
    assert one.kind == kind
    text = page_of(one)
    seen = Seen(text[: text.find("<svg")] + text[text.rfind("</svg>") + 6 :] if "<svg" in text else text)
    assert (seen.open, seen.wrong) == ([], [])
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert all(address.startswith(("https://git.kernel.org/", "#content")) for address in seen.loads)


@pytest.mark.parametrize("kind", ALL)
def test_every_form_says_the_command_the_version_and_what_it_rests_on(kind: str) -> None:
    document = report([ALL[kind]()], version="0.1.0", date="2026-11-30")
    for text in (page(document), "\n".join(markdown(document)), "\n".join(plain(document, 72))):
        assert COMMAND in text
        assert "2026-11-30" in text
        assert "What this rests on" in text


@pytest.mark.parametrize("kind", ALL)
def test_plain_text_is_as_wide_as_a_mail(kind: str) -> None:
    assert max(map(len, text_of(ALL[kind]()).split("\n"))) <= 72


def test_bars_of_interrupts_are_a_table_in_markdown_and_say_what_their_signs_are_in_text() -> None:
    document = report([ALL["compare"]()], version="0.1.0", date="2026-11-30")
    bars = "\n".join(markdown(document)).partition("IPIs sent\n\n")[2].split("\n\n")[0]
    assert bars.split("\n") == ["|  |  |", "|---:|---:|", "| 6.16 | 28 |", "| 7.0 | 7 |"]
    assert "IPIs sent; /: redundant ones" in "\n".join(plain(document, 72))
    assert "IPIs sent; hatched: redundant ones" in page(document)


def test_a_comparison_is_answered_by_its_largest_ratio() -> None:
    assert "6.16 sends 4 times the IPIs of 7.0" in text_of(ALL["compare"]())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([result(counts={"sync_ipis": 9, "redundant_sync_ipis": 4, "interrupted_cpus": 3})], "7.0 sends 9 IPIs, 4 of"),
        ([result(), result("7.1")], "None of the 2 rows interrupts a CPU."),
        ([result(counts={"flush_ipis": 5}), result("7.1", counts={"flush_ipis": 5})], "Both rows send 5 IPIs."),
        ([refused("5.4", "no such release")], "Nothing can be run: no such release."),
    ],
)  # fmt: skip
def test_an_answer_is_there_even_where_no_row_stands_out(rows: list[Any], said: str) -> None:
    assert said in text_of(compared(*rows), width=200)


def test_a_slower_row_is_told_with_whether_intervals_overlap() -> None:
    def taking(kernel: str, low: float, likely: float, high: float) -> Any:
        times = {"elapsed_ns": span(likely, low, high), "system_ns": span(likely), "lost_ns": span(0)}
        return result(kernel, times=times)

    slow, fast = taking("6.16", 8e6, 9e6, 10e6), taking("7.0", 0.5e6, 1e6, 2e6)
    assert "x9 by the likely costs." in text_of(compared(slow, fast), width=200)
    wide = taking("7.0", 0.5e6, 1e6, 9e6)
    assert "their intervals overlap" in text_of(compared(slow, wide), width=200)


def test_who_sends_the_interrupts_is_told_with_file_and_line_of_a_release_that_was_read() -> None:
    text = page_of(explained())
    assert "huge_pmd_unshare() sends all 6 IPIs for munmap; 6 of all are redundant." in text
    assert "mm/hugetlb.c:" in text
    assert "?h=v7.3.4#n" in text


def test_a_function_of_a_patched_kernel_is_linked_where_the_patch_found_it() -> None:
    asked = "huge_pmd_unshare", "mm/hugetlb.c"
    assert link("7.0+skip-redundant-sync", *asked) == link("7.0", *asked) != ""
    assert link("proposal:skip-redundant-sync", *asked) == link("6.1.158-amd64", *asked) == ""


def test_a_what_if_and_each_remark_are_named() -> None:
    text = text_of(
        compared(result(set={"kernel.rcu_table_free": "false"}, remarks=("UNVERIFIED: so",))), width=200
    )
    assert "--set kernel.rcu_table_free=false" in text
    assert "UNVERIFIED: so" in text
    assert "6.16: a doubt" in text_of(of_history(), width=200)


def test_a_story_comes_back_as_it_was_saved() -> None:
    again = story_of(STORY.to_list(), STORY.invariant, STORY.sentence)
    assert again is not None
    for width in (60, 120):
        kept = [line for line in story_lines(STORY, width) if "takes no step" not in line]
        assert list(story_lines(again, width)) == kept


def test_a_result_comes_back_as_it_was_saved() -> None:
    row = result("6.16", counts={"sync_ipis": 28}, remarks=("a remark",), set={"kernel.x": "1"})
    assert result_of(json.loads(json.dumps(row.to_dict()))) == row


@pytest.mark.parametrize("kind", ALL)
def test_nothing_that_a_file_says_becomes_markup(kind: str) -> None:
    text = json.dumps({**ALL[kind]().value, "command": "<script>", "version": "<img src=x>"})
    for name in ("intel-server", "neoverse-v2", "munmap", "6.16", "fix the race", "no-stale-walk"):
        text = text.replace(f'"{name}"', json.dumps(f"<script>{name}</script>"))
    made = page_of(read_result(text, "<b>.json"))
    assert "<script" not in made
    assert "<img" not in made
    assert "<b>.json" not in made


def outcome(text: str) -> str:
    """Return the report of a saved result, or the message that refuses it."""
    try:
        return text_of(read_result(text, "saved.json"))
    except ShootdownError as error:
        return str(error)


@pytest.mark.parametrize("kind", ALL)
def test_a_result_without_one_of_its_keys_is_refused_in_one_line(kind: str) -> None:
    whole = dict(ALL[kind]().value)
    for key in [name for name in whole if name not in ("schema", "version", "command", "causes", "kind")]:
        for value in (None, 7, "text", [1], {"a": 1}):
            made = outcome(json.dumps({**whole, key: value}))
            assert "How it was made" in made or "\n" not in made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "not what"),
        ('{"rows": []}', "not what"),
        ('{"schema": 9, "rows": [{"workload": "x"}]}', "its schema is 9"),
    ],
)
def test_what_is_no_result_is_refused_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(ShootdownError, match=said):
        read_result(text, "saved.json")


def test_several_results_are_on_one_page() -> None:
    text = page_of(*(make() for make in ALL.values()))
    assert text.count("<h2>") == len(ALL)
    assert "5 results" in text
