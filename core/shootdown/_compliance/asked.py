"""What a person means by a name: what is to be checked, and plugins that were refused."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown._compliance.additions import Additions
from shootdown._compliance.statement import Outcome, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._plugins.installed import Origin, Plugin, Registry
from shootdown._plugins.registry import registry
from shootdown._values.errors import nearest


def _it_loads(subject: Subject) -> Iterator[Said]:
    yield Tried(1, "plugin loaded")


LOADS = Statement(
    "0.1",
    "The plugin loads",
    "What its hooks return is vetted when it is loaded. A plugin that was refused offers nothing, whatever else is "
    "right.",
    "`shootdown plugins` has the reason too; docs/reference/plugins.md lists what is vetted.",
    _it_loads,
)
STATEMENTS = (LOADS,)


@attrs.frozen
class Asked:
    """What there is to be checked under one name.

    Args:
        name: as it was typed.
        subjects: the architectures, and what their plugins offer besides.
        refused: an outcome for each plugin of that name that was not loaded, or offers what nobody can use.
    """

    name: str
    subjects: tuple[Subject | Additions, ...]
    refused: tuple[Outcome, ...]


def asked(name: str, *, long: bool = False, seed: int = 1) -> Asked:
    """Find what is to be checked.

    Args:
        name: an architecture or an alias of it, an entry point, a distribution, `distribution:entry point`, or what
            a plugin offers: a platform, workload, scenario or report.
        long: take larger samples.
        seed: of everything random.

    Raises:
        ShootdownError: there is neither a plugin nor a refused plugin of that name.
    """
    installed = registry()
    refused = tuple(
        Outcome(LOADS, findings=(str(refusal),))
        for refusal in installed.refusals
        if name in _names(refusal.origin) or f"architecture {name!r}" in refusal.reason
    )
    aliases = {alias for value in installed.architectures().values() for alias in value.aliases}
    found = list(_plugins(installed, name))
    subjects: list[Subject | Additions] = []
    if name in installed.architectures() or name in aliases:
        owner = installed.architecture(name)
        (plugin,) = (one for one in installed.plugins if owner.name in {a.name for a in one.architectures})
        found = [plugin]
        platforms = tuple(installed.platforms(owner.name).values())
        subjects.append(Subject(owner, platforms, str(plugin.origin), long, seed))
    elif found:
        for plugin in found:
            subjects += _subjects(installed, plugin, long, seed)
    elif not refused:
        installed.architecture(name)  # raises the error that lists what there is
    for plugin in found:
        if plugin.workloads or plugin.scenarios or plugin.reports:
            offered = (plugin.workloads, plugin.scenarios, plugin.reports)
            subjects.append(Additions(str(plugin.origin), *offered, long, seed))
        refused += tuple(Outcome(LOADS, findings=(text,)) for text in _of_nobody(installed, plugin))
    return Asked(name, tuple(subjects), refused)


def _plugins(installed: Registry, name: str) -> Iterator[Plugin]:
    for plugin in installed.plugins:
        if name in _names(plugin.origin) | _offers(plugin):
            yield plugin


def _offers(plugin: Plugin) -> set[str]:
    """Name what a plugin offers besides architectures."""
    names = {platform.name for added in plugin.platforms.values() for platform in added}
    names |= {workload.name for workload in plugin.workloads}
    names |= {scenario.name for scenario in plugin.scenarios}
    return names | {report.name for report in plugin.reports}


def _names(origin: Origin) -> set[str]:
    return {origin.name, origin.distribution, f"{origin.distribution}:{origin.name}"}


def _subjects(installed: Registry, plugin: Plugin, long: bool, seed: int) -> Iterator[Subject]:
    """Yield a plugin's architectures, and others' on the platforms that it adds."""
    for owner in plugin.architectures:
        platforms = tuple(installed.platforms(owner.name).values())
        yield Subject(owner, platforms, str(plugin.origin), long, seed)
    for name, added in plugin.platforms.items():
        if name in installed.architectures():
            yield Subject(installed.architecture(name), tuple(added), str(plugin.origin), long, seed)


def _of_nobody(installed: Registry, plugin: Plugin) -> Iterator[str]:
    """Yield what is wrong with platforms of architectures that there are not."""
    known = installed.architectures()
    for name, platforms in plugin.platforms.items():
        if name not in known:
            named = ", ".join(platform.name for platform in platforms)
            yield (
                f"{plugin.origin}: its platforms ({named}) are of {name!r}, which no loaded plugin describes; "
                f"{nearest(name, known)}"
            )
