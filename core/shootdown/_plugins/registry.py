"""Find plugins through entry points, and load or refuse each on its own.

Nothing here runs when `shootdown` is imported: the first question about anything installed loads all plugins once, and
the result is a frozen value.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import inspect
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import Any, TypeVar

import pluggy

from shootdown._plugins import files, hookspecs
from shootdown._plugins.installed import PROJECT, Origin, Plugin, Refusal, Registry, without_duplicates
from shootdown._plugins.names import unmarked
from shootdown._plugins.patience import patience
from shootdown._plugins.refusing import RefusedError, failed
from shootdown._plugins.vetting import (
    vet_architectures,
    vet_platforms_by_architecture,
    vet_reports,
    vet_scenarios,
    vet_workloads,
)
from shootdown._values.errors import MistakeError, ShootdownError, nearest
from shootdown._values.sites import beginning

T = TypeVar("T")

DISABLE = "SHOOTDOWN_DISABLE"
"""The environment variable that lists plugins which are not loaded, separated by commas."""


def registry() -> Registry:
    """Return what is installed; the first call in a process imports the plugins.

    Raises:
        ShootdownError: a plugin calls this while it is being loaded.
    """
    global _opening
    with _door:
        if _opening:
            raise ShootdownError(
                "a plugin asks what is installed while it is being loaded; ask when first used"
            )
        _opening = True
        try:
            return _registry(files.given())
        finally:
            _opening = False


def loaded() -> Registry | None:
    """Return what is installed if that is known already."""
    return _registry(files.given()) if _registry.cache_info().currsize else None


# Two threads may ask first at the same time. A thread that asks again during loading is a plugin.
_door = threading.RLock()
_opening = False


@functools.cache
def _registry(paths: tuple[str, ...]) -> Registry:
    return discover(disabled=os.environ.get(DISABLE, ""), paths=paths)


def discover(*, disabled: str = "", paths: Sequence[str] = ()) -> Registry:
    """Find and load every plugin that is installed now, then those of files.

    Args:
        disabled: comma-separated names of entry points, distributions, or `distribution:entry point`.
        paths: files of Python; their plugins claim names last.

    Raises:
        ShootdownError: the plugin of a file is refused: somebody asked for it.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    unwanted = {name.strip() for name in disabled.split(",") if name.strip()}
    used: set[str] = set()
    loaded: list[Plugin] = []
    refusals: list[Refusal] = []
    for origin, load in _entry_points():
        if names := unwanted & _names_to_disable(origin):
            used |= names
            refusals.append(Refusal(origin, "disabled", f"{DISABLE}={','.join(sorted(names))}"))
            continue
        try:
            with patience(f"plugin {origin}"):
                loaded.append(_load(manager, origin, load))
        except KeyboardInterrupt:
            raise
        except RefusedError as refused:
            refusals.append(Refusal(origin, refused.kind, refused.reason))
        except BaseException as error:  # sys.exit() in one plugin must not end a process that uses others
            refusals.append(Refusal(origin, "broken", failed(error)))
    from_files = [
        _load_file(manager, path, *point) for path, point in zip(paths, files.points(paths), strict=True)
    ]
    plugins = without_duplicates([*loaded, *from_files], refusals)
    for refusal in refusals:
        if any(refusal.origin is plugin.origin for plugin in from_files):
            way_out = f"; {DISABLE} leaves an installed one out" if refusal.kind == "duplicate" else ""
            raise ShootdownError(f"plugin {refusal.origin} {refusal.reason}{way_out}")
    known = {value.name for plugin in plugins for value in plugin.architectures}
    notes = [f"{DISABLE}: no plugin is called {name!r}" for name in sorted(unwanted - used)]
    notes += [
        f"{plugin.origin}: adds platforms to {name!r}, which no loaded plugin describes"
        for plugin in plugins
        for name in plugin.platforms
        if name not in known
    ]
    return Registry(plugins, tuple(refusals), tuple(notes))


def _load_file(
    manager: pluggy.PluginManager, path: str, origin: Origin, load: Callable[[], object]
) -> Plugin:
    try:
        with patience(f"plugin {origin}"):
            return _load(manager, origin, load)
    except KeyboardInterrupt:
        raise
    except MistakeError:  # it names file and line
        raise
    except RefusedError as refused:
        raise ShootdownError(f"{beginning(refused.about) or origin}: {refused.reason}") from refused
    except BaseException as error:
        if os.environ.get("SHOOTDOWN_TRACEBACK") and not isinstance(error, SyntaxError):
            raise
        raise ShootdownError(files.why(path, error)) from error


def _entry_points() -> list[tuple[Origin, Callable[[], object]]]:
    """Return every entry point of the group and how to load it, in the order in which plugins claim names.

    The project's own come first, so that no other distribution changes the meaning of a name; the rest are sorted by
    the distribution's name, independent of the order of directories.
    """
    found = []
    seen = set()
    for distribution in importlib.metadata.distributions():
        if (other := _name_of_a_stranger(distribution)) is not None:
            seen.add(other)
            continue
        name, version = _identity(distribution)
        if name in seen:  # shadowed by an earlier folder of sys.path, as its modules are
            continue
        seen.add(name)
        try:
            points = [point for point in distribution.entry_points if point.group == PROJECT]
        except Exception as error:
            # A malformed entry_points.txt concerns us only if it names the group.
            if f"[{PROJECT}]" in (distribution.read_text("entry_points.txt") or ""):
                found.append((Origin("entry_points.txt", name, version, ""), _raiser(error)))
            continue
        found += [(Origin(point.name, name, version, point.value), point.load) for point in points]
    return sorted(
        found, key=lambda pair: (pair[0].distribution != PROJECT, pair[0].distribution, pair[0].name)
    )


def _name_of_a_stranger(distribution: importlib.metadata.Distribution) -> str | None:
    """Return the normalised name of what has no plugin, from its folder's name; None if that can't be said so quickly.

    To read the metadata of all that is installed takes as long as to answer a small question.
    """
    try:
        if f"[{PROJECT}]" in (distribution.read_text("entry_points.txt") or ""):
            return None
        folder = distribution._path.name  # type: ignore[attr-defined]
    except Exception:  # which one depends on Python's version
        return None
    stem, _, kind = folder.rpartition(".")
    return _normalised(stem.partition("-")[0]) if stem and kind in ("dist-info", "egg-info") else None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Return the normalised name and the version, also of an installation with no metadata."""
    try:
        name, version = distribution.metadata["Name"], distribution.version
    except Exception:  # the exception depends on Python's version
        name, version = None, None
    return _normalised(name or "unknown"), version or "unknown"


def _raiser(error: Exception) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load


def _names_to_disable(origin: Origin) -> set[str]:
    return {origin.name, origin.distribution, f"{origin.distribution}:{origin.name}"}


def _load(manager: pluggy.PluginManager, origin: Origin, load: Callable[[], object]) -> Plugin:
    """Import one plugin, call its hooks and vet what they return."""
    # What a plugin prints must not get into a report: `--json` must stay parseable.
    with contextlib.redirect_stdout(sys.stderr):
        module: Any = load()
        hooks = {name for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None}
        offered = {name for name in vars(manager.hook) if name.startswith(PROJECT)}
        if not hooks:
            raise RefusedError(
                "broken",
                f"{origin.target} implements no hook: mark functions with shootdown.hookimpl",
            )
        if unknown := sorted(hooks - offered):
            about = getattr(module, unknown[0])
            raise RefusedError("broken", f"{unknown[0]} is no hook; {nearest(unknown[0], offered)}", about)
        if (function := unmarked(module, PROJECT)) is not None:
            raise RefusedError(
                "broken", f"{function.__name__} is not marked with shootdown.hookimpl", function
            )
        for hook in sorted(hooks):
            _vet_arguments(hook, getattr(module, hook), getattr(manager.hook, hook).spec.argnames)
        if any(module is other for other in manager.get_plugins()):
            first = manager.get_name(module)
            raise RefusedError("duplicate", f"{origin.target} is loaded already, as {first}")
        manager.register(module, name=f"{origin.distribution}:{origin.name}")
        try:
            return _collect(manager, origin, module, hooks)
        except BaseException:
            manager.unregister(module)
            raise


def _vet_arguments(hook: str, function: Any, offered: Sequence[str]) -> None:
    """Refuse a hook's function with arguments that the hook doesn't have."""
    asked = [name for name in inspect.signature(function).parameters if name not in offered]
    if asked:
        raise RefusedError(
            "broken",
            f"{hook} takes {asked[0]}: it is called with {', '.join(offered) or 'no argument'}",
            function,
        )


def _collect(manager: pluggy.PluginManager, origin: Origin, module: object, hooks: set[str]) -> Plugin:
    others = [other for other in manager.get_plugins() if other is not module]

    def call(hook: str, vet: Callable[[str, Any], T], none: T) -> T:
        # pluggy answers with a list: empty where the plugin lacks the hook or its function returned None.
        answers = manager.subset_hook_caller(hook, others)()
        if answers and isinstance(answers[0], CoroutineType):
            answers[0].close()  # it is refused; Python would warn that it never ran
        try:
            if not answers and hook in hooks:
                raise RefusedError(
                    "broken", f"{hook} returned None, not {'a dict' if none == {} else 'a list or tuple'}"
                )
            return vet(hook, answers[0]) if answers else none
        except RefusedError as refused:
            refused.about = getattr(module, hook)
            raise

    return Plugin(
        origin,
        architectures=call("shootdown_architectures", vet_architectures, ()),
        platforms=call("shootdown_platforms", vet_platforms_by_architecture, {}),
        workloads=call("shootdown_workloads", vet_workloads, ()),
        scenarios=call("shootdown_scenarios", vet_scenarios, ()),
        reports=call("shootdown_reports", vet_reports, ()),
    )
