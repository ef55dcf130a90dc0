"""Every hook is documented with its exact signature."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from shootdown import hookspecs

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "hooks.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("shootdown_")]


def signature(name: str) -> str:
    found = inspect.signature(getattr(hookspecs, name))
    arguments = ", ".join(str(one).replace("'", "") for one in found.parameters.values())
    return f"{name}({arguments}) -> {str(found.return_annotation).strip(chr(39))}"


def test_every_hook_has_a_section_that_begins_with_its_signature() -> None:
    sections = dict(re.findall(r"^## (\w+)\n\n```text\n(.+)\n```\n\n\w", PAGE, re.MULTILINE))
    assert sections == {name: signature(name) for name in HOOKS}


def test_every_section_says_when_the_hook_runs() -> None:
    for section in PAGE.split("\n## ")[1:]:
        assert re.search(r"\bIt runs\b", section), section.splitlines()[0]


def test_hooks_stand_in_the_order_in_which_they_run() -> None:
    from shootdown._plugins.installed import Plugin

    fields = ["architectures", "platforms", "workloads", "scenarios", "reports"]
    assert [
        name.removeprefix("shootdown_") for name in re.findall(r"^## (\w+)", PAGE, re.MULTILINE)
    ] == fields
    assert [name for name in Plugin.__annotations__ if name != "origin"] == fields
