"""What every test may rely on, whoever started the tests."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    """Make the tests independent of where they were started."""
    # A shell that starts a job in the background lets it ignore Ctrl-C, and its children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests of kernels compile them; those of what happens by itself say so.
    os.environ.setdefault("SHOOTDOWN_COMPILE", "now")
    # Reports take their width from it; tests that try out a width set it.
    os.environ.pop("COLUMNS", None)
    # How long an example takes says how busy the machine is, and whether a kernel was compiled already.
    settings.register_profile("shootdown", deadline=None)
    settings.register_profile("quick", deadline=None, max_examples=20)
    settings.load_profile(config.getoption("--hypothesis-profile") or "shootdown")
