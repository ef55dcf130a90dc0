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
#: Names that are opened in more places than one, how many, and why.
SCENARIO = "a scenario re-enacts a part of it"
ALLOWED: dict[str, tuple[int, str]] = {
    "__collapse_huge_page_copy": (2, SCENARIO),
    "__collapse_huge_page_isolate": (2, SCENARIO),
    "__split_huge_pmd_locked": (2, SCENARIO),
    "__tlbi_sync_s1ish": (2, "stories name only what the erratum adds, the barrier is told as its caller's"),
    "__unmap_hugepage_range": (2, SCENARIO),
    "anon_vma_clone": (3, SCENARIO),
    "bio_endio": (2, SCENARIO),
    "collapse_huge_page": (3, SCENARIO),
    "contpte_convert": (2, SCENARIO),
    "do_anonymous_page": (3, SCENARIO),
    "dup_mmap": (2, "the copy of one hugetlb VMA is told under the function that copies them all"),
    "flush_tlb_page": (2, SCENARIO),
    "flush_tlb_range": (2, SCENARIO),
    "folio_clear_dirty_for_io": (2, SCENARIO),
    "folio_mkclean": (2, SCENARIO),
    "huge_pmd_unshare": (2, SCENARIO),
    "madvise": (2, SCENARIO),
    "munmap": (3, SCENARIO),
    "page_vma_mkclean_one": (2, SCENARIO),
    "pmdp_collapse_flush": (5, SCENARIO),
    "ptep_clear_flush": (3, SCENARIO),
    "shrink_folio_list": (3, SCENARIO),
    "tlb_finish_mmu": (2, "its warning is written where the wrong order of a what-if is"),
    "tlb_flush_rmaps": (2, SCENARIO),
    "try_to_unmap_one": (3, SCENARIO),
    "zap_deposited_table": (2, SCENARIO),
    "zap_pte_range": (4, SCENARIO),
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
