"""Write a new plugin: a distribution that installs as it is, to be edited. Its files are in `skeletons`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.installed import Registry
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.platform import Platform

KINDS = ("architecture", "platform", "workload", "scenario", "report")

#: How an architecture reaches other CPUs: the name of the way in `PlainLowering`, and the words of a sentence.
FLUSHES: Mapping[str, tuple[str, str]] = {
    "ipi": ("ipi", "by IPI: each CPU in mm_cpumask is interrupted, and its handler invalidates"),
    "broadcast": ("broadcast", "by instructions that the hardware broadcasts to every CPU"),
    "call": (
        "hypercall",
        "by a call of what runs below the kernel, which invalidates on the CPUs in mm_cpumask",
    ),
}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_SUFFIX = ".template"
_SUMMARIES = {
    "architecture": "{name}, made up: three levels of tables, flushes {flush}",
    "platform": "made up: a machine like {like}",
    "workload": "made up: one of two processes discards a shared table and faults it in again",
    "scenario": "made up: a table is freed before the flush that drops links to it",
    "report": "made up: counts as a table of HTML",
}


@attrs.frozen
class Skeleton:
    """What is to be written.

    Args:
        name: of the architecture, platform, workload, scenario or report.
        kind: one of `KINDS`.
        flush: one of `FLUSHES`, for an architecture.
        values: what stands for the names in the templates.
    """

    name: str
    kind: str
    flush: str
    values: Mapping[str, str]

    @property
    def distribution(self) -> str:
        """The distribution's name."""
        return self.values["distribution"]

    def files(self) -> dict[str, str]:
        """Return the text of each file by its path, in the order of paths."""
        root = files("shootdown._plugins") / "skeletons"
        found = {}
        for folder in ("common", self.kind):
            for path, file in _each(root / folder, ""):
                stem, template, flush = path.partition(_SUFFIX)
                if flush not in ("", f".{self.flush}"):
                    continue
                text = file.read_text(encoding="utf-8")
                place = stem.replace("src/package", f"src/{self.values['package']}")
                found[place] = Template(text).substitute(self.values) if template else text
        return dict(sorted(found.items()))


def _each(folder: Traversable, before: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _each(entry, f"{before}{entry.name}/")
        else:
            yield before + entry.name, entry


def skeleton(
    installed: Registry, name: str, kind: str, flush: str = "ipi", architecture: Architecture | None = None
) -> Skeleton:
    """Return what is to be written for a name.

    Args:
        installed: what there is already; its names are taken.
        name: lower-case letters, digits and hyphens.
        kind: one of `KINDS`.
        flush: one of `FLUSHES`, for an architecture.
        architecture: the one that a platform is of.

    Raises:
        ShootdownError: the name can't be one, or is taken.
    """
    _refuse_name(installed, name, kind)
    package = f"shootdown_{name.replace('-', '_')}"
    words = {"name": name, "flush": flush, "like": ""}
    values = {
        "name": name,
        "distribution": f"shootdown-{name}",
        "package": package,
        "Class": "".join(part.capitalize() for part in name.split("-")),
        "way": FLUSHES[flush][0],
        "flush_words": FLUSHES[flush][1],
    }
    if kind == "platform":
        assert architecture is not None
        values |= _like(installed, architecture)
        words["like"] = values["like"]
    values["summary"] = _SUMMARIES[kind].format_map(words)
    return Skeleton(name, kind, flush, values)


def _refuse_name(installed: Registry, name: str, kind: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ShootdownError(
            f"the name {name!r:.60}: a lower-case letter, then letters, digits and single hyphens, at most {_LONGEST}"
        )
    if name.startswith("shootdown-"):
        short = name.removeprefix("shootdown-")
        raise ShootdownError(f"the name {name!r}: leave shootdown- away, shootdown new {short} writes {name}")
    taken: dict[str, str] = {}
    for plugin in installed.plugins:
        taken[plugin.origin.name] = f"plugin {plugin.origin}"
        groups = (
            plugin.architectures,
            *plugin.platforms.values(),
            plugin.workloads,
            plugin.scenarios,
            plugin.reports,
        )
        own: list[Any] = [value for group in groups for value in group]
        own += [platform for value in plugin.architectures for platform in value.platforms]
        for value in own:
            names = (value.name, *getattr(value, "aliases", ()))
            taken |= dict.fromkeys(names, f"{type(value).__name__.lower()} of {plugin.origin}")
    if name in taken:
        raise ShootdownError(f"the name {name!r} is taken: it is the {taken[name]}; choose another one")
    package = f"shootdown_{name.replace('-', '_')}"
    distribution = f"shootdown-{name}"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(distribution)
        raise ShootdownError(f"the name {name!r} is taken: {distribution} is installed; choose another one")
    if importlib.util.find_spec(package) is not None:
        raise ShootdownError(f"the name {name!r} is taken: there is a module {package}; choose another one")


def _like(installed: Registry, architecture: Architecture) -> dict[str, str]:
    """Return what a platform's files say of the one that it begins as a copy of."""
    (plugin,) = (one for one in installed.plugins if architecture.name in {a.name for a in one.architectures})
    if not plugin.origin.version:
        raise ShootdownError(
            f"architecture {architecture.name} is of a file: install it, so that a platform's module can import it"
        )
    like: Platform = next(iter(architecture.platforms), None) or _no_platform(architecture)
    return {
        "arch": architecture.name,
        "module": plugin.origin.target.partition(":")[0],
        "like": like.name,
        "ghz": f"{like.ghz:g}" if like.ghz % 1 else f"{like.ghz:.1f}",
    }


def _no_platform(architecture: Architecture) -> Platform:
    raise ShootdownError(f"architecture {architecture.name} has no platform that another one could be like")


def write(what: Skeleton, folder: Path) -> list[str]:
    """Write all files into a folder that is not there yet, or is empty; return their paths.

    Nothing is left behind where it fails or is interrupted.

    Raises:
        ShootdownError: the folder can't be written to, or has something in it.
    """
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise ShootdownError(f"{folder} is there already and is no folder; name another one")
        if folder.is_dir() and any(folder.iterdir()):
            raise ShootdownError(f"the folder {folder} is there already and is not empty; name another one")
        if not folder.absolute().parent.is_dir():
            raise ShootdownError(f"there is no folder {folder.absolute().parent} to write {folder.name} into")
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            texts = what.files()
            for path, text in texts.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.chmod(0o755)
            os.rename(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise ShootdownError(f"the folder {folder} can't be written: {error.strerror}") from None
    return list(texts)
