"""What is said of a model is refused where it makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from operator import index

from shootdown._values.sites import Site, mistake, raised

#: More than any machine has of anything.
MOST = 1 << 20
#: More than any variable holds, in a timed run.
LARGEST = (1 << 62) - 1


def whole(what: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number from `least` to `most`."""
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise mistake(f"{what} {value!r:.40}: it is a whole number") from None
    if not least <= number <= most:
        there = f"there are {least} to {most}" if most < MOST else f"it is a number from {least} to {most}"
        raise mistake(f"{what} {number}: {there if most >= least else 'there is none'}")


def told_by(words: Callable[[int], str], name: str, site: Site | None) -> Callable[[int], str]:
    """Return what a person wrote to tell a variable's values, so that its errors are one line."""

    def told(value: int) -> str:
        try:
            return str(words(value))
        except Exception as error:
            what = f"the words of variable {name!r} for {value}: {type(error).__name__}: {error}"
            raise mistake(what, raised(error) or site) from error

    return told


def named(name: object) -> None:
    """Refuse a name that is no string."""
    if not isinstance(name, str):
        raise mistake(f"a name is words, not {name!r:.40}")
