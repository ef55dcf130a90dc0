"""The installed plugins as frozen values: those that work, those that were refused, and look-ups by name."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import attrs

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.flushes import AUTO

if TYPE_CHECKING:
    from shootdown._pagetables.format import CustomFormat, Format
    from shootdown._values.architecture import Architecture
    from shootdown._values.platform import Platform
    from shootdown._values.report import Report
    from shootdown._values.scenario import Scenario
    from shootdown._values.workload import Workload

PROJECT = "shootdown"
"""The entry-point group, the prefix of the hooks, and the distribution that ships this file."""

T = TypeVar("T")
Kind = Literal["broken", "duplicate", "outdated", "disabled"]


@attrs.frozen
class Origin:
    """Where a plugin comes from.

    Args:
        name: the entry point's name; a file's without `.py`.
        distribution: the distribution that installed it, or the file.
        version: that distribution's version; empty for a file.
        target: the module or object that the entry point names.
    """

    name: str
    distribution: str
    version: str
    target: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.version else self.distribution


@attrs.frozen
class Plugin:
    """What one loaded plugin provides.

    Args:
        origin: where it comes from.
        architectures: its architectures.
        platforms: further platforms, by the architecture's name.
        workloads: its workloads.
        scenarios: its scenarios.
        reports: its reports.
    """

    origin: Origin
    architectures: tuple[Architecture, ...] = ()
    platforms: Mapping[str, tuple[Platform, ...]] = attrs.field(factory=dict)
    workloads: tuple[Workload, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    reports: tuple[Report, ...] = ()


@attrs.frozen
class Refusal:
    """Why one plugin was not loaded.

    Args:
        origin: where it comes from.
        kind: broken, duplicate, outdated or disabled.
        reason: one line.
    """

    origin: Origin
    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"not loaded: {self.origin}: {self.reason}"


@attrs.frozen
class Registry:
    """Every plugin that was found, and look-ups of what they provide by name.

    Args:
        plugins: those that work, in the order in which they claimed names.
        refusals: those that don't.
        notes: settings that had no effect, one line each.
    """

    plugins: tuple[Plugin, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()

    def architectures(self) -> dict[str, Architecture]:
        """Return every architecture by name."""
        return {value.name: value for plugin in self.plugins for value in plugin.architectures}

    def workloads(self) -> dict[str, Workload]:
        """Return every workload by name."""
        return {value.name: value for plugin in self.plugins for value in plugin.workloads}

    def scenarios(self) -> dict[str, Scenario]:
        """Return every scenario by name: those that come with core first."""
        order = sorted(self.plugins, key=lambda plugin: _package(plugin.origin) != PROJECT)
        return {value.name: value for plugin in order for value in plugin.scenarios}

    def reports(self) -> dict[str, Report]:
        """Return every report of a plugin's own by name."""
        return {value.name: value for plugin in self.plugins for value in plugin.reports}

    def report(self, name: str) -> Report:
        """Return one report.

        Raises:
            ShootdownError: nothing that is loaded has this name; the message lists the refused plugins.
        """
        return self._find("report", name, self.reports())

    def architecture(self, name: str) -> Architecture:
        """Return one architecture, by its name or an alias.

        Raises:
            ShootdownError: nothing that is loaded has this name; the message lists the refused plugins.
        """
        there_is = self.architectures()
        aliases = {alias: value for value in there_is.values() for alias in value.aliases}
        if name not in aliases:
            return self._find("architecture", name, there_is)
        found = aliases[name]
        return attrs.evolve(found, called=name) if name in found.aliases_imply else found

    def formats(self) -> dict[str, Format | CustomFormat]:
        """Return every page-table format by name."""
        return {form.name: form for value in self.architectures().values() for form in value.formats}

    def format(self, name: str) -> Format | CustomFormat:
        """Return one page-table format.

        Raises:
            ShootdownError: nothing that is loaded has this name; the message lists the refused plugins.
        """
        return self._find("format", name, self.formats())

    def workload(self, name: str) -> Workload:
        """Return one workload.

        Raises:
            ShootdownError: nothing that is loaded has this name; the message lists the refused plugins.
        """
        if name not in self.workloads() and name in self.scenarios():
            raise ShootdownError(f"there is no workload {name!r}; it is a scenario: shootdown explore {name}")
        return self._find("workload", name, self.workloads())

    def scenario(self, name: str) -> Scenario:
        """Return one scenario.

        Raises:
            ShootdownError: nothing that is loaded has this name; the message lists the refused plugins.
        """
        if name not in self.scenarios() and name in self.workloads():
            raise ShootdownError(f"unknown scenario {name!r}; it is a workload: shootdown compare {name}")
        return self._find("scenario", name, self.scenarios(), lacks="unknown scenario")

    def platforms(self, architecture: str) -> dict[str, Platform]:
        """Return an architecture's platforms by name: its own first, then those that other plugins add.

        Raises:
            ShootdownError: there is no such architecture.
        """
        owner = self.architecture(architecture)
        added = [value for plugin in self.plugins for value in plugin.platforms.get(owner.name, ())]
        return {value.name: value for value in (*owner.platforms, *added)}

    def platform(self, architecture: str, name: str) -> Platform:
        """Return one platform of an architecture.

        Raises:
            ShootdownError: there is no such architecture, or it has no such platform.
        """
        owner = self.architecture(architecture)
        return self._find(f"{owner.name} platform", name, self.platforms(owner.name))

    def flush_names(self) -> tuple[str, ...]:
        """Return the values of `--set platform.flush=` on all architectures; those of the one with most come first."""
        each = sorted((value.flush_ways for value in self.architectures().values()), key=len, reverse=True)
        return tuple(dict.fromkeys((AUTO, *(way.name for ways in each for way in ways))))

    def machines(self, name: str) -> list[tuple[Architecture, Platform]]:
        """Return each architecture that has a platform of this name, with that platform.

        Raises:
            ShootdownError: none has.
        """
        found: dict[str, list[tuple[Architecture, Platform]]] = {}
        for owner in self.architectures().values():
            for platform in self.platforms(owner.name).values():
                found.setdefault(platform.name, []).append((owner, platform))
        word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        described = [known for known, pairs in found.items() if word.search(pairs[0][1].summary)]
        return self._find("platform", name, found, described=described)

    def blame(self, error: BaseException) -> tuple[Origin, str] | None:
        """Return the plugin whose code an unexpected error came through last, and `file:line` in it."""
        found = None
        for frame, line in traceback.walk_tb(error.__traceback__):
            origin = self.origin_of(str(frame.f_globals.get("__name__", "")).partition(".")[0])
            if origin is not None:
                found = origin, f"{frame.f_code.co_filename}:{line}"
        return found

    def origin_of(self, package: str) -> Origin | None:
        """Return the plugin whose code is in a top-level package; None if it is no plugin's, or core's."""
        if package == PROJECT:
            return None
        return next((one.origin for one in self.plugins if _package(one.origin) == package), None)

    def losers(self, name: str) -> list[str]:
        """Return a line for each refused plugin that provides something of this name too."""
        return [str(one) for one in self.refusals if repr(name) in one.reason]

    def _find(
        self,
        what: str,
        name: str,
        there_is: Mapping[str, T],
        *,
        lacks: str = "",
        described: Sequence[str] = (),
    ) -> T:
        if name in there_is:
            return there_is[name]
        # A refused plugin whose name is close to what was asked for is the likely reason, so it comes first.
        refusals = sorted(
            self.refusals, key=lambda one: name not in str(one.origin) and repr(name) not in one.reason
        )
        instead = f"that word describes: {', '.join(described)}" if described else nearest(name, there_is)
        lines = [
            f"{lacks or f'there is no {what}'} {name!r}; {instead}",
            *map(str, refusals[:4]),
        ]
        if len(refusals) > 4:
            lines.append(f"... and {len(refusals) - 4} more not loaded: see `shootdown plugins`")
        raise ShootdownError("\n".join(lines))


def _package(origin: Origin) -> str:
    return origin.target.partition(":")[0].partition(".")[0].strip()


def without_duplicates(loaded: Iterable[Plugin], refusals: list[Refusal]) -> tuple[Plugin, ...]:
    """Keep the first plugin that claims a name; add a refusal for each later one.

    Plugins that add platforms to other people's architectures come last: its own go first.
    """
    owners: dict[str, Origin] = {}
    kept = []
    for plugin in sorted(loaded, key=lambda plugin: bool(plugin.platforms)):
        claims: dict[str, Origin] = {}
        for claim in _claims(plugin):
            if owner := owners.get(claim) or claims.get(claim):
                if owner is plugin.origin:
                    refusal = Refusal(owner, "broken", f"provides {claim}, which it provides twice itself")
                else:
                    reason = f"provides {claim}, which {owner} provides already"
                    refusal = Refusal(plugin.origin, "duplicate", reason)
                refusals.append(refusal)
                break
            claims[claim] = plugin.origin
        else:
            owners |= claims
            kept.append(plugin)
    return tuple(kept)


def _claims(plugin: Plugin) -> Iterable[str]:
    for architecture in plugin.architectures:
        for name in (architecture.name, *architecture.aliases):
            yield f"architecture {name!r}"
        for platform in architecture.platforms:
            yield f"platform {platform.name!r} of {architecture.name!r}"
        for form in architecture.formats:
            yield f"format {form.name!r}"
    for name, platforms in plugin.platforms.items():
        for platform in platforms:
            yield f"platform {platform.name!r} of {name!r}"
    for workload in plugin.workloads:
        yield f"workload {workload.name!r}"
    for scenario in plugin.scenarios:
        yield f"scenario {scenario.name!r}"
    for report in plugin.reports:
        yield f"report {report.name!r}"
