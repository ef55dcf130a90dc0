"""docs/reference/kernel-functions.md lists the functions that a patch can replace, and their arguments."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import shootdown._mm as mm
from shootdown._machine.functions import DECLARED
from shootdown._plugins.registry import registry
from shootdown._values.releases import resolve

PAGE = Path(__file__).parents[2] / "docs/reference/kernel-functions.md"


def rows() -> list[str]:
    """Return the page's table: core's functions first, then each architecture's."""
    for module in pkgutil.iter_modules(mm.__path__):
        importlib.import_module(f"shootdown._mm.{module.name}")
    for name, owner in registry().architectures().items():
        platform = next(iter(registry().platforms(name).values()))
        assert owner.lower is not None
        owner.lower(resolve("7.0", owner), platform)
    found = []
    for name, several in DECLARED.items():
        for one in several:
            package = one.write.__module__.partition(".")[0]
            arch = package.removeprefix("shootdown_") if package != "shootdown" else ""
            where = arch or "core"
            where = "plain lowerings" if "_porting" in one.write.__module__ else where
            file = f"`{one.where}`" if isinstance(one.where, str) else "the lowering's `source`"
            arguments = ", ".join(("call", *one.parameters))
            if not arch or arch in registry().architectures():
                found.append(
                    (where != "core", where, name, f"| `{name}` | `({arguments})` | {where} | {file} |")
                )
    return [row for *_, row in sorted(found)]


def test_the_page_lists_each_function_with_its_arguments() -> None:
    shown = [line for line in PAGE.read_text().splitlines() if "` | `(call" in line]
    assert shown == rows()
