"""Random walks: a sample, which `make test` runs, and a million of each format, which `make long` runs and records."""

from __future__ import annotations

import json
import time

import pytest

MILLION = 1_000_000
TIMES = 12  # as many walks as the sample has: some can't be compared, and a million are
OTHER_SEEDS = 10_000  # added to the seed of the sample

AT_LENGTH = pytest.mark.parametrize(
    "times", [pytest.param(1, id="sample"), pytest.param(TIMES, id="million", marks=pytest.mark.long)]
)


class Run:
    """One test's random walks: its seed, and what is recorded of it.

    Args:
        record: pytest's record_property.
        form: the page-table format.
        against: what the walks are compared with.
        seed: of the sample.
        times: how many times the sample's walks.
    """

    def __init__(self, record, form, against, seed, times):
        self.record, self.form, self.against, self.times = record, form, against, times
        self.seed = seed + OTHER_SEEDS * (times > 1)
        self.began = time.process_time()

    def ended(self, compared):
        """Record that all comparisons held; a million of them, unless this is the sample."""
        if self.times > 1:
            assert compared >= MILLION
        said = {
            "what": f"walks of {self.form}",
            "against": self.against,
            "seed": self.seed,
            "count": compared,
            "result": "equal",
            "cpu_seconds": round(time.process_time() - self.began, 1),
        }
        self.record("sample", json.dumps(said))
