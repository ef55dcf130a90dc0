"""Read claims: TOML that shootdown ships, or that a person wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from shootdown._evidence.claim import MEASURES, SUBJECTS, Claim, Point, Run
from shootdown._evidence.quantities import (
    CYCLES,
    ONE,
    RATE_UNITS,
    TIME_UNITS,
    Quotient,
    read_quantity,
)
from shootdown._programs.program import Spot
from shootdown._programs.reading import Source, with_parameters
from shootdown._programs.shipped import SUFFIX
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError, nearest

_NAME = re.compile(r"[A-Za-z][\w.-]*")
_COST = re.compile(r"[\w-]+/[\w.-]+\.\w+")
#: What a source may leave open of a run, so that a claim lists what it may have been too: of which type, in words.
_ALTERNATIVES: tuple[tuple[str, type[int] | type[str], str], ...] = (
    ("cpus", int, "numbers from 1"),
    ("kernel", str, "releases"),
)
_RUN = ("program", "arch", "platform", "kernel", "cpus", "parameters", "set")
_POINT = (*_RUN, "label", "of", "per")
_CLAIM = (
    *_RUN,
    *("what", "machine", "source", "measure", "subject", "of", "per", "unit", "ghz", "values"),
    *(
        "vary",
        "at",
        "points",
        "base",
        "minus",
        "onto",
        *(f"{key}_or" for key, _, _ in _ALTERNATIVES),
        "facts",
        "assumed",
        "used_by",
        "needs",
        "stands",
    ),
)
_NUMBER_UNITS = {"": 1.0, "percent": 0.01}
#: What `vary` can name besides a parameter.
_FIELDS = ("arch", "platform", "kernel", "cpus", "of", "per")


def read_claims(path: str | os.PathLike[str]) -> list[Claim]:
    """Read the claims of a file.

    Raises:
        ShootdownError: it can't be read, or something is wrong in it; the message names file, line and key.
    """
    file = os.fspath(path)
    tables, text = inputs.read_toml(file, "claims")
    whole = Source(os.path.basename(file), file, tuple(text.splitlines()), tables, ())
    _known(whole, tables, ("claim", "program"))
    claims = _table(whole, tables.get("claim", {}), "claim")
    if not claims:
        raise whole.wrong("it has no claim: [claim.ID], with measure, values, machine and source", "claim")
    programs = _table(whole, tables.get("program", {}), "program")
    return [_Reader(whole, name, about, programs).claim() for name, about in claims.items()]


@attrs.frozen(eq=False)
class _Inner(Source):
    """A program within a file of claims: its keys have those of the claim in front."""

    within: tuple[str, ...] = ()

    def spot(self, *keys: str, text: str = "") -> Spot:
        return super().spot(*self.within, *keys, text=text)


def _known(source: Source, table: object, known: Iterable[str], *keys: str) -> Mapping[str, Any]:
    found = _table(source, table, *keys)
    for key in found:
        if key not in known:
            there = f"[{'.'.join(keys)}]" if keys else "a file of claims"
            raise source.wrong(f"{there} has no {key!r:.40}; {nearest(key, known)}", *keys, key)
    return found


def _table(source: Source, table: object, *keys: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise source.wrong("it is a table of keys with values", *keys)
    return table


class _Reader:
    """Read one claim."""

    def __init__(self, whole: Source, name: str, about: object, programs: Mapping[str, Any]) -> None:
        self._whole = whole
        self._name = name
        self._keys = ("claim", name)
        if not _NAME.fullmatch(name):
            raise whole.wrong(
                "an id is letters, digits, -, _ and points, and begins with a letter", "claim", name
            )
        self._about = _known(whole, about, _CLAIM, *self._keys)
        self._programs = programs

    def claim(self) -> Claim:
        """Return the claim.

        Raises:
            ShootdownError: something is wrong in it.
        """
        about = self._about
        measure = self._word("measure", MEASURES)
        values, decimals = self._values()
        needs, stands = self._text("needs", ""), self._text("stands", "")
        facts = tuple(self._texts("facts"))
        points: tuple[Point, ...] = ()
        unit, scale = self._text("unit", ""), 1.0
        if measure == "none":
            if not stands:
                raise self._wrong("a claim of none says why and where it stands", "stands")
        elif measure == "fact":
            if len(facts) != len(values):
                raise self._wrong(f"{len(values)} values have as many paths, not {len(facts)}", "facts")
        elif not needs:
            points = tuple(self._points(values, decimals))
            self._above_zero(points)
            scale = self._scale(unit, points)
            self._fits(measure, points)
        if measure == "fact" and not needs:
            points = (Point("", values[0], 0, Quotient(ONE), self._run({}, about, needed=False), None, None),)
        return Claim(
            self._name,
            self._text("what"),
            self._text("machine"),
            self._text("source"),
            measure,
            self._word("subject", SUBJECTS, "hardware" if measure in ("fact", "none") else "kernel"),
            unit,
            scale,
            values,
            points,
            facts,
            tuple(self._texts("assumed")),
            tuple(self._used_by()),
            needs,
            stands,
            self._whole,
        )

    def _wrong(self, what: str, *keys: str) -> ShootdownError:
        return self._whole.wrong(what, *self._keys, *keys)

    def _text(self, key: str, default: str | None = None) -> str:
        value = self._about.get(key, default)
        if value is None:
            raise self._wrong(f"it lacks `{key}`")
        if not isinstance(value, str) or not value.isprintable() or not (value.strip() or value == default):
            raise self._wrong("it is one line of text", key)
        return value

    def _texts(self, key: str) -> Sequence[str]:
        value = self._about.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise self._wrong("it is a list of texts", key)
        return value

    def _used_by(self) -> Iterable[str]:
        for one in self._texts("used_by"):
            if not _COST.fullmatch(one):
                raise self._wrong(f"{one!r:.60} is no cost: ARCH/PLATFORM.COST", "used_by")
            yield one

    def _above_zero(self, points: Iterable[Point]) -> None:
        """Refuse what no run measures: a count is at least zero, and all else is above it."""
        for point in points:
            if point.published < 0 or (point.published == 0 and not point.quotient.counted):
                raise self._wrong(f"{point.published:g} is no measurement: it is above zero", "values")

    def _word(self, key: str, words: Iterable[str], default: str | None = None) -> str:
        value = self._text(key, default)
        if value not in words:
            raise self._wrong(f"{value!r:.40} is none of {', '.join(words)}", key)
        return value

    def _values(self) -> tuple[tuple[float, ...], list[int]]:
        values = self._about.get("values")
        if values is None:
            raise self._wrong("it lacks `values`, what was published")
        given = values if isinstance(values, list) else [values]
        for one in given:
            if isinstance(one, bool) or not isinstance(one, int | float) or one != one or abs(one) > 1e18:
                raise self._wrong(f"{one!r:.40} is no number", "values")
        if not given:
            raise self._wrong("it is a number, or a list of numbers", "values")
        return tuple(map(float, given)), [_decimals(one) for one in given]

    def _points(self, values: tuple[float, ...], decimals: list[int]) -> Iterable[Point]:
        about = self._about
        tables: list[Mapping[str, Any]] = [{}]
        if "vary" in about:
            if "points" in about:
                raise self._wrong("`vary` and `points` cannot both hold", "vary")
            vary, at = self._text("vary"), about.get("at")
            if not isinstance(at, list) or not at:
                raise self._wrong("it is a list: the values of what `vary` names", "at")
            tables = [
                {vary: one, "label": str(one)}
                if vary in _FIELDS
                else {"parameters": {vary: one}, "label": str(one)}
                for one in at
            ]
        elif "points" in about:
            given = about["points"]
            if not isinstance(given, list) or not given:
                raise self._wrong("it is a list of tables", "points")
            tables = [_known(self._whole, one, _POINT, *self._keys, "points") for one in given]
        elif "at" in about:
            raise self._wrong("`at` needs `vary`", "at")
        if len(tables) != len(values):
            raise self._wrong(f"{len(values)} values have as many points, not {len(tables)}", "values")
        for number, table in enumerate(tables):
            merged = self._merged(about, table)
            quotient = self._quotient(merged)
            base, minus = (
                self._run(
                    self._merged(merged, _known(self._whole, about[key], _RUN, *self._keys, key)), {}, key
                )
                if key in about
                else None
                for key in ("base", "minus")
            )
            needed = not quotient.of_costs
            run = self._run({}, merged, needed=needed)
            label = table.get("label", "" if len(tables) == 1 else number + 1)
            if not isinstance(label, str | int | float):
                raise self._wrong(f"a label is a text, not {label!r:.40}", "points")
            label = str(label)
            yield Point(
                label,
                values[number],
                decimals[number],
                quotient,
                run,
                base,
                minus,
                instead=tuple(self._instead((run, base, minus))),
                onto=self._onto(),
            )

    def _instead(
        self, runs: tuple[Run, Run | None, Run | None]
    ) -> Iterable[tuple[Run, Run | None, Run | None]]:
        """Return the same runs on whatever else the machine may have been: numbers of CPUs, kernels."""
        for key, kind, what in _ALTERNATIVES:
            given = self._about.get(f"{key}_or", [])
            if not isinstance(given, list) or not all(type(one) is kind and kind() < one for one in given):
                raise self._wrong(f"it is a list of {what}: what `{key}` may have been too", f"{key}_or")
            if given and key not in self._about:
                raise self._wrong(f"it needs `{key}`, what is taken as likely", f"{key}_or")
            for other in given:
                run, base, minus = (
                    one
                    if one is None or getattr(one, key) != self._about[key]
                    else attrs.evolve(one, **{key: other})
                    for one in runs
                )
                assert run is not None
                yield run, base, minus

    def _onto(self) -> float:
        """Return the measured time to which a difference is added."""
        onto = self._about.get("onto", 0)
        if isinstance(onto, bool) or not isinstance(onto, int | float) or onto < 0:
            raise self._wrong(f"it is a measured time in the claim's unit, not {onto!r:.40}", "onto")
        if onto and ("minus" not in self._about or "base" in self._about):
            raise self._wrong("a measured time is one of `minus`, to which the difference is added", "onto")
        return float(onto)

    def _merged(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first with what the second changes; of parameters and what-ifs each by its name."""
        found = {**first, **second}
        for key in ("parameters", "set"):
            one, two = first.get(key, {}), second.get(key, {})
            if isinstance(one, Mapping) and isinstance(two, Mapping):
                found[key] = {**one, **two}
        return found

    def _quotient(self, about: Mapping[str, Any]) -> Quotient:
        if "of" not in about:
            raise self._wrong("it lacks `of`, what is measured, such as elapsed or flush_ipis")
        found = []
        for key, default in (("of", None), ("per", 1)):
            try:
                found.append(read_quantity(about.get(key, default)))
            except ShootdownError as error:
                raise self._wrong(str(error), key) from None
        return Quotient(*found)

    def _run(
        self, given: Mapping[str, Any], about: Mapping[str, Any], key: str = "", *, needed: bool = True
    ) -> Run:
        values = {**about, **given}
        within = (key,) if key else ()
        for name in ("arch", "platform", "kernel"):
            if name not in values and not (name == "kernel" and not needed):
                raise self._wrong(f"it lacks `{name}`, what it runs on", *within)
            if not isinstance(values.get(name, ""), str):
                raise self._wrong("it is a name", *within, name)
        cpus = values.get("cpus")
        if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int) or cpus < 1):
            raise self._wrong(f"it is a number from 1, not {cpus!r:.40}", *within, "cpus")
        settings = _table(self._whole, values.get("set", {}), *self._keys, *within, "set")
        parameters = _table(self._whole, values.get("parameters", {}), *self._keys, *within, "parameters")
        return Run(
            self._program(values.get("program"), within, needed and "facts" not in self._about),
            values["arch"],
            values["platform"],
            values.get("kernel", ""),
            cpus,
            dict(parameters),
            {name: _setting(one) for name, one in settings.items()},
        )

    def _program(self, given: object, within: tuple[str, ...], needed: bool) -> str | Source | None:
        keys = (*self._keys, *within, "program")
        if given is None:
            if needed:
                raise self._wrong("it lacks `program`: a name, a file, or [program.NAME]", *within)
            return None
        if isinstance(given, Mapping):
            return self._inner(given, keys, self._name)
        if not isinstance(given, str):
            raise self._whole.wrong("it is a name, a file, or a table as docs/programs.md has it", *keys)
        if given in self._programs:
            return self._inner(self._programs[given], ("program", given), given)
        if given.endswith(SUFFIX):
            return str(Path(self._whole.file).parent / given)
        return given

    def _inner(self, tables: object, keys: tuple[str, ...], name: str) -> Source:
        table = _table(self._whole, tables, *keys)
        return with_parameters(_Inner(name, self._whole.file, self._whole.lines, table, (), keys))

    def _scale(self, unit: str, points: Sequence[Point]) -> float:
        """Return what one of the unit is in nanoseconds, in turns a nanosecond, or as a number."""
        of_number = "base" in self._about
        kinds = {"number" if of_number else point.quotient.kind for point in points}
        if len(kinds) > 1:
            raise self._wrong(f"its points are of different kinds: {', '.join(sorted(kinds))}", "points")
        (kind,) = kinds
        if kind == "time" and unit == CYCLES:
            ghz = self._about.get("ghz")
            if isinstance(ghz, bool) or not isinstance(ghz, int | float) or not 0.1 <= ghz <= 10:
                raise self._wrong("cycles need the clock: a number from 0.1 to 10", "ghz")
            return 1 / ghz
        units = {"time": TIME_UNITS, "rate": RATE_UNITS, "number": _NUMBER_UNITS}[kind]
        if unit not in units:
            said = f"{unit!r:.40} is no unit of a {kind}" if unit else f"a {kind} has one"
            known = ", ".join(name for name in (*units, *([CYCLES] if kind == "time" else [])) if name)
            raise self._wrong(f"{said}: {known}", "unit")
        return units[unit]

    def _fits(self, measure: str, points: Sequence[Point]) -> None:
        """Refuse what is not what the claim says that it measures."""
        quotient, base = points[0].quotient, "base" in self._about
        if measure == "curve":
            if len(points) < 2:
                raise self._wrong("a curve has several values: `vary` and `at`, or `points`", "values")
            return
        if len(points) > 1:
            raise self._wrong(f"several values are a curve, not a {measure}", "measure")
        fits = {
            "count": quotient.counted and not base,
            "time": quotient.kind == "time" and not base,
            "rate": quotient.kind == "rate" and not base,
            "ratio": base or (quotient.kind == "number" and not quotient.counted),
        }[measure]
        if not fits:
            is_one = "ratio" if base else "count" if quotient.counted else quotient.kind
            raise self._wrong(f"what `of`, `per` and `base` say is a {is_one}, not a {measure}", "measure")


def _decimals(value: int | float) -> int:
    text = repr(value)
    return len(text.partition(".")[2]) if "." in text and "e" not in text and not text.endswith(".0") else 0


def _setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
