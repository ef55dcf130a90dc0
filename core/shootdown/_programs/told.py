"""What a program's file says of itself as a scenario: where the race is from, what `safe` means, its verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.errors import nearest
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.parameter import Parameter, Value
from shootdown._values.releases import evolve
from shootdown._values.scenario import Expect
from shootdown._values.verdict import VERDICTS

if TYPE_CHECKING:
    from shootdown._programs.reading import Source
    from shootdown._values.setup import Setup

_SWITCH = ("meaning", "kernel")
_EXPECTED = ("verdict", "on", "kernel", "set", "parameters", "why")
_NAME = re.compile(r"[A-Za-z_]\w*")


@attrs.frozen
class Told:
    """What a program says of itself as a scenario.

    Args:
        source: the commit, or where the race is described; empty if it says nothing.
        reaches: the places that a `safe` verdict has to have reached.
        idle: one more CPU idles, unless a thread sleeps.
        switches: what `--set scenario.NAME` can change.
        moves: by switch and choice, the kernel's switches that it sets.
        expected: verdicts that it must have.
    """

    source: str
    reaches: tuple[str, ...]
    idle: bool
    switches: tuple[Parameter, ...]
    moves: Mapping[tuple[str, str], Mapping[str, Value]]
    expected: tuple[Expect, ...]

    def chosen(self, scene: Setup) -> Setup:
        """Return the scene with the kernel that its own switches make of it."""
        moved: dict[str, Value] = {}
        for switch in self.switches:
            moved.update(self.moves[switch.name, word(scene.values.get(switch.name, switch.default))])
        return attrs.evolve(scene, kernel=evolve(scene.kernel, moved)) if moved else scene


def told(source: Source, places: Sequence[str]) -> Told:
    """Read what a program says of itself.

    Args:
        source: the program.
        places: those that its search can come to.

    Raises:
        ShootdownError: something is wrong in it; the message names file, line and key.
    """
    tables = source.tables
    origin = tables.get("source", "")
    if not isinstance(origin, str) or not origin.isprintable():
        raise source.wrong("it is one line of text", "source")
    reaches = _texts(source, tables.get("reaches", ()), "reaches")
    for place in reaches:
        if place not in places:
            raise source.wrong(
                f"there is no place {place!r:.40}; {nearest(place, places)}", "reaches", text=place
            )
    moves: dict[tuple[str, str], Mapping[str, Value]] = {}
    switches = tuple(_switches(source, moves))
    return Told(origin, reaches, _idle(source), switches, moves, tuple(_expected(source)))


def choices(source: Source, table: Mapping[str, Any], *keys: str) -> tuple[Value, tuple[str, ...]]:
    """Return the default of what is chosen by a word, and the words: a truth if these are `true` and `false`.

    Raises:
        ShootdownError: there is nothing to choose, or a word is none.
    """
    words = tuple(map(str, table))
    for one in words:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", one):
            raise source.wrong(f"{one!r:.40} is no choice: letters, digits, - and _", *keys)
    if len(words) < 2:
        raise source.wrong("a choice has two words or more", *keys)
    if set(words) == {"true", "false"}:
        return words[0] == "true", ()
    return words[0], words


def word(value: Value) -> str:
    """Return a chosen value as the word that a file has for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _idle(source: Source) -> bool:
    given = source.tables.get("idle", True)
    if not isinstance(given, bool):
        raise source.wrong(f"it is true or false, not {given!r:.40}", "idle")
    return given


def _texts(source: Source, given: object, *keys: str) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise source.wrong("it is a text, or a list of texts", *keys)
    return tuple(texts)


def _table(source: Source, given: object, known: Sequence[str], *keys: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise source.wrong("it is a table of keys with values", *keys)
    for key in given:
        if key not in known:
            raise source.wrong(f"it has no {str(key)!r:.40}; {nearest(str(key), known)}", *keys, str(key))
    return given


def _switches(source: Source, moves: dict[tuple[str, str], Mapping[str, Value]]) -> Iterator[Parameter]:
    given = source.tables.get("switches", {})
    if not isinstance(given, Mapping):
        raise source.wrong("it is a table: [switches.NAME]", "switches")
    for name, value in given.items():
        keys = ("switches", str(name))
        if not _NAME.fullmatch(str(name)):
            raise source.wrong("a switch's name is letters, digits and underscores", *keys)
        table = _table(source, value, _SWITCH, *keys)
        meaning, kernel = table.get("meaning"), table.get("kernel")
        if not isinstance(meaning, str) or not meaning.strip() or not meaning.isprintable():
            raise source.wrong('it lacks what it means: meaning = "..."', *keys)
        if not isinstance(kernel, Mapping):
            raise source.wrong("it lacks the kernel's switches that it sets: kernel.true = {}", *keys)
        default, words = choices(source, kernel, *keys)
        for choice, moved in kernel.items():
            moves[name, str(choice)] = _moved(source, moved, *keys)
        yield Parameter(name, default, meaning, choices=words)


def _moved(source: Source, given: object, *keys: str) -> Mapping[str, Value]:
    """Return the kernel's switches that a choice sets."""
    known = dict(switches_of(Kernel))
    table = _table(source, given, tuple(known), *keys)
    for name, value in table.items():
        if type(value) is not type(known[name].default):
            raise source.wrong(f"kernel.{name} is no {type(value).__name__}", *keys, name)
    return dict(table)


def _expected(source: Source) -> Iterator[Expect]:
    given = source.tables.get("expected", ())
    if not isinstance(given, list | tuple):
        raise source.wrong("it is a list of tables: [[expected]]", "expected")
    for one in given:
        table = _table(source, one, _EXPECTED, "expected")
        verdict = table.get("verdict")
        if verdict not in VERDICTS:
            raise source.wrong(
                f"there is no verdict {str(verdict)!r:.40}; {nearest(str(verdict), VERDICTS)}", "expected"
            )
        parameters = table.get("parameters", {})
        if not isinstance(parameters, Mapping):
            raise source.wrong("parameters is a table: NAME = VALUE", "expected")
        for place in _texts(source, table.get("on", ""), "expected") if "on" in table else ("",):
            arch, _, platform = place.partition("/")
            yield Expect(
                verdict,
                arch,
                platform,
                str(table.get("kernel", Expect("safe").kernel)),
                _texts(source, table.get("set", ()), "expected"),
                dict(parameters),
                str(table.get("why", "")),
            )
