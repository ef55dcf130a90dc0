"""The command that makes an answer again, as it is typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping


def command_line(
    *words: str,
    parameters: Mapping[str, str] | None = None,
    arch: Iterable[str] = (),
    platform: Iterable[str] = (),
    kernel: Iterable[str] = (),
    lists: Mapping[str, Iterable[str]] | None = None,
    cpus: Iterable[int] = (),
    settings: Iterable[str] = (),
    flags: Mapping[str, object] | None = None,
) -> str:
    """Return the command that makes a report or an answer again.

    Args:
        words: the command and its arguments.
        parameters: `-p`, by name.
        arch, platform, kernel: lists of names; nothing is written for an empty one.
        lists: further options that take a list.
        cpus: numbers.
        settings: `--set`.
        flags: further options: True for one without a value; None and False are left out.
    """
    found = ["shootdown", *map(shlex.quote, words)]
    for name, value in (parameters or {}).items():
        found += ["-p", shlex.quote(f"{name}={value}")]
    all_lists = {"--arch": arch, "--platform": platform, "--kernel": kernel, **(lists or {})}
    for option_, names in (*all_lists.items(), ("--cpus", map(str, cpus))):
        joined = ",".join(names)
        if joined:
            found += [option_, shlex.quote(joined)]
    for text in settings:
        found += ["--set", shlex.quote(text)]
    for flag, wanted in (flags or {}).items():
        if wanted is True:
            found.append(flag)
        elif wanted is not None and wanted is not False:
            found += [flag, shlex.quote(str(wanted))]
    return " ".join(found)
