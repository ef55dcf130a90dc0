"""What-ifs: `--set kernel.FIELD=value` and `--set platform.FIELD=value`, from text to other frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from shootdown._values.checked import checked
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.kernel import Kernel, settled, switches_of
from shootdown._values.reading import UnreadableError, read_boolean, read_choice, read_integer
from shootdown._values.releases import HasChanges, configured, evolve

T = TypeVar("T")

MOST_OF_A_SWITCH = (1 << 31) - 1
"""The largest value of a switch that declares none: what the kernel keeps as an int, and the engines multiply."""

GROUPS = ("kernel", "platform", "cost")
"""The groups of settings, unless a command has more."""


@attrs.frozen(field_transformer=checked)
class Contradiction:
    """Settings that were given and cannot hold, together or on the platform that was chosen.

    Args:
        settings: their names, such as `kernel.pti` and `platform.flush`; the rule applies if all were given.
        when: whether the kernel and platform that result contradict each other.
        because: the reason, for the error message, and what to do about it, if anything.
    """

    settings: tuple[str, ...]
    when: Callable[[Kernel, Any], bool]
    because: str


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        ("kernel.pt_reclaim", "kernel.rcu_table_free"),
        lambda kernel, platform: kernel.pt_reclaim and not kernel.rcu_table_free,
        "PT_RECLAIM frees tables through RCU",
    ),
)
"""Settings that cannot both hold on any architecture."""


def parse_settings(
    items: Iterable[str] | Mapping[str, str], groups: tuple[str, ...] = GROUPS
) -> dict[str, str]:
    """Read what `--set` was given.

    Args:
        items: texts such as `kernel.unshare_sync=none`, or such values by name.
        groups: the words that may stand before the dot.

    Returns:
        The values as they were written by the full names, in their order, hyphens in names as underscores.

    Raises:
        ShootdownError: a text has another form, its group is unknown, or one name was given two values.
    """
    settings: dict[str, str] = {}
    texts = [f"{name}={value}" for name, value in items.items()] if isinstance(items, Mapping) else items
    for item in texts:
        name, equals, value = (part.strip() for part in item.partition("="))
        name = name.replace("-", "_")
        group, dot, field = name.partition(".")
        if not (equals and dot and field and value):
            raise ShootdownError(f"--set {item!r}: write it as {groups[0]}.FIELD=VALUE")
        if group not in groups:
            raise ShootdownError(f"--set {item!r}: nothing is called {group!r}; {nearest(group, groups)}")
        if settings.setdefault(name, value) != value:
            raise ShootdownError(f"--set: {name}={settings[name]} and {name}={value} cannot both hold")
    return settings


def set_kernel(kernel: Kernel, settings: Mapping[str, str], architecture: HasChanges) -> Kernel:
    """Return the kernel with settings and the values that follow from them, and a remark for each difference.

    Args:
        kernel: what `resolve()` returned for this architecture.
        settings: what `parse_settings()` returned; only names that start with `kernel.` are looked at.
        architecture: its `configure` derives what follows.

    Raises:
        ShootdownError: a switch is unknown or its value is out of range.
    """
    declared = dict(switches_of(Kernel)) | dict(switches_of(kernel.arch))
    values = _values(declared, settings, "kernel")
    if not values:
        return kernel
    # A setting overrides a derived value, and derived values are computed from the settings.
    new = evolve(kernel, values)
    new = evolve(configured(new, architecture), values)
    new = evolve(settled(new), values)
    was = _name(kernel)
    remarks = [*_asked(kernel, new, declared, values, was), *_follows(kernel, new, declared, values, was)]
    return attrs.evolve(new, remarks=(*kernel.remarks, *remarks))


def set_fields(
    value: T,
    settings: Mapping[str, str],
    group: str,
    was: str,
    choices: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> tuple[T, tuple[str, ...]]:
    """Return any frozen value with settings applied to its switches, and a remark for each difference.

    Args:
        value: an attrs value whose fields are declared by `switch()`, such as a platform.
        settings: what `parse_settings()` returned; only names that start with the group are looked at.
        group: the word before the dot.
        was: the name of the value in remarks.
        choices: by name, the values allowed where they differ from the switch's own.

    Raises:
        ShootdownError: a switch is unknown or its value is out of range.
    """
    new: Any = value
    own: Any = getattr(value, "arch", None)
    of_own = dict(switches_of(own)) if attrs.has(type(own)) else {}
    of_value = dict(switches_of(value))
    values = _values(of_value | of_own, settings, group, choices)
    for name, setting in values.items():
        if name in of_own:
            new = attrs.evolve(new, arch=attrs.evolve(new.arch, **{name: setting}))
        if name in of_value:
            new = attrs.evolve(new, **{name: setting})
    return new, tuple(_remarks("what-if", value, new, values, was))


def refuse_contradictions(
    settings: Mapping[str, str], kernel: Kernel, platform: Any, rules: Iterable[Contradiction] = ()
) -> None:
    """Refuse two settings that cannot both hold.

    Args:
        settings: what `parse_settings()` returned.
        kernel: the kernel that came out of them.
        platform: the platform that came out of them.
        rules: the architecture's, besides those of core.

    Raises:
        ShootdownError: the first rule that is broken.
    """
    for rule in (*CONTRADICTIONS, *rules):
        if all(name in settings for name in rule.settings) and rule.when(kernel, platform):
            both = " and ".join(f"{name}={settings[name]}" for name in rule.settings)
            verdict = "cannot both hold" if len(rule.settings) > 1 else "is not possible here"
            raise ShootdownError(f"{both} {verdict}: {rule.because}")


def parse_value(name: str, field: Any, text: str, choices: Sequence[Any] = ()) -> Any:
    """Read the value of one switch.

    Args:
        name: its full name, for the error message.
        field: the attrs attribute that `switch()` declared.
        text: `true`, `64k`, `per-table`.
        choices: the values allowed, if they differ from the switch's own.

    Raises:
        ShootdownError: what is allowed instead.
    """
    meta, word = field.metadata, text.strip().lower()
    choices = choices or meta["choices"]
    if word in meta["words"] and word not in choices:
        return meta["words"][word]
    try:
        if choices:
            return read_choice(text, choices)
        if isinstance(field.default, bool):
            return read_boolean(text)
        if isinstance(field.default, int):
            most = MOST_OF_A_SWITCH if meta["maximum"] is None else meta["maximum"]
            return read_integer(text, minimum=meta["minimum"], maximum=most, units=True)
    except UnreadableError as error:
        raise ShootdownError(f"{name}={text} is not possible; allowed: {error.allowed}") from None
    return text.strip()


def _values(
    declared: Mapping[str, Any],
    settings: Mapping[str, str],
    group: str,
    choices: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    values = {}
    for full, text in settings.items():
        at, _, name = full.partition(".")
        if at != group:
            continue
        if name not in declared:
            raise ShootdownError(
                f"there is no switch {full!r}; {nearest(name, declared, prefix=f'{group}.')}"
            )
        values[name] = parse_value(full, declared[name], text, choices.get(name, ()))
    return values


def _name(kernel: Kernel) -> str:
    return kernel.name if kernel.name.startswith("proposal:") else kernel.release


def _held(value: Any, name: str) -> Any:
    return getattr(value, name) if hasattr(value, name) else getattr(value.arch, name)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _remarks(word: str, old: Any, new: Any, names: Iterable[str], was: str) -> Iterable[str]:
    for name in names:
        before, after = _held(old, name), _held(new, name)
        if before != after:
            yield f"{word}: {name}={_shown(after)} ({was} has {_shown(before)})"


def _asked(
    old: Kernel, new: Kernel, declared: Mapping[str, Any], names: Iterable[str], was: str
) -> Iterable[str]:
    """Tell what somebody who builds the release can configure from what makes it another one."""
    for name in names:
        if not declared[name].metadata["configured"]:
            yield from _remarks("what-if", old, new, (name,), was)
        elif _held(old, name) != _held(new, name):
            yield f"configured: {name}={_shown(_held(new, name))} (default: {_shown(_held(old, name))})"


def _follows(
    old: Kernel, new: Kernel, declared: Iterable[str], asked: Mapping[str, Any], was: str
) -> Iterable[str]:
    return _remarks("follows", old, new, (name for name in declared if name not in asked), was)
