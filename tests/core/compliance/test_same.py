"""Statement 8.5: what another process writes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import subject

from shootdown._compliance import same
from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown._compliance.statement import Outcome
from shootdown._plugins.registry import registry


def outcome(about: Any) -> Outcome:
    (found,) = check(about, chosen(["8.5"]))
    return found


def test_what_another_process_writes_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same, "_PLATFORMS", 1)
    here = same.digests("riscv", 1)
    monkeypatch.setattr(same, "_asked_elsewhere", lambda name, most, seed: dict(here))
    assert outcome(subject(registry().architecture("riscv"))).word == "shown"
    platform, method = next(iter(here))
    monkeypatch.setattr(
        same, "_asked_elsewhere", lambda name, most, seed: {**here, (platform, method): "another"}
    )
    (message,) = outcome(subject(registry().architecture("riscv"))).findings
    assert f"on {platform}: {method}() writes other steps in another process" in message


def test_an_architecture_that_another_process_would_not_find_is_left_out() -> None:
    stranger = attrs.evolve(registry().architecture("riscv"), summary="another one")
    assert outcome(subject(stranger)).word == "not applicable"


@pytest.mark.long
def test_another_process_loads_the_plugin_and_writes_the_same() -> None:
    assert outcome(subject(registry().architecture("riscv"))).word == "shown"
