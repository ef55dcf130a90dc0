"""What `shootdown check s390` checks, a test for each statement; docs/compliance.md has the reasons."""

from __future__ import annotations

from shootdown.testing import ArchitectureCompliance


class TestS390(ArchitectureCompliance):
    """What every architecture must hold to. What lacks evidence is skipped: `pytest -ra` says what would be some."""

    architecture = "s390"
