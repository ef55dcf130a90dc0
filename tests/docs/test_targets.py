"""docs/reference/targets.md has the table that runs give. Run this file to write it anew."""

from __future__ import annotations

from pathlib import Path

from shootdown import targets
from shootdown._report.targets import markdown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "targets.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"


def table() -> str:
    return "\n".join(["", *markdown(targets()), "", ""])


def test_the_table_of_targets_is_what_runs_give() -> None:
    text = PAGE.read_text()
    written = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert written == table(), "make targets writes docs/reference/targets.md anew"


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGIN) + len(BEGIN)] + table() + text[text.index(END) :])
