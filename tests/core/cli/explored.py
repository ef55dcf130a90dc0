"""Run `shootdown` in this process, and read the rows that it wrote as JSON."""

from __future__ import annotations

import json

import pytest

from shootdown import _cli


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert _cli.run(arguments) == status, capsys.readouterr()
    done = capsys.readouterr()
    return done.out, done.err


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, object]]:
    document = json.loads(run(capsys, *arguments, "--json", status=status)[0])
    assert document["schema"] == 1
    found: list[dict[str, object]] = document["rows"]
    return found
