"""Recordings as text, read with what all installed architectures know."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from tests.core.records.parts import Read

from shootdown._questions.read import read
from shootdown._records.recording import Recording


@pytest.fixture
def recorded(tmp_path: Path) -> Read:
    """Return a function that writes texts into files and reads them as one recording."""

    def of(*texts: str, arch: str | None = None) -> Recording:
        files = []
        for number, text in enumerate(texts):
            file = tmp_path / f"recording-{number}.txt"
            file.write_text(textwrap.dedent(text))
            files.append(file)
        return read(files, arch=arch)

    return of
