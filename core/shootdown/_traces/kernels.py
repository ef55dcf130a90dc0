"""Parse the lines of text traces.

Both parsers take whole lines. They write an address for each access and stop in front of a line that they
can't read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.kernels import inlined, kernel

NEWLINE, SPACE, TAB, RETURN, COMMA, COLON, AT, ZERO, NINE = 10, 32, 9, 13, 44, 58, 64, 48, 57
EQUALS, DASH, POINT = 61, 45, 46
UPPER_A, UPPER_F, LOWER_A, LOWER_F, LOWER_X = 65, 70, 97, 102, 120
FETCHES_I, LOADS_L, STORES_S, MODIFIES_M, THREAD_T, WORKLOAD_W = 73, 76, 83, 77, 84, 87
FOUR = np.uint64(4)

# --- `state` of a parser: numbers that it keeps from one block to the next
LINES, CORE, STARTED, ENDED, FETCHES = 0, 1, 2, 3, 4


@inlined
def _line_end(text: Any, at: Any, end: Any) -> Any:
    while at < end and text[at] != NEWLINE:
        at += 1
    return at


@inlined
def _skip_blanks(text: Any, at: Any, end: Any) -> Any:
    while at < end and (text[at] == SPACE or text[at] == TAB or text[at] == RETURN):
        at += 1
    return at


@inlined
def _hex(text: Any, at: Any, end: Any) -> Any:
    """Read hexadecimal digits; return the number, and the place behind them or -1 for none or more than 16."""
    value = np.uint64(0)
    start = at
    while at < end:
        c = np.int64(text[at])
        if ZERO <= c <= NINE:
            digit = c - ZERO
        elif LOWER_A <= c <= LOWER_F:
            digit = c - LOWER_A + 10
        elif UPPER_A <= c <= UPPER_F:
            digit = c - UPPER_A + 10
        else:
            break
        value = (value << FOUR) | np.uint64(digit)
        at += 1
    if at == start or at - start > 16:
        at = -1
    return value, at


@inlined
def _number(text: Any, at: Any, end: Any) -> Any:
    """Read decimal digits; return the number, and the place behind them or -1 for none."""
    value = np.int64(0)
    start = at
    while at < end and ZERO <= text[at] <= NINE:
        value = value * 10 + np.int64(text[at]) - ZERO
        at += 1
    if at == start:
        at = -1
    return value, at


@inlined
def _starts(text: Any, at: Any, end: Any, word: Any) -> Any:
    if end - at < len(word):
        return False
    same = True
    for i in range(len(word)):
        same = same and text[at + i] == word[i]
    return same


@kernel
def parse_lackey(text: Any, end: Any, fetches: Any, address: Any, state: Any) -> Any:
    """Read lines of `valgrind --tool=lackey --trace-mem=yes`: `I  04000000,3`, ` L 1ffe,8`, ` S ...`, ` M ...`.

    Args:
        text: bytes; the line that holds `end - 1` is whole.
        end: how many of them.
        fetches: whether an instruction fetch is an access.
        address: room for one address for each line.
        state: five numbers.

    Returns:
        How many addresses, how many bytes were taken, and whether the line behind them can't be read.
    """
    count = 0
    at = 0
    while at < end:
        stop = _line_end(text, at, end)
        here = _skip_blanks(text, at, stop)
        # Blank lines, and valgrind's own messages (`==123== ...`, `--123-- ...`).
        if here < stop and not (
            stop - at > 1 and text[at] == text[at + 1] and (text[at] == EQUALS or text[at] == DASH)
        ):
            what = text[here]
            good = what in (FETCHES_I, LOADS_L, STORES_S, MODIFIES_M)
            place = _skip_blanks(text, here + 1, stop)
            good = good and place > here + 1
            value, place = _hex(text, place, stop)
            good = good and place >= 0 and place < stop and text[place] == COMMA
            if good:
                size, place = _number(text, place + 1, stop)
                good = place >= 0 and size > 0 and _skip_blanks(text, place, stop) == stop
            if not good:
                return count, at, True
            if what == FETCHES_I:
                state[FETCHES] += 1
            if what != FETCHES_I or fetches:
                address[count] = value
                count += 1
        state[LINES] += 1
        at = stop + 1
    return count, min(at, end), False


@kernel
def parse_view(
    text: Any, end: Any, fetches: Any, words: Any, address: Any, cpu: Any, process: Any, state: Any
) -> Any:
    """Read lines of `drrun -t drmemtrace -tool view`: record and instruction number, thread, and what it did.

    Args:
        text: bytes; the line that holds `end - 1` is whole.
        end: how many of them.
        fetches: whether an instruction fetch is an access.
        words: `b"ifetch"`, `b"read"`, `b"write"`, `b"<marker: "`, `b" on core "` and `b"View tool results"`, as arrays.
        address: room for one address for each line.
        cpu: likewise for the core that the last marker named.
        process: likewise for the workload (`W1.T23`), 0 where lines name none.
        state: five numbers.

    Returns:
        As `parse_lackey`. Lines before the first record and after the last are other programs' output.
    """
    count = 0
    at = 0
    while at < end:
        stop = _line_end(text, at, end)
        here = _skip_blanks(text, at, stop)
        if _starts(text, here, stop, words[5]):
            state[ENDED] = 1
        if here < stop and state[ENDED] == 0:
            _, place = _number(text, here, stop)
            good = place >= 0
            if good and (place >= stop or text[place] != COLON):  # older traces have one number in front
                _, place = _number(text, _skip_blanks(text, place, stop), stop)
                good = place >= 0 and place < stop and text[place] == COLON
            workload = np.int64(0)
            if good:
                place = _skip_blanks(text, place + 1, stop)
                if place < stop and text[place] == WORKLOAD_W:
                    workload, place = _number(text, place + 1, stop)
                    good = place >= 0 and place < stop and text[place] == POINT
                    place += 1
                if good and place < stop and text[place] == THREAD_T:
                    place += 1
                if good:
                    _, place = _number(text, place, stop)
                    good = place >= 0
            if good:
                state[STARTED] = 1
                place = _skip_blanks(text, place, stop)
                is_fetch = _starts(text, place, stop, words[0])
                if is_fetch or _starts(text, place, stop, words[1]) or _starts(text, place, stop, words[2]):
                    while place < stop and text[place] != AT:
                        place += 1
                    place = _skip_blanks(text, place + 1, stop)
                    good = place + 2 < stop and text[place] == ZERO and text[place + 1] == LOWER_X
                    value, place = _hex(text, place + 2, stop)
                    good = good and place >= 0
                    if good and is_fetch:
                        state[FETCHES] += 1
                    if good and (fetches or not is_fetch):
                        address[count] = value
                        cpu[count] = state[CORE]
                        process[count] = workload
                        count += 1
                elif _starts(text, place, stop, words[3]):
                    while place < stop and not _starts(text, place, stop, words[4]):
                        place += 1
                    if place < stop:
                        core, place = _number(text, place + len(words[4]), stop)
                        if place >= 0:
                            state[CORE] = core
            if not good and state[STARTED] == 1:
                return count, at, True
        state[LINES] += 1
        at = stop + 1
    return count, min(at, end), False
