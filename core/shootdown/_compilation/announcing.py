"""Messages about compilation in progress, which the caller of this process may show."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []
_watchers: list[Callable[[], None]] = []
_said: set[str] = set()


def listen(listener: Callable[[str], None]) -> None:
    """Call a function with each message from now on, in place of the one before."""
    _listeners[:] = [listener]


def announce(line: str) -> None:
    """Send a message, at most once in this process."""
    if line in _said:
        return
    _said.add(line)
    for listener in _listeners:
        listener(line)


def watch(watcher: Callable[[], None]) -> None:
    """Call a function between the parts of long work from now on; the one before is called no longer."""
    _watchers[:] = [watcher]


def also_watch(watcher: Callable[[], None]) -> None:
    """Call a function between the parts of long work besides, as long as the process lives."""
    _constant.append(watcher)


_constant: list[Callable[[], None]] = []


def tick() -> None:
    """Say that a part of long work is done."""
    for watcher in (*_constant, *_watchers):
        watcher()


def what(module: str) -> str:
    """Describe the kernels of a module, for use in a sentence."""
    wings = {
        "_timed": "the timed engine",
        "_explore": "the explorer",
        "_tlb": "TLBs",
        "_traces": "TLBs",
        "_pagetables": "walks",
    }
    package, _, rest = module.partition(".")
    return (
        wings.get(rest.partition(".")[0], "the engines")
        if package == "shootdown"
        else f"kernels of {package}"
    )
