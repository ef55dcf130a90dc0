"""Stories as one HTML page, and the page of all verdicts."""

from __future__ import annotations

from html.parser import HTMLParser

import attrs
from tests.core.report.values import STORY, bug, verdict

from shootdown._report import matrix_page
from shootdown._report.document import Table
from shootdown._report.document_html import table_html
from shootdown._report.story_page import story_html


class Seen(HTMLParser):
    """Collect tags that are open, text, and what would be loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1:] != ["style"]:
            self.text.append(data.strip())


def test_each_cpu_that_takes_part_is_a_column_and_the_others_are_named() -> None:
    text = story_html(STORY)
    assert text.count('<th class="lane"') == 2
    assert "CPU 2 (another process) takes no step." in text


def test_each_move_is_a_row_and_the_bad_one_is_marked() -> None:
    text = story_html(STORY)
    assert text.count("<tr") - 1 == len(STORY.lines)
    assert text.count('<tr class="bad">') == 1
    assert "✗ 3" in text


def test_each_step_names_its_cpu_for_screens_without_lanes() -> None:
    assert story_html(STORY).count("<b>CPU 1</b>") == 2


def test_functions_are_code_and_agents_are_marked() -> None:
    text = story_html(STORY)
    assert "<code>huge_pmd_unshare()</code>: clear the PUD entry" in text
    assert '<span class="agent">hardware walker</span>: use a cached entry' in text


def test_nothing_that_a_plugin_wrote_becomes_markup() -> None:
    text = story_html(STORY)
    assert "read a &lt;freed&gt; table" in text
    assert "<freed>" not in text


def test_an_invariant_without_a_sentence_stands_alone() -> None:
    text = story_html(attrs.evolve(STORY, sentence=""))
    assert "<strong>no-stale-walk</strong><br>✗" in text


# --- the matrix of verdicts

KERNELS = ("6.16", "7.0")


def matrix(*rows: object, names: tuple[str, ...] = ("unshare-gup",)) -> list[str]:
    return matrix_page.page(rows, names, KERNELS).splitlines()  # type: ignore[arg-type]


def test_each_scenario_has_a_table_with_a_column_for_each_kernel() -> None:
    lines = matrix(verdict("6.16"), bug(kernel="7.0"))
    at = lines.index("## unshare-gup")
    table = lines[at:]
    assert "| platforms | 6.16 | 7.0 |" in table
    row = next(line for line in table if line.startswith("| x86"))
    assert row.split(" | ")[1] == "safe"
    assert row.split(" | ")[2].startswith("**BUG")


def test_a_scenario_without_rows_is_left_out() -> None:
    assert "## hole-punch" not in matrix(verdict("6.16"), verdict("7.0"), names=("unshare-gup", "hole-punch"))


def test_why_a_scenario_does_not_apply_is_told_below() -> None:
    lines = matrix(
        verdict("6.16"), verdict("7.0"),
        *(verdict(k, "not-applicable", arch="powerpc", platform="power9", reason="no tables") for k in KERNELS),
    )  # fmt: skip
    at = lines.index("## Where scenarios do not apply")
    assert lines[at + 2].startswith("- No tables: unshare-gup")


def test_the_page_says_how_it_is_made() -> None:
    text = "\n".join(matrix(verdict("6.16"), verdict("7.0")))
    assert text.startswith("# Verdicts")
    assert "`shootdown matrix --markdown`" in text


def test_a_row_that_names_those_below_it_is_as_wide_as_the_table() -> None:
    written = table_html(Table(("kernel", "IPIs"), (("x86 amd-server, 16 CPUs", ""), ("7.0", "15"))))
    assert '<th scope="rowgroup" colspan="2">x86 amd-server, 16 CPUs</th>' in written
    assert written.count("<td") == 2
