#!/usr/bin/env python3
"""Write the lines of kernel functions in a release, from a kernel tree, into the table that reports read.

    python tools/lines_from_tree.py 6.1.192 ~/linux-source-6.1          add or replace a release
    python tools/lines_from_tree.py 6.1.192 linux.tar.xz                the same from an archive
    python tools/lines_from_tree.py --remove 6.1.170

Which functions: those that the model names, in the files that it names (docs/reference/kernel-functions.md and the
steps of the model). Of the tree only names and numbers are kept, none of its text.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "core/shootdown/_values/source_lines.json"
#: Where the model names functions and their files: `"mm/hugetlb.c"` in Python.
SOURCES = ("core/shootdown", "arch_x86", "arch_arm64", "arch_powerpc", "plugins")
_FILE = re.compile(r"[\"'`]((?:mm|kernel|arch|include|fs|lib|virt)/[\w/.-]+\.[ch])[\"'`]")
_NAME = re.compile(r"[\"'`](_*[a-z][a-z0-9_]+)[\"'`(]")
#: A definition begins in the first column; what ends in `;` before a brace is a declaration.
_DEFINED = re.compile(r"^[A-Za-z_][\w\s*]*?\b(\w+)\s*\(")
#: A system call is called by its own name.
_CALL = re.compile(r"^(?:COMPAT_)?SYSCALL_DEFINE\d\((\w+)")
_MOST_LINES = 12


def named() -> tuple[set[str], set[str]]:
    """Return the files that the model's sources name, and all names in them that may be functions."""
    paths: set[str] = set()
    names: set[str] = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            paths.update(_FILE.findall(text))
            names.update(_NAME.findall(text))
    return paths, names


def definitions(text: str, names: set[str]) -> Iterator[tuple[str, int]]:
    """Yield the functions and macros that are defined in a C file, with their lines; of two the first.

    Args:
        text: the file.
        names: those that are wanted.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("#define "):
            name = re.match(r"\w+", line.removeprefix("#define ").lstrip())
            if name is not None and name[0] in names and "(" in line:
                yield name[0], number
            continue
        found = _CALL.match(line) or _DEFINED.match(line)
        # The name can stand in the line below its type: then that line begins with the name.
        if found is None or found[1] not in names:
            continue
        for later in lines[number - 1 : number - 1 + _MOST_LINES]:
            if "{" in later:
                yield found[1], number
                break
            if ";" in later:
                break


def read(tree: Path, paths: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the files of a tree, or of an archive of one, that the model names."""
    if tree.is_dir():
        for path in sorted(paths):
            if (tree / path).is_file():
                yield path, (tree / path).read_text(encoding="utf-8", errors="replace")
        return
    with tarfile.open(tree) as archive:
        for member in archive:
            path = member.name.removeprefix("./").partition("/")[2]
            if member.isfile() and path in paths:
                stream = archive.extractfile(member)
                assert stream is not None
                yield path, stream.read().decode(errors="replace")


def lines_of(tree: Path) -> Mapping[str, Mapping[str, int]]:
    """Return file to function to line."""
    paths, names = named()
    found: dict[str, dict[str, int]] = {}
    for path, text in read(tree, paths):
        for name, number in definitions(text, names):
            found.setdefault(path, {}).setdefault(name, number)
    return {path: dict(sorted(found[path].items())) for path in sorted(found)}


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", help="such as 6.1.192")
    parser.add_argument("tree", type=Path, nargs="?", help="its folder, or an archive")
    parser.add_argument("--source", default="", help="where the tree is from, in a few words")
    parser.add_argument("--remove", action="store_true", help="forget the release")
    given = parser.parse_args()
    table = (
        json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {"sources": {}, "releases": {}}
    )
    if given.remove:
        table["releases"].pop(given.release, None)
        table["sources"].pop(given.release, None)
    elif given.tree is None or not given.tree.exists():
        parser.error(f"there is no tree {given.tree}")
    else:
        found = lines_of(given.tree)
        if not found:
            print(
                f"{given.tree}: none of the files that the model names: is it a kernel tree?", file=sys.stderr
            )
            return 1
        table["releases"][given.release] = found
        table["sources"][given.release] = given.source
        print(f"{given.release}: {sum(map(len, found.values()))} functions in {len(found)} files")
    for part in ("sources", "releases"):
        table[part] = dict(sorted(table[part].items(), key=lambda item: [int(n) for n in item[0].split(".")]))
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
