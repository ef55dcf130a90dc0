"""Command lines: the ones whose outputs are recorded and ones made from the options that there are, damaged or not."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
from fuzz.mutations import TEXTS, damaged

from shootdown import _cli

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "tests" / "outputs" / "commands.txt"
INPUTS = ROOT / "tests" / "outputs" / "inputs"

#: Each exit status that there is.
STATUSES = (0, 1, 2, 3, 130, 141)
#: Seconds after which Ctrl-C is pressed, and seconds from then on until the command has ended.
PATIENCE, ANSWER = 0.2, 2.0

#: Options that choose one, or a few, of many rows.
_SMALL = {
    "compare": ("hugetlb-munmap", "--arch", "x86", "--kernel", "7.0", "--cpus", "2"),
    "explain": ("hugetlb-munmap", "--arch", "x86", "--kernel", "7.0", "--cpus", "2"),
    "explore": ("unshare-gup", "--arch", "x86", "--kernel", "7.0", "--states", "50"),
    "matrix": ("--arch", "nothing"),
    "targets": ("--arch", "nothing"),
    "walk": (
        "--format",
        "x86_64-4level",
        "--memory",
        str(INPUTS / "x86_64-gap.npz"),
        "--root",
        "0x40003000",
        "0x400000",
    ),
    "tlb": (str(INPUTS / "cut.bin"),),
    "read": (str(INPUTS / "recorded" / "trace.txt"),),
    "replay": (str(INPUTS / "recorded" / "trace.txt"),),
    "validate": (str(INPUTS / "measured-broken.jsonl"),),
    "list": (),
    "warm": ("--arch", "nothing"),
    "plugins": (),
}

#: Command lines that import whatever any of them does.
WHOLE = (
    ("compare", *_SMALL["compare"], "--json"),
    ("compare", *_SMALL["compare"]),
    ("explain", *_SMALL["explain"], "--events", "--perfetto", "folder/t"),
    ("explore", *_SMALL["explore"]),
    (
        "explore",
        "unshare-gup",
        "--arch",
        "arm64",
        "--kernel",
        "6.15",
        "--html",
        "folder/h",
        "--perfetto",
        "folder/p",
    ),
    ("explore", "unshare-gup", "--arch", "x86", "--kernel", "7.0", "--soak", "2"),
    ("explore", "--replay", str(INPUTS / "story-unshare-gup.json")),
    ("matrix", "--arch", "x86", "--kernel", "7.0", "--scenario", "nothing"),
    ("targets", "--arch", "arm64", "--kernel", "7.0"),
    ("walk", *_SMALL["walk"]),
    ("walk", *_SMALL["walk"][:-1], "--all"),
    ("tlb", str(INPUTS / "events.npy")),
    ("tlb", str(INPUTS / "view.txt"), "--platform", "neoverse-v2"),
    ("tlb", str(ROOT / "docs" / "examples" / "compiler-like.bin.xz"), "--help"),
    ("validate", str(INPUTS / "measured-wrong.jsonl")),
    ("read", str(INPUTS / "recorded" / "trace.txt")),
    ("read", str(INPUTS / "recorded" / "stacks.json"), "--json"),
    ("replay", str(INPUTS / "recorded" / "trace.txt")),
    ("tlb", str(INPUTS / "recorded" / "trace.txt")),
    *(
        ("list", kind)
        for kind in ("architectures", "kernels", "scenarios", "switches", "formats", "settings")
    ),
    ("plugins",),
    ("warm", "--nothing"),
    ("--version",),
)

_PATHS = ("/", "/dev/null", "/dev/full", "nothing", "", ".", "folder", "empty", "a/b/c", "-", "x.npz", "/proc/self/mem",
          "é", "\udcff", "x" * 300, "scenario.py", "~/x")  # fmt: skip


@cache
def recorded() -> list[list[str]]:
    """Return the command lines whose outputs are recorded, but for those that take long."""
    lines = []
    for line in COMMANDS.read_text().splitlines():
        text = line.partition(" < ")[0].partition("#")[0].strip()
        if not text or "# long" in line:
            continue
        words = [word.replace("{out}", ".") for word in shlex.split(text)]
        while words and "=" in words[0]:
            words = words[1:]
        if words:
            lines.append([str(ROOT / word) if (ROOT / word).is_file() else word for word in words])
    return lines


@cache
def _options(command: str) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """Return the options of a command: each name, whether it takes a value, and the values that there are."""
    context = click.Context(click.Command("x"))
    found = _cli._frame.get_command(context, command)
    assert found is not None
    return tuple(
        (name, not getattr(p, "is_flag", False), tuple(map(str, getattr(p.type, "choices", ()))))
        for p in found.params
        for name in p.opts
        if isinstance(p, click.Option)
    )


@cache
def _values() -> dict[str, list[str]]:
    """Return the values that options have in the recorded command lines."""
    values: dict[str, list[str]] = {}
    for words in recorded():
        for name, value in itertools.pairwise(words):
            if name.startswith("-") and not value.startswith("-"):
                values.setdefault(name, []).append(value)
    return values


def _value(rng: random.Random, name: str, choices: tuple[str, ...]) -> str:
    if name in ("--html", "--perfetto", "--replay", "--memory") and rng.random() < 0.5:
        return rng.choice(_PATHS)
    known = choices or tuple(_values().get(name, ("1",)))
    return rng.choice(known)


def _bad(rng: random.Random, word: str) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1 and "=" in word:
        return f"{word.partition('=')[0]}={rng.choice(TEXTS)}"
    if kind == 2:
        return word + rng.choice((",", "=", ".", ",x", "9" * 20, "-", " ", "@7.0", "k"))
    if kind == 3:
        return rng.choice(_PATHS)
    return damaged(rng, word.encode("utf-8", "surrogatepass"), (b"=", b",", b"-", b".", b"9")).decode(
        "utf-8", "replace"
    )


def command_line(rng: random.Random) -> list[str]:
    """Make a command line: of a hundred, some ninety have something wrong."""
    if rng.random() < 0.3:
        words = list(rng.choice(recorded()))
    else:
        command = rng.choice(list(_SMALL))
        words = [command, *_SMALL[command]]
        for _ in range(rng.randrange(4)):
            name, takes, choices = rng.choice(_options(command))
            words.append(name)
            if takes:
                words.append(_value(rng, name, choices))
    if rng.random() < 0.92 or (words[0] in ("compare", "matrix", "targets", "warm") and len(words) < 4):
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(words))
            kind = rng.randrange(8)
            if kind == 0:
                del words[at]
            elif kind == 1:
                words.insert(at, rng.choice(words))
            elif kind == 2:
                words.insert(at, rng.choice(TEXTS))
            elif kind == 3:
                words.insert(
                    at,
                    rng.choice(("--json", "--help", "--", "-", "--nothing", "-p", "--set", "--arch", "-h")),
                )
            else:
                words[at] = _bad(rng, words[at])
            words = words or ["list"]
    if words[0] == "warm" and "--help" not in words:
        words.append("--nothing")  # it would compile everything
    return [_passed_on(word) for word in words]


def _passed_on(word: str) -> str:
    """Return a word as a process gets it: it ends before a NUL, and what is no UTF-8 becomes lone surrogates."""
    return word.partition("\0")[0].encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


class Interrupting:
    """Press Ctrl-C in this process when a command takes long, and note when."""

    def __init__(self) -> None:
        self.at: float | None = None

    def ring(self, *_: object) -> None:
        self.at = time.process_time()
        raise KeyboardInterrupt


def use_in(folder: Path) -> Callable[[list[str]], str]:
    """Return a function that runs a command line in a folder and says with what status it ended.

    Raises:
        AssertionError: of that function, where something does not hold.
    """
    (folder / "folder").mkdir(exist_ok=True)
    (folder / "empty").touch()
    with _captured(folder):  # what is imported by a command that is interrupted would be there in part only
        for words in WHOLE:
            _cli.run([*words])

    def use(words: list[str]) -> str:
        ring = Interrupting()
        with _captured(folder) as (out, err):
            before = signal.signal(signal.SIGALRM, ring.ring)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                status = _cli.run(words)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
        if ring.at is not None:
            took = time.process_time() - ring.at
            assert took < ANSWER, f"Ctrl-C took {took:.1f} s of CPU time"
        check(words, status, out.getvalue(), err.getvalue())
        return f"ended with {status}"

    return use


def check(words: list[str], status: int, out: str, err: str) -> None:
    """Check what a command left behind."""
    del words
    assert status in STATUSES, f"status {status}"
    assert "Traceback" not in out + err, f"a traceback: {err[-300:]}"
    if status == 2:
        said = [line for line in err.splitlines() if line.startswith("shootdown: error: ")]
        assert len(said) == 1, f"{len(said)} errors: {err[-300:]!r}"
        assert len(said[0]) > len("shootdown: error: ") + 3, f"an error without words: {err[-300:]!r}"
        assert "object at 0x" not in err, f"an error from inside: {err[-300:]!r}"


@contextlib.contextmanager
def _captured(folder: Path) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Catch what is printed, as a pipe would; standard input is empty."""
    out, err = io.StringIO(), io.StringIO()
    kept: tuple[Any, ...] = (sys.stdout, sys.stderr, sys.stdin, os.getcwd())
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdout, sys.stderr = out, err
    os.chdir(folder)
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr, sys.stdin = kept[:3]
        os.chdir(kept[3])
