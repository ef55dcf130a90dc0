"""Whatever a file or a command line holds: it is read or refused, in time, with a message that a person can read."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import long, mutations
from fuzz.command_lines import STATUSES, command_line, use_in
from fuzz.readers import READERS
from fuzz.readers.reader import Reader
from fuzz.trying import try_inputs, unclear

from shootdown._values.errors import ShootdownError


@pytest.mark.parametrize("reader", READERS.values(), ids=list(READERS))
def test_a_file_is_read_or_refused(reader: Reader, tmp_path: Path) -> None:
    found = try_inputs(reader.name, reader.make, reader.use(tmp_path), 30 if reader.heavy else 1000, seed=2)
    assert not found.findings, "\n\n".join(f"{what}: {how}" for what, how in found.findings.items())
    assert len(found.outcomes) > 1 or reader.heavy


@pytest.mark.compiled
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # files of commands interrupted
def test_a_command_line_ends_in_time_with_a_known_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOOTDOWN_COMPILE", "never")
    found = try_inputs("command lines", command_line, use_in(tmp_path), 400, seed=2, seconds=30)
    assert not found.findings, "\n\n".join(f"{what}: {how}" for what, how in found.findings.items())
    assert set(found.outcomes) <= {f"ended with {status}" for status in STATUSES}
    assert len(found.outcomes) > 1


def test_an_input_of_a_seed_is_always_the_same() -> None:
    for reader in READERS.values():
        assert reader.make(random.Random("x 1 7")) == reader.make(random.Random("x 1 7"))
    assert command_line(random.Random("x 1 7")) == command_line(random.Random("x 1 7"))


def test_what_fails_is_found_with_its_input() -> None:
    def use(number: int) -> str:
        if number < 50:
            raise ShootdownError("it is too small: give more" if number > 9 else " ")
        return "read" if number < 90 else str(1 // (number - 95))

    found = try_inputs("numbers", lambda rng: rng.randrange(100), use, 3000)
    assert set(found.outcomes) > {"refused", "read", "failed"}
    assert [what.partition(" ")[0] for what in sorted(found.findings)] == ["ZeroDivisionError", "an"]


@pytest.mark.parametrize("again", [lambda: None, lambda: time.sleep(1)], ids=["works", "sleeps"])
def test_what_hangs_is_found(again: Callable[[], None]) -> None:
    def use(_: int) -> str:
        while True:
            again()

    found = try_inputs("endless", lambda rng: rng.randrange(2), use, 1, seconds=0.05)
    assert found.outcomes == {"failed": 1}
    assert next(iter(found.findings)).startswith("HangsError")


def test_a_message_is_a_few_lines_of_words() -> None:
    assert unclear("no rows: write some") is None
    assert unclear("a\nb\nc\nd\ne")
    assert unclear("<lambda object at 0x7f00>")


def test_damage_changes_most_inputs_and_leaves_the_original() -> None:
    rng, value = random.Random(1), {"a": [1, {"b": "c"}], "d": None}
    before = json.dumps(value)
    assert sum(mutations.damaged(rng, b"some bytes") != b"some bytes" for _ in range(100)) > 80
    assert sum(repr(mutations.damaged_value(rng, value)) != repr(value) for _ in range(100)) > 80
    assert json.dumps(value) == before


def test_the_record_has_the_table_that_rows_are_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "long-runs.md"
    copy.write_text(long.RECORD.read_text())
    monkeypatch.setattr(long, "RECORD", copy)
    kept = {"seed": 1, "count": 1000, "outcomes": {"read": 400, "refused": 600}, "cpu": 1.4, "findings": {}}
    added = long.row("2026-01-01", "abc", "images", kept)
    assert added == "| 2026-01-01 | abc | images | 1 | 1,000 | 400 read, 600 refused | 1 | 0 |"
    later = {
        "seed": 1,
        "count": 1500,
        "outcomes": {"read": 900, "refused": 600},
        "cpu": 2.4,
        "findings": {"x": "y"},
    }
    went_on = long.row("2026-01-02", "def", "images", long.since(kept, later))
    assert went_on == "| 2026-01-02 | def | images | 1 | 500 from 1,000 on | 500 read | 1 | 1 |"
    before = copy.read_text().splitlines()
    long.record([added])
    after = copy.read_text().splitlines()
    assert len(after) == len(before) + 1
    assert added.count("|") == long.HEADING.count("|")
