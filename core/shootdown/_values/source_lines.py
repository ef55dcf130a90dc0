"""The lines of kernel functions in releases whose sources were read: `source_lines.json`.

`tools/lines_from_tree.py` writes the file from kernel trees, which are no part of this repository. A release that is
not in it is unknown: lines move with every release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def _releases() -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Return release to file to function to line."""
    text = files("shootdown._values").joinpath("source_lines.json").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Mapping[str, int]]] = json.loads(text)["releases"]
    return found


def known_releases() -> tuple[str, ...]:
    """Return the releases whose lines are known."""
    return tuple(_releases())


def place(release: str, function: str, file: str) -> tuple[str, int] | None:
    """Return the file and line of a kernel function's definition, or None where it isn't known.

    Args:
        release: such as `6.1.192`; what follows a `+`, a patch's name, is left out.
        function: its name.
        file: the file that it is in as far as the model knows. A static function of another file is another one, but
            some move: where that file has none and exactly one other has, it is that one.
    """
    there = _releases().get(release.partition("+")[0], {})
    if function in there.get(file, {}):
        return file, there[file][function]
    others = [(path, names[function]) for path, names in there.items() if function in names]
    return others[0] if file and len(others) == 1 else None
