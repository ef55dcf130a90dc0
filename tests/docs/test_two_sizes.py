"""What the page about plugins shows of docs/examples/two_sizes.py is in that file."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_each_block_of_the_page_is_part_of_the_example() -> None:
    page = (DOCS / "reference" / "plugins.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = (DOCS / "examples" / "two_sizes.py").read_text()
    assert len(blocks) == 5
    assert [block for block in blocks if block not in file] == []
