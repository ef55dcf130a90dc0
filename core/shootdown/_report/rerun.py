"""What is different between two answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

#: Keys whose values are measured by a clock.
MEASURED = ("seconds",)
#: What a result says of the question and its circumstances, not of the answer.
_ASKED = ("asked", "version", "command")


def differences(then: Any, now: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what is different: where, and both values; None for what is not there.

    What was measured by a clock, and what the top says of the question, are left out.
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in {**then, **now}:
            if key not in MEASURED and (at or key not in _ASKED):
                yield from differences(then.get(key), now.get(key), f"{at}.{key}" if at else key)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, f"{at}[{number}]")
    elif isinstance(then, list) and isinstance(now, list):
        yield f"{at} (how many)", len(then), len(now)
    elif then != now or isinstance(then, bool) != isinstance(now, bool):
        yield at, then, now


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what an answer depends on and is another one now, from what both say that they were asked."""
    found = [
        f"the table of {name} has changed since"
        for name in {**then["tables"], **now["tables"]}
        if then["tables"].get(name) != now["tables"].get(name)
    ]
    if then["version"] != now["version"]:
        found.append(f"shootdown {then['version']} answered then, {now['version']} now")
    elif then["code"] != now["code"]:
        found.append("the code of shootdown or of a plugin has changed since")
    for name in {**then["plugins"], **now["plugins"]}:
        before, after = (one["plugins"].get(name, "not loaded") for one in (then, now))
        if before != after and name != "shootdown":
            found.append(f"plugin {name}: {before} then, {after} now")
    for path, digest in then["files"].items():
        if path not in now["files"]:
            found.append(f"{path} is not there now")
        elif now["files"][path] != digest:
            found.append(f"{path} has changed since")
    if then["machine"] != now["machine"] and "--arch" not in then["arguments"]:
        found.append(f"asked on {then['machine']} then, on {now['machine']} now, and no --arch names one")
    return found


def shown(value: Any) -> str:
    """Write a value on a line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
