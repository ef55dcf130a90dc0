"""Random walks: a sample, which `make test` runs, and a million of each format, which `make long` runs and records."""

from __future__ import annotations

import json
import time

import pytest

MILLION = 1_000_000
OTHER_SEEDS = 10_000  # added to the seed of the sample

AT_LENGTH = pytest.mark.parametrize(
    "at_length", [pytest.param(False, id="sample"), pytest.param(True, id="million", marks=pytest.mark.long)]
)


class Run:
    """One test's random walks: its seed, and what is recorded of it.

    Args:
        record: pytest's record_property.
        form: the page-table format.
        against: what the walks are compared with.
        seed: of the sample.
        at_length: whether a million walks are compared.
    """

    def __init__(self, record, form, against, seed, at_length):
        self.record, self.form, self.against, self.at_length = record, form, against, at_length
        self.seed = seed + OTHER_SEEDS * at_length
        self.began = time.process_time()

    def batches(self, sample, compared):
        """Count batches: those of the sample, or as many as it takes to compare a million walks.

        Args:
            sample: batches of the sample.
            compared: returns how many walks were compared so far; some can't be.
        """
        batch = 0
        while compared() < MILLION if self.at_length else batch < sample:
            yield batch
            batch += 1

    def ended(self, compared):
        """Record that all comparisons held."""
        said = {
            "what": f"walks of {self.form}",
            "against": self.against,
            "seed": self.seed,
            "count": compared,
            "result": "equal",
            "cpu_seconds": round(time.process_time() - self.began, 1),
        }
        self.record("sample", json.dumps(said))
