"""New plugins of every kind, as `shootdown new` writes them, for those who try them out."""

from __future__ import annotations

from pathlib import Path

from shootdown._cli import run

#: The options of each, by its name.
NEW: dict[str, tuple[str, ...]] = {
    "toy": (),
    "toy-broadcast": ("--flush", "broadcast"),
    "toy-call": ("--flush", "call"),
    "toy-box": ("--kind", "platform", "--arch", "x86"),
    "toy-work": ("--kind", "workload"),
    "toy-race": ("--kind", "scenario"),
    "toy-page": ("--kind", "report"),
}


def written(folder: Path) -> dict[str, Path]:
    """Write one of each into a folder, and return where each is."""
    found = {}
    for name, options in NEW.items():
        found[name] = folder / f"shootdown-{name}"
        assert run(["new", name, str(found[name]), *options]) == 0
    return found
