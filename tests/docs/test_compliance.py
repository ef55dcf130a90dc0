"""docs/compliance.md has the statements of the registry: `python tests/docs/test_compliance.py` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from shootdown._compliance.registry import statements
from shootdown._report.compliance import page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compliance.md"
MARK = "<!-- statements -->\n\n"
TESTS = ROOT / "tests" / "core" / "compliance"


def test_the_page_has_the_statements_of_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2] == page(), f"run {Path(__file__).name}"


def test_each_statement_gives_a_reason_and_says_what_to_do() -> None:
    for one in statements():
        assert not one.title.endswith("."), one.number
        assert one.reason.endswith("."), one.number
        assert one.todo.endswith("."), one.number


def test_each_statement_has_a_wrong_plugin_of_its_own_in_the_tests() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    text += (ROOT / "tests" / "core" / "cli" / "test_check.py").read_text(encoding="utf-8")
    for one in statements():
        assert re.search(rf'"{re.escape(one.number)}"', text), f"no test names statement {one.number}"


if __name__ == "__main__":
    before, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(before + mark + page(), encoding="utf-8")
