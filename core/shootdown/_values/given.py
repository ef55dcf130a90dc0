"""What Python callers may give in place of a list: one name, or one number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shootdown._values.errors import ShootdownError, shown

#: One name or several.
Names = str | Sequence[str]
#: What-ifs: one text, several, or by name.
Settings = str | Iterable[str] | Mapping[str, str | bool | float]
#: One number or several.
Numbers = int | Sequence[int]


#: Arguments that are releases.
_RELEASES = ("kernels", "name", "before", "after", "series")


def names(what: str, value: Names | None) -> tuple[str, ...]:
    """Return names as a tuple: of one name it is the only one, of a text with commas those between them.

    Args:
        what: the argument, for the error.
        value: one name, several, or None for none.

    Raises:
        ShootdownError: something in it is no text.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",")) if value else ()
    if not isinstance(value, Iterable):
        raise ShootdownError(_no_name(what, value))
    found = tuple(value)
    for one in found:
        if not isinstance(one, str):
            raise ShootdownError(_no_name(what, one))
    return found


def numbers(what: str, value: Numbers | None) -> tuple[int, ...]:
    """Return whole numbers as a tuple.

    Args:
        what: the argument, for the error.
        value: one number, several, or None for none.

    Raises:
        ShootdownError: something in it is no whole number.
    """
    if value is None:
        return ()
    found = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for one in found:
        if not hasattr(one, "__index__") or isinstance(one, bool):
            raise ShootdownError(f"{what}={shown(value)}: it is a whole number, or a list of them")
    return tuple(map(int, found))


def one_number(what: str, value: Numbers | None) -> int | None:
    """Return the only number, or None for none.

    Raises:
        ShootdownError: there are several, or it is no whole number.
    """
    found = numbers(what, value)
    if len(found) > 1:
        raise ShootdownError(f"{what}={shown(value)}: this takes one number")
    return found[0] if found else None


def one_name(what: str, value: object) -> str:
    """Return a name as it is.

    Raises:
        ShootdownError: it is no text.
    """
    if not isinstance(value, str):
        raise ShootdownError(_no_name(what, value))
    return value


def what_ifs(settings: Settings | None) -> tuple[str, ...] | dict[str, str]:
    """Return what-ifs as texts: one text is the only one; of a mapping a boolean is written as `--set` takes it.

    Raises:
        ShootdownError: something in it is no text, number or boolean.
    """
    if settings is None:
        return ()
    if isinstance(settings, str):
        return (settings,)
    if isinstance(settings, Mapping):
        return {one_name("settings", name): _written(name, value) for name, value in settings.items()}
    found = tuple(settings)
    for one in found:
        one_name("settings", one)
    return found


def _written(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ShootdownError(f"settings: {name}={shown(value)}: it is a text, a number or a boolean")
    return str(value)


def _no_name(what: str, value: object) -> str:
    """Say that a value is no name; of a number, why a release is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        why = "as a number 6.10 would be 6.1" if what in _RELEASES else "a number is no name"
        return f'{what}={value!r}: write it as a text, {what}="{value}"; {why}'
    return f"{what}={shown(value)}: it is a name, or a list of names"
