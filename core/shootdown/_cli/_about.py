"""What a command is asked about: architectures, platforms, releases, CPUs, parameters, what-ifs, a patch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

import attrs
import click

from shootdown._cli import _common
from shootdown._report.commands import command_line

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


class Named(TypedDict):
    """What a command is asked about, by the names of questions' arguments."""

    arch: tuple[str, ...]
    platforms: tuple[str, ...]
    kernels: tuple[str, ...]
    parameters: Mapping[str, str]
    settings: tuple[str, ...]
    patch: str | None


@attrs.frozen
class About:
    """What a command is asked about, each as its option gives it; empty where it is not given.

    Args:
        arch, platform, kernel, cpus: names and numbers, in the order of the rows.
        parameters: of a workload or a scenario: `-p`.
        settings: what-ifs: `--set`.
        patch: a file that replaces kernel functions.
        here: this machine is meant where nothing else is named; `_here.filled` names it.
    """

    arch: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()
    parameters: Mapping[str, str] = attrs.Factory(dict)
    settings: tuple[str, ...] = ()
    patch: str | None = None
    here: bool = False

    def named(self) -> Named:
        """Return what most questions take, by the names of their arguments."""
        return {
            "arch": self.arch,
            "platforms": self.platform,
            "kernels": self.kernel,
            "parameters": self.parameters,
            "settings": self.settings,
            "patch": self.patch,
        }

    def command_line(
        self,
        *words: str,
        arch: Iterable[str] = (),
        kernel: Iterable[str] = (),
        cpus: Iterable[int] = (),
        lists: Mapping[str, Iterable[str]] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> str:
        """Return the command that gives an answer again, as it is typed.

        Args:
            words: the command and its arguments.
            arch, kernel, cpus: what the answer is about where none was named.
            lists, flags: further options, as `commands.command_line` takes them.
        """
        return command_line(
            *words,
            parameters=self.parameters,
            arch=self.arch or arch,
            platform=self.platform,
            kernel=self.kernel or kernel,
            lists=lists,
            cpus=self.cpus or cpus,
            settings=self.settings,
            flags={"--patch": self.patch, **(flags or {})},
        )


_OPTIONS: dict[str, Option] = {
    "parameters": _common.parameter_option,
    "arch": _common.arch_option,
    "platform": _common.platform_option,
    "kernel": _common.kernel_option,
    "cpus": _common.cpus_option,
    "here": click.option(
        "--here",
        is_flag=True,
        help="This machine: its architecture, platform, CPUs and kernel, unless given.",
    ),
    "settings": _common.set_option,
    "patch": _common.patch_option,
}


def options(*names: str, **own: Option) -> Option:
    """Give a command options, and hand it what they say as one argument: `about`.

    Args:
        names: the fields of `About` that it has options for, in the order of `--help`.
        own: its own options for some of them, by field.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def gathered(**given: Any) -> Any:
            about = About(**{name: given.pop(name) for name in names})
            return command(about=about, **given)

        for name in reversed(names):
            (_OPTIONS | own)[name](gathered)
        return gathered

    return decorate
