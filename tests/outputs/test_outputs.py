"""Every command of commands.txt prints what it printed when recorded.json was written."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load() -> ModuleType:
    """Import the script beside this file, which is in no package."""
    spec = importlib.util.spec_from_file_location("record_outputs", Path(__file__).with_name("record.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record = load()
KNOWN = record.recorded()
COMMANDS = [
    pytest.param(one, id=one.text, marks=[pytest.mark.long] if one.is_long else [])
    for one in record.commands()
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_was_recorded(command) -> None:
    difference = record.difference(command.text, KNOWN.get(command.text), record.run(command))
    assert not difference, difference


def test_everything_that_was_recorded_is_still_asked_for() -> None:
    assert set(KNOWN) == {one.text for one in record.commands()}
