"""A good toy architecture, docs/examples/vax, and a way to change one value of it and check that."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from shootdown import Architecture
from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown._compliance.statement import Outcome
from shootdown._compliance.subject import Subject

SOURCE = Path(__file__).parents[3] / "docs" / "examples" / "vax" / "src" / "shootdown_vax" / "__init__.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shootdown_vax_toy", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


vax = _load()


def good(**changes: Any) -> Architecture:
    """Return the toy architecture, with other values of some fields."""
    (architecture,) = vax.shootdown_architectures()
    return attrs.evolve(architecture, **changes)


def subject(architecture: Architecture) -> Subject:
    """Return an architecture as the statements look at it."""
    return Subject(architecture, tuple(architecture.platforms), "toy")


def outcome(number: str, architecture: Architecture) -> Outcome:
    """Check one statement about an architecture."""
    (found,) = check(subject(architecture), chosen([number]))
    return found


def findings(number: str, architecture: Architecture) -> str:
    """Return what a statement finds wrong, as one text."""
    return "\n".join(outcome(number, architecture).findings)
