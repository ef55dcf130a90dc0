"""The README counts the lines of the plugin, and no module of it imports what is not public."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shootdown_riscv"
PUBLIC = ("shootdown", "shootdown.formats", "shootdown.measured", "shootdown.patches", "shootdown.porting")
IMPORT = re.compile(r"^\s*(?:from|import) (shootdown[\w.]*)", re.MULTILINE)


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def counted() -> dict[str, int]:
    """Count the lines of each file, of all together, and of the tests."""
    found = {f"`{path.name}`": lines(path) for path in SOURCE.glob("*.py")}
    found["together"] = sum(found.values())
    found["tests"] = sum(lines(path) for path in (ROOT / "tests").glob("*.py"))
    return found


def test_the_readme_counts_the_lines() -> None:
    rows = re.findall(
        r"^\| (\S+) \| ([\d ]+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name: int(number.replace(" ", "")) for name, number in rows} == counted(), (
        f"run {Path(__file__).name}"
    )


def test_only_public_modules_of_shootdown_are_imported() -> None:
    for path in (*SOURCE.glob("*.py"), *(ROOT / "tests").glob("*.py")):
        for module in re.findall(
            r"^\s*(?:from|import) (shootdown[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if not module.startswith("shootdown_riscv"):
                assert module in PUBLIC, (path, module)


if __name__ == "__main__":
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, number in counted().items():
        text = re.sub(
            rf"^\| {re.escape(name)} \| [\d ]+ \|",
            f"| {name} | {number:,} |".replace(",", " "),
            text,
            flags=re.M,
        )
    (ROOT / "README.md").write_text(text, encoding="utf-8")
