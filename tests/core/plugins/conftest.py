"""Distributions as pip would leave them, in a folder of sys.path."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.plugins.registries import HEADER, Install


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a distribution with one plugin module, as pip would leave it, into a folder of sys.path."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(
        distribution: str,
        code: str,
        *,
        version: str = "1.0",
        entry_points: str | None = None,
        header: str = HEADER,
    ) -> None:
        module = "plugged_" + distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(header + textwrap.dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        name = distribution.removeprefix("shootdown-")
        (info / "entry_points.txt").write_text(entry_points or f"[shootdown]\n{name} = {module}\n")
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("plugged_"):
            del sys.modules[name]
