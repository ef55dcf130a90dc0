"""What a browser may ask: names that are installed, few and short, and nothing that is a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.case import machines
from shootdown._report.commands import command_line
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.reading import UnreadableError, read_integer
from shootdown._values.releases import resolve
from shootdown._values.series import newest_known

#: Bounds of one request.
MOST_QUERY = 2000
MOST_KERNELS = 4
MOST_CPUS = 256
MOST_SETTINGS = 8
MOST_PARAMETERS = 16
_MOST_TEXT = 40
_RELEASE = re.compile(r"(?:proposal:)?[\w.+-]{1,40}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_VALUE = re.compile(r"[\w.,%+-]{1,40}", re.ASCII)
#: Groups of what-ifs that name no file.
_GROUPS = ("kernel", "platform", "scenario")
#: The button of the form: the page that it asks for has its answer, for browsers without scripts.
NOW = "now"
KEYS = ("program", "arch", "platform", "kernels", "cpus", "p", "set", NOW)


@attrs.frozen
class Asked:
    """One request, all of it checked.

    Args:
        program: a workload or scenario that is installed.
        explored: whether it is a scenario.
        arch, platform: that are installed.
        kernels: releases or proposals.
        cpus: online CPUs; None for the platform's own.
        parameters, settings: as texts.
    """

    program: str
    explored: bool
    arch: str
    platform: str
    kernels: tuple[str, ...]
    cpus: int | None
    parameters: Mapping[str, str]
    settings: Mapping[str, str]

    def command(self) -> str:
        """Return the command that gives the same."""
        return command_line(
            "explore" if self.explored else "compare",
            self.program,
            parameters=self.parameters,
            arch=(self.arch,),
            platform=(self.platform,),
            kernel=self.kernels,
            cpus=() if self.cpus is None else (self.cpus,),
            settings=[f"{name}={value}" for name, value in self.settings.items()],
        )


def asked(query: Sequence[tuple[str, str]]) -> Asked:
    """Check a request.

    Args:
        query: names and values, as often as they come.

    Raises:
        ShootdownError: something is unknown, too much or too long; the message names it.
    """
    values: dict[str, list[str]] = {}
    for name, value in query:
        if name not in KEYS:
            raise ShootdownError(f"there is nothing to ask called {name!r:.60}; there is: {', '.join(KEYS)}")
        values.setdefault(name, []).append(value.strip())
    for name in ("program", "arch", "platform", "kernels", "cpus"):
        if len(values.get(name, ())) > 1:
            raise ShootdownError(f"{name} is given twice")
    installed = registry()
    program = _one(values, "program") or "hugetlb-munmap"
    programs = {**dict.fromkeys(installed.workloads(), False), **dict.fromkeys(installed.scenarios(), True)}
    if program not in programs:
        raise ShootdownError(
            f"there is no program {program!r:.60}; {nearest(program[:_MOST_TEXT], programs)}"
        )
    arch, platform = _one(values, "arch"), _one(values, "platform")
    for what, name, known in (
        ("architecture", arch, list(installed.architectures())),
        (
            "platform",
            platform,
            [one for owner in installed.architectures() for one in installed.platforms(owner)],
        ),
    ):
        if name and name not in known:
            raise ShootdownError(f"there is no {what} {name!r:.60}; {nearest(name[:_MOST_TEXT], known)}")
    owner, machine = machines(installed, (arch,) if arch else (), (platform,) if platform else ())[0]
    return Asked(
        program=program,
        explored=programs[program],
        arch=owner.name,
        platform=machine.name,
        kernels=_kernels(_one(values, "kernels"), owner),
        cpus=None if programs[program] else _cpus(_one(values, "cpus")),
        parameters=_pairs(values.get("p", ()), "parameter", MOST_PARAMETERS),
        settings=_settings(values.get("set", ())),
    )


def _one(values: Mapping[str, list[str]], name: str) -> str:
    return values[name][0] if values.get(name) else ""


def _kernels(text: str, architecture: Architecture) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",")) if text else (newest_known(),)
    if len(found) > MOST_KERNELS:
        raise ShootdownError(f"{len(found)} kernels: at most {MOST_KERNELS} at once")
    for name in found:
        if _RELEASE.fullmatch(name) is None:
            raise ShootdownError(f"{name!r:.60} is no release such as 6.12.74")
        resolve(name, architecture)
    return found


def _cpus(text: str) -> int | None:
    if not text:
        return None
    try:
        return read_integer(text, minimum=1, maximum=MOST_CPUS)
    except UnreadableError:
        raise ShootdownError(f"{text!r:.60} CPUs: a number from 1 to {MOST_CPUS} here") from None


def _pairs(texts: Sequence[str], what: str, most: int) -> dict[str, str]:
    given = [text for text in texts if text]
    if len(given) > most:
        raise ShootdownError(f"{len(given)} {what}s: at most {most} at once")
    found: dict[str, str] = {}
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        plain = name.rpartition(".")[2]
        if _NAME.fullmatch(plain) is None or _VALUE.fullmatch(value) is None or "," in value:
            raise ShootdownError(f"{text!r:.60} is no {what} such as name=value")
        if name in found:
            raise ShootdownError(f"{what} {name} is given twice")
        found[name] = value
    return found


def _settings(texts: Sequence[str]) -> dict[str, str]:
    found = _pairs(texts, "what-if", MOST_SETTINGS)
    for name in found:
        group, dot, _ = name.partition(".")
        if not dot or group not in _GROUPS:
            raise ShootdownError(
                f"{name:.60}: a what-if here is one of {', '.join(f'{one}.NAME' for one in _GROUPS)}"
            )
        if name == "platform.cpus":
            raise ShootdownError("platform.cpus: say it as the number of CPUs")
    return found


def choices() -> dict[str, Any]:
    """Return what the page offers: programs with their parameters, platforms by architecture, switches."""
    from shootdown._values.kernel import Kernel, switches_of

    installed = registry()
    programs: dict[str, Any] = {**installed.workloads(), **installed.scenarios()}
    described = {
        name: {
            "summary": one.summary,
            "parameters": [
                {"name": each.name, "default": _shown(each.default), "doc": each.doc}
                for each in one.parameters
            ],
        }
        for name, one in programs.items()
    }
    return {
        "programs": described,
        "workloads": list(installed.workloads()),
        "scenarios": list(installed.scenarios()),
        "platforms": {name: list(installed.platforms(name)) for name in installed.architectures()},
        "switches": [f"kernel.{name}" for name, _ in switches_of(Kernel)],
        "newest": newest_known(),
    }


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
