"""What `shootdown check loongarch` checks, a test for each statement; docs/compliance.md has the reasons."""

from __future__ import annotations

from shootdown.testing import ArchitectureCompliance


class TestLoongarch(ArchitectureCompliance):
    """What every architecture must hold to. What lacks evidence is skipped: `pytest -ra` says what would be some."""

    architecture = "loongarch"
