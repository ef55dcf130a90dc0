"""A kernel function is written in one place: those that are not yet are listed here, and the list only shrinks."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = {
    "core": ROOT / "core/shootdown",
    "x86": ROOT / "arch_x86/shootdown_x86",
    "arm64": ROOT / "arch_arm64/shootdown_arm64",
    "powerpc": ROOT / "arch_powerpc/shootdown_powerpc",
    "riscv": ROOT / "plugins/shootdown-riscv/src/shootdown_riscv",
}
#: Names that are opened in more places than one, how many, and why. What they do to page-table entries is in one place
#: (`_mm/entries.py`); these do something else in the scenario than in the model.
OTHER_STATE = "the scenario counts references and maps of one page, which the model does not have"
RESULT = "counted runs know the outcome beforehand; explored ones and the scenario find it out"
ALLOWED: dict[str, tuple[int, str]] = {
    "__tlbi_sync_s1ish": (2, "stories name only what the erratum adds, the barrier is told as its caller's"),
    "__unmap_hugepage_range": (2, OTHER_STATE),
    "collapse_huge_page": (2, RESULT),
    "contpte_convert": (2, "timed runs flush once for each block; the scenario has both entries of one"),
    "huge_pmd_unshare": (2, OTHER_STATE),
    "migrate_pages_batch": (2, RESULT),
    "shrink_folio_list": (3, RESULT),
    "try_to_unmap_one": (2, OTHER_STATE),
}


def opened() -> dict[str, Counter[str]]:
    """Return how often each source opens each name: by a declaration or by a `with` block."""
    found: dict[str, Counter[str]] = {}
    for source, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            where = "porting" if "_porting" in path.parts else source
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                name = node.args[0]
                if called == "function" and isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found.setdefault(where, Counter())[name.value] += 1
    return found


def several() -> dict[str, int]:
    """Return the names that one machine's model opens in several places: core's, and those of one architecture."""
    places = opened()
    core = places.pop("core")
    most: Counter[str] = Counter()
    for own in places.values():
        for name in {*core, *own}:
            most[name] = max(most[name], core[name] + own[name])
    return {name: count for name, count in sorted(most.items()) if count > 1}


def test_no_kernel_function_is_opened_in_two_places_but_those_listed() -> None:
    assert several() == {name: count for name, (count, _) in ALLOWED.items()}


def test_each_exception_has_a_reason() -> None:
    assert all(why for _, why in ALLOWED.values())
