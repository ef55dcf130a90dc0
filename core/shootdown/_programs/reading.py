"""Read a program: TOML that a person typed, or the same values in Python."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._programs.checking import check
from shootdown._programs.language import MOST_BYTES, Reader, read_size, read_time, size_text
from shootdown._programs.lines_of_files import line_of
from shootdown._programs.program import KINDS, PRIVATE_FILE, SLICE_NS, Memory, Process, Program, Spot, Thread
from shootdown._programs.shipped import SUFFIX
from shootdown._programs.told import choices, word
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.parameter import Parameter, Value

if TYPE_CHECKING:
    from shootdown._values.setup import Setup

_NAME = re.compile(r"[A-Za-z_][\w-]*")
_USE = re.compile(r"\$([A-Za-z_]\w*)")
#: Places begin and end at multiples of it, on every architecture.
SMALLEST_PAGE = 4096
_MOST_THREADS = 10**5
#: Longer keys, and those that can't be printed, are shown as Python writes them, and cut.
_LONGEST_KEY = 40
_OF_SCENARIOS = ("source", "reaches", "idle", "switches", "expected")
_TABLES = ("summary", "parameters", "memory", "scheduler", "process", *_OF_SCENARIOS)
_SCHEDULER = ("slice",)
#: What `cpu` is of a thread that a scheduler places.
ANY = "any"
#: The shortest slice in ns, and the longest.
_SLICES = (10_000, 10**9)
_MEMORY = ("kind", "size", "offset", "shared", "vmas", "alone", "each")
_ORDINARY = ("anonymous", "thp", "file")
#: Keys that only some kinds of memory have.
_OF_KINDS = {
    "shared": ("hugetlb", "file"),
    "vmas": ("hugetlb",),
    "alone": _ORDINARY,
    "each": _ORDINARY,
    "offset": _ORDINARY,
}
#: The largest offset of a memory: what a PUD entry maps, with pages of 4K.
_MOST_OFFSET = 1 << 30
_THREAD = ("do", "cpu", "count", "repeat")
_PROCESS = (*_THREAD, "thread")
#: What stands for sizes of the kernel that a program runs on, and their values where no kernel is known yet.
SIZES = {"PAGE_SIZE": "4K", "PMD_SIZE": "2M"}


@attrs.frozen(eq=False)
class Source:
    """A program as it was written, before its parameters have values.

    Args:
        name: of the program: the file's name without its end.
        file: the path, or what stands for it in messages.
        lines: the file's lines; empty for values from Python.
        tables: the values.
        parameters: what `-p` can choose.
    """

    name: str
    file: str
    lines: tuple[str, ...] = attrs.field(repr=False)
    tables: Mapping[str, Any] = attrs.field(repr=False)
    parameters: tuple[Parameter, ...]

    @property
    def summary(self) -> str:
        """What the program says of itself, in one line."""
        return str(self.tables.get("summary", f"the program of {self.file}"))

    def program(self, values: Mapping[str, Value], sizes: Mapping[str, str] = SIZES) -> Program:
        """Return the program with values for its parameters.

        Args:
            values: by the names of its parameters.
            sizes: what `$PAGE_SIZE` and `$PMD_SIZE` stand for.

        Raises:
            ShootdownError: something is wrong in it; the message names file, line and key.
        """
        return _Filled(self, {**sizes, **values}).program()

    def chosen(self, values: Mapping[str, Value], sizes: Mapping[str, str] = SIZES) -> Program:
        """Return the program with those values that are its own parameters', and defaults for what is left out."""
        return self.program({one.name: values.get(one.name, one.default) for one in self.parameters}, sizes)

    def chosen_for(self, setup: Setup) -> Program:
        """Return the program for a kernel on a platform, with what was chosen of its parameters."""
        geometry = setup.lowering.geometry
        sizes = {
            "PAGE_SIZE": size_text(1 << geometry.page_shift),
            "PMD_SIZE": size_text(1 << geometry.pmd_shift),
        }
        return self.chosen(setup.values, sizes)

    def stands_for(self, name: str, value: Value) -> str:
        """Return the text that a parameter's value stands for: itself, or what the file says of a choice."""
        texts = self.tables.get("parameters", {}).get(name)
        return str(texts[word(value)]) if isinstance(texts, Mapping) else word(value)

    def spot(self, *keys: str, text: str = "") -> Spot:
        """Say where a value was written: the line that has the text, else that of its key, else of its table."""
        told = (
            key if key.isprintable() and len(key) <= _LONGEST_KEY else f"{key!r:.{_LONGEST_KEY}}"
            for key in keys
        )
        return Spot(self.file, line_of(self.lines, keys, text), ".".join(told))

    def wrong(self, what: str, *keys: str, text: str = "") -> ShootdownError:
        """Return an error about a value."""
        return ShootdownError(f"{self.spot(*keys, text=text)}: {what}")


def read_file(path: str | os.PathLike[str]) -> Source:
    """Read a program from a file of TOML.

    Raises:
        ShootdownError: it can't be read, or something is wrong in it.
    """
    file = os.fspath(path)
    tables, text = inputs.read_toml(file, "program")
    return _source(os.path.basename(file).removesuffix(SUFFIX), file, tuple(text.splitlines()), tables)


def read_values(tables: Mapping[str, Any], name: str = "program") -> Source:
    """Read a program from values in Python, which have the form of a file's tables.

    Raises:
        ShootdownError: something is wrong in them.
    """
    return _source(name, name, (), tables)


def _source(name: str, file: str, lines: tuple[str, ...], tables: Mapping[str, Any]) -> Source:
    return with_parameters(Source(name, file, lines, tables, ()))


def with_parameters(source: Source) -> Source:
    """Return a program that was read with its parameters, after all of it is checked.

    Raises:
        ShootdownError: something is wrong in it.
    """
    tables = source.tables
    _keys(source, tables, _TABLES)
    summary = tables.get("summary", "a program")
    if not isinstance(summary, str) or not summary.strip() or not summary.isprintable():
        raise source.wrong("it is one line of text", "summary")
    found = attrs.evolve(source, parameters=tuple(_parameters(source)))
    found.chosen({})
    return found


def _parameters(source: Source) -> Iterable[Parameter]:
    given = source.tables.get("parameters", {})
    if not isinstance(given, Mapping):
        raise source.wrong("it is a table: NAME = VALUE", "parameters")
    for name, value in given.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name) or name == "seed":
            raise source.wrong(
                "a parameter's name is letters, digits and underscores, and not `seed`",
                "parameters",
                str(name),
            )
        doc = f"what ${name} stands for in {Path(str(source.file)).name}"
        if isinstance(value, Mapping):
            default, words = choices(source, value, "parameters", name)
            if not all(isinstance(text, int | str) for text in value.values()):
                raise source.wrong("each choice stands for a number or a text", "parameters", name)
            yield Parameter(name, default, doc, choices=words)
            continue
        if not isinstance(value, int | str) or (isinstance(value, int) and not 0 <= value <= 10**9):
            raise source.wrong(
                "it is a number from 0 to 1,000,000,000, true, false, a text, or a table of choices",
                "parameters",
                name,
            )
        yield Parameter(name, value, doc)


def _keys(source: Source, table: object, known: Iterable[str], *keys: str) -> Mapping[str, Any]:
    """Return a table whose keys are all known.

    Raises:
        ShootdownError: it is none, or a key is unknown.
    """
    if not isinstance(table, Mapping):
        raise source.wrong("it is a table of keys with values", *keys)
    for key in table:
        if key not in known:
            there = f"[{'.'.join(keys)}]" if keys else "a program"
            raise source.wrong(
                f"{there} has no {str(key)!r:.40}; {nearest(str(key), known)}", *keys, str(key)
            )
    return table


class _Filled:
    """A source whose parameters have values."""

    def __init__(self, source: Source, values: Mapping[str, Value]) -> None:
        self._source = source
        self._values = values
        self._memory: dict[str, Memory] = {}

    def program(self) -> Program:
        source = self._source
        for name, table in self._named("memory"):
            self._memory[name] = self._one_memory(name, table)
        processes = {name: self._process(name, table) for name, table in self._named("process")}
        if not processes:
            raise source.wrong("a program has a process: [process.A], with `do`", "process")
        found = Program(source.name, source.summary, self._memory, processes, self._slice())
        check(found)
        return found

    def _slice(self) -> int:
        """Return the slice of the scheduler, in nanoseconds."""
        table = _keys(self._source, self._source.tables.get("scheduler", {}), _SCHEDULER, "scheduler")
        if "slice" not in table:
            return SLICE_NS
        text = self._text(str(table["slice"]), "scheduler", "slice")
        found = read_time(text)
        if found is None or not _SLICES[0] <= found <= _SLICES[1]:
            raise self._source.wrong(
                f"{text!r:.40} is no time from 10us to 1s, such as 3ms", "scheduler", "slice"
            )
        return found

    def _named(self, kind: str) -> Iterable[tuple[str, object]]:
        table = self._source.tables.get(kind, {})
        if not isinstance(table, Mapping):
            raise self._source.wrong(f"it is a table: [{kind}.NAME]", kind)
        for name, value in table.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise self._source.wrong("a name is letters, digits, - and _", kind, str(name))
            yield name, value

    def _text(self, value: str, *keys: str) -> str:
        """Put the values of parameters where a text names them."""

        def put(found: re.Match[str]) -> str:
            if found[1] not in self._values:
                known = [parameter.name for parameter in self._source.parameters]
                raise self._source.wrong(
                    f"there is no parameter ${found[1]}; {nearest(found[1], known)}", *keys, text=found[0]
                )
            return self._source.stands_for(found[1], self._values[found[1]])

        return _USE.sub(put, value)

    def _one_memory(self, name: str, table: object) -> Memory:
        source, keys = self._source, ("memory", name)
        values = _keys(source, table, _MEMORY, *keys)
        kind = values.get("kind", "anonymous")
        if not isinstance(kind, str) or kind not in KINDS:
            raise source.wrong(f"there is no kind {kind!r:.40}; {nearest(str(kind), KINDS)}", *keys, "kind")
        if "size" not in values:
            raise source.wrong('it lacks its size, such as size = "2M"', *keys)
        written = str(values["size"])
        text = self._text(written, *keys, "size")
        size = None if isinstance(values["size"], bool) else read_size(text)
        if size is None or not 0 < size <= MOST_BYTES or size % SMALLEST_PAGE:
            shown = f"{text!r:.40}" + (f" for {written:.40}" if "$" in written else "")
            raise source.wrong(
                f"{shown} is no size such as 4K, 2M or 1G: a multiple of 4K, 256T at most", *keys, "size"
            )
        if kind == "hugetlb" and size % (2 << 20):
            raise source.wrong(f"{text:.40} is no multiple of 2M, the size of its pages", *keys, "size")
        for key, kinds in _OF_KINDS.items():
            if key in values and kind not in kinds:
                raise source.wrong(f"only {' and '.join(kinds)} memory has it", *keys, key)
        shared = self._truth(values.get("shared", True), *keys, "shared")
        return Memory(
            name,
            PRIVATE_FILE if kind == "file" and not shared else kind,
            size,
            shared,
            self._number(values.get("vmas", 1), 1, 10**5, *keys, "vmas"),
            self._truth(values.get("alone", True), *keys, "alone"),
            self._one_of(values.get("each", "process"), ("process", "thread"), *keys, "each"),
            source.spot(*keys),
            self._offset(values.get("offset", "0"), *keys, "offset"),
        )

    def _offset(self, value: object, *keys: str) -> int:
        text = self._text(str(value), *keys)
        found = None if isinstance(value, bool) else read_size(text)
        if found is None or not 0 <= found < _MOST_OFFSET or found % SMALLEST_PAGE:
            raise self._source.wrong(
                f"{text!r:.40} is no offset such as 0, 4K or 1M: a multiple of 4K, less than 1G", *keys
            )
        return found

    def _one_of(self, value: object, words: tuple[str, ...], *keys: str) -> str:
        if not isinstance(value, str) or value not in words:
            raise self._source.wrong(f"it is {' or '.join(words)}, not {value!r:.40}", *keys)
        return value

    def _truth(self, value: object, *keys: str) -> bool:
        if not isinstance(value, bool):
            raise self._source.wrong(f"it is true or false, not {value!r:.40}", *keys)
        return value

    def _number(self, value: object, least: int, most: int, *keys: str) -> int:
        text = self._text(value, *keys) if isinstance(value, str) else value
        number = int(text) if isinstance(text, str) and re.fullmatch(r"\d{1,12}", text) else text
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise self._source.wrong(f"it is a number from {least} to {most:,}, not {text!r:.40}", *keys)
        return number

    def _process(self, name: str, table: object) -> Process:
        keys = ("process", name)
        values = _keys(self._source, table, _PROCESS, *keys)
        own = {key: values[key] for key in values if key not in ("thread", "count")}
        # A process may be nothing but its further threads.
        main = (self._thread("main", own, *keys),) if own or not values.get("thread") else ()
        threads = values.get("thread", {})
        if not isinstance(threads, Mapping):
            raise self._source.wrong("it is a table: [process.A.thread.NAME]", *keys, "thread")
        others = []
        for other, about in threads.items():
            if not isinstance(other, str) or not _NAME.fullmatch(other) or other == "main":
                raise self._source.wrong(
                    "a thread's name is letters, digits, - and _, and not `main`", *keys, "thread"
                )
            others.append(self._thread(other, about, *keys, "thread", other))
        count = self._number(values.get("count", 1), 1, _MOST_THREADS, *keys, "count")
        return Process(name, count, (*main, *others), self._source.spot(*keys))

    def _thread(self, name: str, table: object, *keys: str) -> Thread:
        source = self._source
        values = _keys(source, table, _THREAD, *keys)
        if "do" not in values:
            raise source.wrong(
                'it lacks `do`, what it does, such as do = ["touch heap", "munmap heap"]', *keys
            )
        do = values["do"]
        lines = [do] if isinstance(do, str) else do
        if (
            not isinstance(lines, list | tuple)
            or not lines
            or not all(isinstance(line, str) for line in lines)
        ):
            raise source.wrong('it is a text, or a list of texts: ["touch heap", "munmap heap"]', *keys, "do")
        text = "\n".join(lines)
        if "repeat" in values:
            turns = self._number(values["repeat"], 1, 10**7, *keys, "repeat")
            text = f"repeat {turns} {{ {text} }}"
        # Each line is read with its own place, unless braces go from one to the next.
        whole = source.spot(*keys, "do")
        reader = Reader(self._memory, SMALLEST_PAGE)
        if "repeat" in values or any(line.count("{") != line.count("}") for line in lines):
            body = reader.read(self._text(text, *keys, "do"), whole)
        else:
            body = tuple(
                statement
                for line in lines
                for statement in reader.read(
                    self._text(line, *keys, "do"), source.spot(*keys, "do", text=line)
                )
            )
        cpu = None
        floats = values.get("cpu") == ANY
        if "cpu" in values and not floats:
            cpu = self._number(values["cpu"], 0, 10**6, *keys, "cpu")
        count = self._number(values.get("count", 1), 1, _MOST_THREADS, *keys, "count")
        return Thread(name, cpu, count, body, whole, floats)
