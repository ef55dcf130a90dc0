"""Stories that `explore --json` saved: read, and replayed."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.mutations import damaged, damaged_value
from fuzz.readers.reader import INPUTS, Reader, Use

from shootdown._questions import saved


@cache
def _stories() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(INPUTS.glob("story-*.json"))]


@cache
def _short_stories() -> list[dict[str, Any]]:
    """Return the stories with two moves each: the reader of rows does not look further."""
    return [
        {
            **one,
            "rows": [
                {**row, "story": row["story"][:2]} if isinstance(row, dict) else row for row in one["rows"]
            ],
        }
        for one in _stories()
        if isinstance(one.get("rows"), list)
    ]


def saved_rows(rng: random.Random) -> bytes:
    """Make what `explore --json` prints."""
    value: Any = rng.choice(_short_stories())
    for _ in range(rng.randrange(4)):
        value = damaged_value(rng, value)
    data = json.dumps(value).encode("utf-8", "surrogatepass")
    words = (b"NaN", b"1e400", b"{}", b"[]", b"null", b"9" * 5000, b"[" * 3000, b'"rows"', b'"schema": 2')
    return damaged(rng, data, words) if rng.random() < 0.4 else data


def _use_saved(folder: Path) -> Use:
    del folder  # the command hands over the text

    def use(data: bytes) -> str:
        saved.read_rows(data.decode("utf-8", "replace"), "a file")
        return "read"

    return use


def whole_stories(rng: random.Random) -> bytes:
    """Make a story to replay, one place of which may be damaged."""
    value: Any = rng.choice([one for one in _stories() if json.dumps(one).find("message-passing") < 0])
    rows = value["rows"]
    if rng.random() < 0.9 and rows:
        at = rng.randrange(len(rows))
        value = {**value, "rows": [*rows[:at], damaged_value(rng, rows[at]), *rows[at + 1 :]]}
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _replay(folder: Path) -> Use:
    del folder

    def use(data: bytes) -> str:
        rows = saved.read_rows(data.decode("utf-8", "replace"), "a file")
        bugs = [row for row in rows if row.values["verdict"] == "bug"]
        for row in bugs[:1]:
            json.dumps(saved.replay_row(row, "a file").to_dict())
        return "replayed" if bugs else "no bug"

    return use


READERS = (
    Reader("saved stories", saved_rows, _use_saved),
    Reader("replays", whole_stories, _replay, heavy=True),
)
