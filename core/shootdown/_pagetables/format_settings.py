"""The settings of a page-table format: properties of the CPU that walks depend on, and values for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from shootdown._values.checked import checked
from shootdown._values.errors import ShootdownError, nearest


@attrs.frozen(field_transformer=checked)
class FormatSetting:
    """A property of the CPU that walks depend on: a control bit, or a number of address bits.

    Args:
        name: as typed after `--set format.`.
        default: a boolean, or an integer with its range.
        doc: one plain sentence.
        minimum: the least value of an integer.
        maximum: the greatest value of an integer.
    """

    name: str
    default: bool | int
    doc: str
    minimum: int = 0
    maximum: int = 0


@attrs.frozen
class Settings(Mapping[str, int]):
    """Values for all settings of one format, made by `Format.settings`."""

    pairs: tuple[tuple[str, int], ...]

    def __getitem__(self, name: str) -> int:
        for known, value in self.pairs:
            if known == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def meet(self, when: Iterable[str], unless: Iterable[str] = ()) -> bool:
        """Whether all of `when` are on and none of `unless` is."""
        return all(self[name] for name in when) and not any(self[name] for name in unless)


def resolve_settings(name: str, known: tuple[FormatSetting, ...], changes: Mapping[str, int]) -> Settings:
    """Return values for all of a format's settings, or raise `ShootdownError`."""
    table = {setting.name: setting for setting in known}
    for asked, value in changes.items():
        setting = table.get(asked)
        if setting is None:
            raise ShootdownError(f"format {name} has no setting {asked!r}; {nearest(asked, table)}")
        if isinstance(setting.default, bool):
            if value not in (0, 1):
                raise ShootdownError(f"format {name}: {asked} is on or off, not {value!r}")
        elif isinstance(value, bool) or not setting.minimum <= value <= setting.maximum:
            raise ShootdownError(
                f"format {name}: {asked} lies between {setting.minimum} and {setting.maximum}, not {value!r}"
            )
    return Settings(tuple((s.name, int(changes.get(s.name, s.default))) for s in known))
