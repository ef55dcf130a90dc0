"""Read statements: `repeat 1000 { touch heap; madvise heap[0:4K] DONTNEED }`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from shootdown._programs.program import Memory, Pattern, Place, Spot, Statement
from shootdown._programs.verbs import (
    ADVICE,
    COMMANDS,
    IOCTLS,
    LAST,
    UNCOUNTED_ADVICE,
    UNCOUNTED_COMMANDS,
    UNCOUNTED_IOCTLS,
    VERBS,
)
from shootdown._values.errors import ShootdownError, nearest

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TIMES = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9}
_TOKEN = re.compile(r"[{};]|[^\s{};]+")
_PLACE = re.compile(r"([A-Za-z_][\w-]*)(?:\[([^\[\]:]*):([^\[\]:]*)\])?")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
#: The most bytes of a memory, the most turns of a repetition, the longest time in ns.
MOST_BYTES, MOST_TURNS, MOST_NS = 1 << 48, 10**7, 10**12
#: The most braces within each other.
_DEEPEST = 8


def read_size(text: str) -> int | None:
    """Return the bytes that a text such as `2M` says, or None if it says none."""
    found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:i?B)?", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def read_time(text: str) -> int | None:
    """Return the nanoseconds that a text such as `10us` says, or None if it says none."""
    found = re.fullmatch(r"(\d{1,18})(ns|us|ms|s)", text)
    return int(found[1]) * _TIMES[found[2]] if found else None


def size_text(size: int) -> str:
    """Return bytes as a person writes them."""
    for unit in "TGMK":
        if size and not size % _UNITS[unit]:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def ends(one: Statement) -> bool:
    """Whether nothing comes after a statement in its thread."""
    return one.verb in LAST or bool(one.body and ends(one.body[-1]))


class Reader:
    """Read the statements of one program.

    Args:
        memory: all memory, by name.
        base_page: bytes of the smallest unit that a place can begin or end at.
    """

    def __init__(self, memory: Mapping[str, Memory], base_page: int) -> None:
        self._memory = memory
        self._page = base_page
        self._tokens: list[str] = []
        self._next = 0
        self._at = Spot("", 0, "")
        self._it: Place | None = None

    def read(self, text: str, at: Spot) -> tuple[Statement, ...]:
        """Read statements, with `;` or the end of a line between them.

        Raises:
            ShootdownError: something is wrong in it; the message names the place.
        """
        lines = re.sub(r"(?m)#.*$", "", text).replace("\n", ";")
        self._tokens, self._next, self._at = _TOKEN.findall(lines), 0, at
        body = self._body(0)
        if self._next < len(self._tokens):
            raise self._wrong("} closes what no { opened")
        return body

    def _wrong(self, what: str, verb: str = "") -> ShootdownError:
        form = f"; it is written: {VERBS[verb].form}" if verb else ""
        return ShootdownError(f"{self._at}: {what}{form}")

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _body(self, depth: int) -> tuple[Statement, ...]:
        found: list[Statement] = []
        while self._peek() not in ("", "}"):
            if self._peek() == ";":
                self._take()
                continue
            if found and ends(found[-1]):
                raise self._wrong(f"nothing can follow `{found[-1].text:.40}`, which ends the thread")
            found.append(self._statement(depth))
            if self._peek() not in ("", ";", "}"):
                raise self._wrong(f"{self._peek()!r:.40} is left over", found[-1].verb)
        return tuple(found)

    def _statement(self, depth: int) -> Statement:
        first = self._next
        verb = self._take()
        if verb not in VERBS:
            raise self._wrong(f"there is no statement {verb!r:.40}; {nearest(verb, VERBS)}")
        parts: dict[str, object] = {}
        body: tuple[Statement, ...] = ()
        for takes in VERBS[verb].takes:
            if takes == "body":
                if self._take() != "{":
                    raise self._wrong(f"`{verb}` lacks its braces", verb)
                if depth == _DEEPEST:
                    raise self._wrong(f"braces within each other: {_DEEPEST} at most")
                body = self._inner(verb, parts, depth + 1)
                if self._take() != "}":
                    raise self._wrong(f"the braces of `{verb}` are not closed")
                if not body:
                    raise self._wrong(f"the braces of `{verb}` are empty", verb)
            else:
                parts.update(self._part(verb, takes))
        text = " ".join(self._tokens[first : self._next])
        if parts.get("word") == "REMOVE":  # madvise_remove() does nothing but to punch the hole
            verb = "punch"
        return Statement(verb, self._at, text, body=body, **parts)  # type: ignore[arg-type]

    def _inner(self, verb: str, parts: dict[str, object], depth: int) -> tuple[Statement, ...]:
        """Read what is in braces; in those of `each`, `it` is a piece of its place."""
        outer = self._it
        if verb == "each":
            place, size = parts["place"], parts["number"]
            assert isinstance(place, Place)
            assert isinstance(size, int)
            if (place.hi - place.lo) % size:
                raise self._wrong(
                    f"{size_text(place.hi - place.lo)} are no whole pieces of {size_text(size)}", verb
                )
            self._it = Place(place.memory, place.lo, place.hi, size)
        body = self._body(depth)
        self._it = outer
        return body

    def _part(self, verb: str, takes: str) -> dict[str, object]:
        """Read one part of a statement; those whose names end in a question mark may be left out."""
        readers: dict[str, Callable[[str], dict[str, object]]] = {
            "place": self._place,
            "process": self._named,
            "thread": self._named,
            "event": self._named,
            "lock": self._named,
            "cpu": lambda verb: {"number": self._number(verb, "a CPU", 0, 10**6)},
            "count": lambda verb: {"number": self._number(verb, "a number", 1, MOST_TURNS)},
            "time": lambda verb: {"number": self._time(verb)},
            "size": self._piece,
            "of": lambda verb: {"word": self._word(verb, ("of",))},
            "rights": lambda verb: {"word": self._word(verb, ("read", "write"))},
            "advice": self._advice,
            "ioctl": self._ioctl,
        }
        optional: dict[str, Callable[[str], dict[str, object]]] = {
            "access?": lambda verb: {"word": self._take() if self._peek() in ("read", "write") else "write"},
            "count?": lambda verb: {
                "number": self._number(verb, "a number", 1, MOST_TURNS) if self._more() else 1
            },
            "time?": self._for_time,
            "pattern?": self._pattern,
            "daemon?": self._daemon,
            "command?": self._command,
        }
        return (readers | optional)[takes](verb)

    def _more(self) -> bool:
        return self._peek() not in ("", ";", "{", "}")

    def _argument(self, verb: str, what: str) -> str:
        if not self._more():
            raise self._wrong(f"`{verb}` lacks {what}", verb)
        return self._take()

    def _named(self, verb: str) -> dict[str, object]:
        name = self._argument(verb, "a name")
        if not _NAME.fullmatch(name):
            raise self._wrong(f"{name!r:.40} is no name", verb)
        return {"name": name}

    def _number(self, verb: str, what: str, least: int, most: int) -> int:
        text = self._argument(verb, what)
        if not re.fullmatch(r"[0-9_]{1,20}", text) or not least <= int(text.replace("_", "") or "-1") <= most:
            raise self._wrong(f"{text!r:.40} is no number from {least} to {most:,}", verb)
        return int(text.replace("_", ""))

    def _time(self, verb: str) -> int:
        text = self._argument(verb, "a time")
        found = read_time(text)
        if found is None or not 1 <= found <= MOST_NS:
            raise self._wrong(
                f"{text!r:.40} is no time such as 500ns, 10us, 2ms or 1s (the longest is 1000s)", verb
            )
        return found

    def _for_time(self, verb: str) -> dict[str, object]:
        if self._peek() != "for":
            return {"number": 0}
        self._take()
        return {"number": self._time(verb)}

    def _daemon(self, verb: str) -> dict[str, object]:
        if self._peek() != "by":
            return {}
        self._take()
        return {"word": self._word(verb, ("kswapd",))}

    def _command(self, verb: str) -> dict[str, object]:
        if not self._more():
            return {"word": "PRIVATE_EXPEDITED"}
        word = self._take().removeprefix("MEMBARRIER_CMD_")
        if word in UNCOUNTED_COMMANDS:
            raise self._wrong(f"MEMBARRIER_CMD_{word} is not counted yet; there is: {', '.join(COMMANDS)}")
        if word not in COMMANDS:
            raise self._wrong(f"{word!r:.40} is no command; {nearest(word, COMMANDS)}", verb)
        return {"word": word}

    def _word(self, verb: str, allowed: tuple[str, ...]) -> str:
        word = self._argument(verb, " or ".join(allowed))
        if word not in allowed:
            raise self._wrong(f"{word!r:.40} is none of {', '.join(allowed)}", verb)
        return word

    def _advice(self, verb: str) -> dict[str, object]:
        word = self._argument(verb, "its advice").removeprefix("MADV_")
        if word in UNCOUNTED_ADVICE:
            raise self._wrong(f"MADV_{word} is not modelled; there is: {', '.join(ADVICE)}")
        if word not in ADVICE:
            raise self._wrong(f"{word!r:.40} is no advice; {nearest(word, ADVICE)}", verb)
        return {"word": word}

    def _ioctl(self, verb: str) -> dict[str, object]:
        word = self._argument(verb, "an ioctl").removeprefix("UFFDIO_")
        if word in UNCOUNTED_IOCTLS:
            raise self._wrong(f"UFFDIO_{word} is not counted yet: {UNCOUNTED_IOCTLS[word]}")
        if word not in IOCTLS:
            raise self._wrong(f"{word!r:.40} is none that is counted; {nearest(word, IOCTLS)}", verb)
        return {"word": word}

    def _piece(self, verb: str) -> dict[str, object]:
        text = self._argument(verb, "a size")
        size = read_size(text)
        if not size or size % self._page:
            raise self._wrong(f"{text!r:.40} is no size, a multiple of {size_text(self._page)}", verb)
        return {"number": size}

    def _place(self, verb: str) -> dict[str, object]:
        text = self._argument(verb, "its memory")
        if text == "it" and self._it is not None and verb != "each":
            if verb == "truncate":
                raise self._wrong("a file is not truncated piece by piece; `punch it` takes a piece away")
            return {"place": self._it}
        found = _PLACE.fullmatch(text)
        if not found:
            raise self._wrong(f"{text!r:.40} is no place such as heap or heap[0:4K]", verb)
        name = found[1]
        if name not in self._memory:
            raise self._wrong(f"there is no memory {name!r:.40}; {nearest(name, self._memory)}")
        whole = self._memory[name].whole
        size, begin = self._memory[name].size, whole.lo
        if found[2] is None:
            return {"place": whole}
        if VERBS[verb].form.split()[1] == "MEMORY":
            raise self._wrong(f"`{verb}` is for a whole memory, not for {text}", verb)
        lo, hi = (
            read_size(end.strip() or default) for end, default in ((found[2], "0"), (found[3], str(size)))
        )
        if lo is None or hi is None:
            raise self._wrong(f"{text!r:.60}: its ends are sizes such as 4K or 2M")
        if lo >= hi or hi > size:
            raise self._wrong(
                f"{text:.60}: {name} has the bytes 0 to {size_text(size)}, and a part has some of them"
            )
        if lo % self._page or hi % self._page:
            raise self._wrong(f"{text:.60}: its ends are multiples of {size_text(self._page)}")
        if verb == "truncate" and hi < size:
            raise self._wrong(f"{text:.60}: what is truncated goes up to the end; `punch` takes a part away")
        return {"place": Place(name, begin + lo, begin + hi)}

    def _pattern(self, verb: str) -> dict[str, object]:
        how = self._peek()
        if how == "all":
            self._take()
            return {}
        if how == "every":
            self._take()
            text = self._argument(verb, "a size")
            step = read_size(text)
            if not step or step % self._page:
                raise self._wrong(
                    f"every {text:.40}: it is a size, a multiple of {size_text(self._page)}", verb
                )
            return {"pattern": Pattern("every", step)}
        if how not in ("random", "rand"):
            return {}
        self._take()
        number = self._number(verb, "a number of pages", 1, 10**6)
        seed = 1
        if self._peek() == "seed":
            self._take()
            seed = self._number(verb, "a seed", 0, 2**31 - 1)
        return {"pattern": Pattern(how, number, seed)}
