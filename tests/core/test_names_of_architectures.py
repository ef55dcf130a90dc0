"""Core names no architecture, hypervisor or instruction of one: what is special comes from a plugin, as a value."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import shootdown

CORE = Path(shootdown.__file__).parent

NAMES = re.compile(
    r"x86|amd64|arm64|aarch64|powerpc|ppc64|riscv|loongarch|invlpgb|tlbi\b|tlbie|sfence|kvm|\bxen\b|hyper-?v\b",
    re.IGNORECASE,
)

#: What is data, or what a person reads, by file: how many strings and names there are, and what they are.
ALLOWED = {
    "_cli/__init__.py": (1, "command lines to try, where no command is given"),
    "_cli/_new.py": (1, "the architecture of a command to try, where none was named"),
    "_records/paths.py": (10, "functions of virt/, whose names are in stacks, and what they are"),
    "_records/shares.py": (1, "what a CPU may wait for in a profile"),
    "_report/comparison.py": (1, "a footnote: what transition IPIs are"),
    "_values/changes.py": (2, "where the proposal that skips redundant syncs takes effect, and a subject"),
    "_values/flushes.py": (3, "the names that api 1 had for ways of flushing and for a host that preempts"),
    "_values/left_out.py": (14, "subjects of commits and ideas that are left out, and why"),
    "_values/uname.py": (1, "what a distribution calls the flavours of its kernels"),
    "_values/platform.py": (1, "the documentation of a cost: instructions that broadcast"),
}


#: Tables of architectures and platforms, from which scenarios make what they expect.
TABLES = ("_WHERE", "_WITHOUT_IPIS", "_GUESTS")


def _named(source: str) -> Iterator[tuple[int, str]]:
    """Yield names and strings of a source with their lines: no comments, no docstrings."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                documented |= set(range(statement.lineno, (statement.end_lineno or 0) + 1))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.STRING) and token.start[0] not in documented:
            yield token.start[0], token.string


def _expected(source: str) -> set[int]:
    """Return the lines of a scenario that say where it comes from and which verdicts it must have: data."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Expect"
        if named or (isinstance(node, ast.keyword) and node.arg in ("expected", "source")):
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))  # type: ignore[attr-defined]
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in TABLES
        ):
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def _found() -> dict[str, list[tuple[int, str]]]:
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        source = path.read_text()
        data = _expected(source) if path.parent.name == "_scenarios" else set()
        rows = [(at, text) for at, text in _named(source) if at not in data and NAMES.search(text)]
        if rows:
            found[path.relative_to(CORE).as_posix()] = rows
    return found


def test_core_names_no_architecture_but_in_a_few_places_that_are_data() -> None:
    found = _found()
    assert {name: len(rows) for name, rows in found.items()} == {
        name: count for name, (count, _) in ALLOWED.items()
    }, found


def test_a_name_in_code_is_found_and_one_in_a_docstring_is_not() -> None:
    source = (
        '"""On x86."""\n\ndef f():\n    """Do as arm64 does."""\n    # riscv too\n    return arch == "kvm"\n'
    )
    assert [text for _, text in _named(source) if NAMES.search(text)] == ['"kvm"']
