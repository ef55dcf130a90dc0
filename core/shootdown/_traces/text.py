"""Traces that are text, a line for each record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from shootdown._compilation.running import runnable
from shootdown._traces.columns import Columns
from shootdown._traces.reading import Trace
from shootdown._traces.source import Source, TraceError

_TEXT = 1 << 20  # bytes in a block
_FIRST_TEXT = 1 << 14  # in the first one; a short trace may be read by plain Python


class TextTrace(Trace):
    """Lines of text: of lackey, or of drmemtrace's view tool."""

    def __init__(self, source: Source, instructions: bool, cores: bool, name: str) -> None:
        super().__init__(source)
        self._instructions = instructions
        self._cores = cores
        self._name = name

    @property
    def name(self) -> str:
        """Return the format's name."""
        return self._name

    @property
    def is_plain(self) -> bool:
        """Whether all accesses are taken as one CPU's."""
        return not self._cores

    def _blocks(self) -> Iterator[Columns]:
        from shootdown._traces import kernels as k

        state = np.zeros(5, np.int64)
        text = np.zeros(_TEXT, np.uint8)
        view = memoryview(text)  # type: ignore[arg-type]
        # The shortest line of an access has 6 bytes, its end included: `L 0,1`.
        address = np.empty(_TEXT // 6 + 1, np.uint64)
        cpu, process = (np.empty(address.size, np.uint32) for _ in range(2))
        words = tuple(
            np.frombuffer(word, np.uint8)
            for word in (b"ifetch", b"read", b"write", b"<marker: ", b" on core ", b"View tool results")
        )
        left, byte, size = 0, 0, _FIRST_TEXT
        while True:
            got = left + self.source.fill(view[left:size])
            at_end = got < size
            end = got if at_end else _after_last_line(text[:size])
            size = min(size * 8, _TEXT)
            if end == 0 and not at_end and got < _TEXT:
                left = got
                continue
            if end == 0 and not at_end:
                raise TraceError(self._place(state, byte), f"a line of more than {_TEXT >> 20} MiB")
            if self._name == "lackey":
                count, taken, is_bad = runnable(k.parse_lackey)(text, end, self._instructions, address, state)
            else:
                count, taken, is_bad = runnable(k.parse_view)(
                    text, end, self._instructions, words, address, cpu, process, state
                )
            self.fetches_left_out = 0 if self._instructions else int(state[k.FETCHES])
            if count and self._cores:
                yield Columns(address[:count], cpu=cpu[:count], process=process[:count])
            elif count:
                yield Columns(address[:count])
            if is_bad:
                raise self._unreadable(state, byte + taken, text[taken:got], at_end)
            if at_end:
                if self.source.fault:
                    raise TraceError(self._place(state, byte + got), self.source.fault)
                if self._name != "lackey" and byte + got and not (state[k.STARTED] or state[k.ENDED]):
                    raise TraceError(
                        self._place(state, byte + got), f"no line before it is {self._name} text"
                    )
                return
            left = got - end
            text[:left] = text[end:got].copy()
            byte += end

    def _unreadable(self, state: Any, byte: int, rest: Any, at_end: bool) -> TraceError:
        line = bytes(rest[:80]).split(b"\n", 1)
        place = self._place(state, byte)
        if self.source.fault and len(line) == 1:
            return TraceError(place, self.source.fault)
        shown = line[0].decode("latin1").rstrip()
        cut = "; the file ends in it" if at_end and len(line) == 1 and len(rest) < 80 else ""
        return TraceError(place, f"no line of {self._name} text: {shown!a}{cut}")

    def _place(self, state: Any, byte: int) -> str:
        return f"line {int(state[0]) + 1:,}, byte {byte:,}"


def _after_last_line(text: np.ndarray[Any, Any]) -> int:
    ends = np.flatnonzero(text[-65536:] == 10)
    if ends.size:
        return text.size - min(65536, text.size) + int(ends[-1]) + 1
    ends = np.flatnonzero(text == 10)
    return int(ends[-1]) + 1 if ends.size else 0
