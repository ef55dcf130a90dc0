"""The tutorial's file is what its page shows, block by block."""

from __future__ import annotations

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_blocks_of_the_page_make_up_the_file() -> None:
    page = (DOCS / "tutorial" / "your-own-mmu.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = (DOCS / "examples" / "toy_mmu.py").read_text()
    assert len(blocks) >= 4
    assert "".join("".join(blocks).split()) == "".join(file.split())


def test_rows_of_json_have_no_instructions_as_the_page_says() -> None:
    schema = json.loads((DOCS / "reference" / "result.schema.json").read_text())
    assert "counts" in json.dumps(schema)
    assert '"instructions"' not in json.dumps(schema)


def test_a_first_look_takes_less_than_a_page_of_code() -> None:
    assert len((DOCS / "examples" / "toy_mmu.py").read_text().splitlines()) <= 80
