"""Read snapshots of /proc/interrupts: the rows that tell of flushes, by CPU, and what two of them differ in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._records.values import CUT, DAMAGED, OTHER, READ, Cell, Check
from shootdown._values.recorded import InterruptRow

_HEADER = re.compile(r"\s*(?:CPU\d{1,6}\s+)*CPU\d{1,6}\s*$")
_ROW = re.compile(r"\s*([A-Za-z0-9_\-/]{1,16}):\s+(\S.*)$")
_FURTHER = re.compile(r"\s*\d[\d\s]*(?:\s[A-Za-z].*)?$")
_NUMBERS = re.compile(r"\s*\d+\s+\d+[\d\s]*(?:\s[A-Za-z].*)?$")
#: Rows that any machine may have, by name or words; an architecture adds what is special.
COMMON: tuple[InterruptRow, ...] = (
    InterruptRow(
        "TLB", "TLB shootdowns", "shootdown", "a CPU flushed user pages because another one asked it to"
    ),
    InterruptRow("CAL", "Function call interrupts", "call", "a CPU ran functions that others had queued"),
    InterruptRow("FN", "Function call interrupts", "call", "a CPU ran functions that others had queued"),
    InterruptRow("RES", "Rescheduling interrupts", "reschedule", "a CPU was told to look for another task"),
    InterruptRow("", "Function call interrupts", "call", "a CPU ran functions that others had queued"),
    InterruptRow("", "Rescheduling interrupts", "reschedule", "a CPU was told to look for another task"),
    InterruptRow("", "Single function call interrupts", "call", "a CPU ran functions that others had queued"),
)
#: Interrupt counters are unsigned ints.
_WRAPS = 1 << 32
_MOST_CPUS = 1 << 14
_MOST_SNAPSHOTS = 1 << 12
_DIGITS = "0123456789 \t"


@attrs.define
class Snapshot:
    """One snapshot: counts by CPU of each row that matters."""

    cpus: tuple[int, ...] | None = None
    rows: dict[str, dict[int, int]] = attrs.field(factory=dict)
    words: dict[str, str] = attrs.field(factory=dict)
    others: int = 0
    names: set[str] = attrs.field(factory=set)
    damaged: set[str] = attrs.field(factory=set)

    def sum(self, row: str) -> int:
        """Return the sum over all CPUs of a row."""
        return sum(self.rows[row].values())


class Interrupts:
    """Read lines of /proc/interrupts.

    Args:
        rows: of the architectures, besides those that any machine may have.
    """

    def __init__(self, rows: Iterable[InterruptRow] = ()) -> None:
        self._known = (*rows, *COMMON)
        self._names = {row.name for row in self._known if row.name}
        self.snapshots: list[Snapshot] = []
        self.dropped = 0
        self._current: Snapshot | None = None
        self._row: tuple[str, list[int]] | None = None

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED, and perhaps CUT."""
        if self._row is not None and _FURTHER.match(line):
            name, numbers = self._row
            return self._fill(name, numbers, line)
        cut = 0 if self._end_row() else CUT
        return self._begun(line) | cut

    def _begun(self, line: str) -> int:
        """Take a line that begins something."""
        if _HEADER.match(line):
            self._header(tuple(int(word[3:]) for word in line.split())[:_MOST_CPUS])
            return READ
        if self._current is not None and self._current.cpus and _NUMBERS.match(line):
            return READ  # the rest of a row that does not matter
        found = _ROW.match(line)
        if found is None:
            return OTHER
        name, rest = found.groups()
        here = self._current
        if not self._wanted(name, rest):
            if here is None or here.cpus is None or not rest[0].isdecimal():
                return OTHER
            # powerpc has two rows LOC (arch/powerpc/kernel/irq.c:arch_show_interrupts()); their words differ
            label = f"{name} {rest.lstrip(_DIGITS)}"
            if label in here.names:  # the next snapshot begins without its header
                here = self._begin(here.cpus)
            here.others += 1
            here.names.add(label)
            return READ
        if here is None or name in here.names:
            here = self._begin(None if here is None else here.cpus)
        here.names.add(name)
        return self._fill(name, [], rest)

    def _header(self, cpus: tuple[int, ...]) -> None:
        """Begin a snapshot, unless it is the rest of a header that a mailer wrapped."""
        here = self._current
        if here is not None and here.cpus and not here.names and cpus[0] > here.cpus[-1]:
            here.cpus = (*here.cpus, *cpus)[:_MOST_CPUS]
        else:
            self._begin(cpus)

    def _wanted(self, name: str, rest: str) -> bool:
        if name in self._names:
            return rest[0].isdecimal()
        if not rest[0].isdecimal():
            return False
        if re.fullmatch(r"IPI-?\d{1,3}", name):
            return True
        return name.isdecimal() and self.kind_of(name, " ".join(rest.lstrip(_DIGITS).split())) is not None

    def _fill(self, name: str, numbers: list[int], text: str) -> int:
        """Read the numbers of a row, or of the next line of one that a mailer wrapped."""
        words = text.split()
        taken = 0
        for word in words:
            if not (word.isascii() and word.isdecimal()) or len(word) > 20 or len(numbers) >= _MOST_CPUS:
                break
            numbers.append(int(word))
            taken += 1
        rest = " ".join(words[taken:])
        here = self._current
        assert here is not None
        self._row = (name, numbers)
        if rest:
            whole = self._end_row()
            if whole:
                here.words[name] = rest
            return READ if whole else DAMAGED
        if here.cpus is not None and len(numbers) > len(here.cpus):
            self._end_row()
            return DAMAGED
        return READ

    def _end_row(self) -> bool:
        """Put a row away; return whether it is whole."""
        if self._row is None:
            return True
        (name, numbers), self._row = self._row, None
        here = self._current
        assert here is not None
        if here.cpus is None:
            here.cpus = tuple(range(len(numbers)))
        if len(numbers) != len(here.cpus):
            here.damaged.add(name)
            return False
        here.rows[name] = dict(zip(here.cpus, numbers, strict=True))
        return True

    def _begin(self, cpus: tuple[int, ...] | None) -> Snapshot:
        self._put_away()
        self._current = Snapshot(cpus)
        return self._current

    def _put_away(self) -> None:
        if self._current is None or not (self._current.rows or self._current.others):
            return
        if len(self.snapshots) >= _MOST_SNAPSHOTS:  # the first and the last ones tell
            self.dropped += 1
            del self.snapshots[-1]
        self.snapshots.append(self._current)

    def end(self) -> None:
        """Take note that the file is at its end."""
        self._end_row()
        self._put_away()
        self._current = None

    def kind_of(self, name: str, words: str) -> InterruptRow | None:
        """Return what a row counts, by its name or its words."""
        for row in self._known:
            if (row.name == name and row.name) or (not row.name and row.words and row.words in words):
                return row
        return None

    def part(self) -> InterruptsPart | None:
        """Return what was found, or None if there was no row that matters."""
        if not self.snapshots:
            return None
        words: dict[str, str] = {}
        for one in self.snapshots:
            words |= one.words
        names = list(dict.fromkeys(name for one in self.snapshots for name in one.rows))
        rows = tuple(row for name in names if (row := self._row_part(name, words.get(name, ""))) is not None)
        damaged = {}
        for name in sorted({name for one in self.snapshots for name in one.damaged}):
            known = self.kind_of(name, words.get(name, ""))
            damaged[name] = "" if known is None else known.kind
        return InterruptsPart(rows, len(self.snapshots) + self.dropped, self._cpus(), damaged)

    def _cpus(self) -> int:
        return max((len(one.cpus) for one in self.snapshots if one.cpus), default=0)

    def _row_part(self, name: str, words: str) -> Row | None:
        known = self.kind_of(name, words)
        series = [one.rows[name] for one in self.snapshots if name in one.rows]
        if known is None or not series:
            return None
        first, last = series[0], series[-1]
        delta: dict[int, int] | None = None
        wrapped, back = 0, 0
        if len(series) > 1:
            delta = {}
            for cpu in sorted(first.keys() & last.keys()):
                total, before = 0, first[cpu]
                for now in (one[cpu] for one in series[1:] if cpu in one):
                    step = now - before
                    if step < 0 and before >= 3 * _WRAPS // 4 and now < _WRAPS // 4:
                        step, wrapped = step + _WRAPS, wrapped + 1
                    back += step < 0
                    total, before = total + step, now
                delta[cpu] = total
        return Row(
            name=name,
            words=words or known.words,
            kind=known.kind,
            doc=known.doc,
            sums=tuple(sum(one.values()) for one in (series if len(series) <= 16 else [first, last])),
            last=last,
            delta=None if back else delta,
            went_back=back,
            wrapped=wrapped,
            cpus_apart=len(first.keys() ^ last.keys()) if len(series) > 1 else 0,
            at_both_ends=name in self.snapshots[0].rows and name in self.snapshots[-1].rows,
        )


@attrs.frozen
class Row:
    """A row in one or more snapshots.

    Args:
        name, words, kind, doc: as the file and the architecture have them.
        sums: over all CPUs, of each snapshot; of the first and the last one where there are many.
        last: by CPU, of the last snapshot.
        delta: by CPU, from the first to the last one; None with one snapshot, or if a count went down.
        went_back: counts that went down: another boot, or another machine.
        wrapped: counters that began again at 0 after 2**32.
        cpus_apart: CPUs that only one of the two has.
        at_both_ends: the first and the last of all snapshots have the row.
    """

    name: str
    words: str
    kind: str
    doc: str
    sums: Sequence[int]
    last: Mapping[int, int] = attrs.field(hash=False)
    delta: Mapping[int, int] | None = attrs.field(hash=False)
    went_back: int
    wrapped: int
    cpus_apart: int
    at_both_ends: bool

    @property
    def total(self) -> int:
        """Return the difference if there is one, else the sum since boot."""
        return sum((self.last if self.delta is None else self.delta).values())


@attrs.frozen
class InterruptsPart:
    """What snapshots of /proc/interrupts tell.

    Args:
        rows: those that matter.
        snapshots: how many there were.
        cpus: columns.
        damaged: names of rows that are damaged in some snapshot, and what they count, as far as it is known.
    """

    rows: tuple[Row, ...]
    snapshots: int
    cpus: int
    damaged: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    evidence: Mapping[str, int] = attrs.field(factory=Counter, hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "interrupts"

    def row(self, kind: str) -> Row | None:
        """Return the first row of a kind."""
        return next((row for row in self.rows if row.kind == kind), None)

    @property
    def no_shootdowns(self) -> str | None:
        """Return why no row has the shootdowns; None if one has."""
        if self.row("shootdown") is not None:
            return None
        if lost := ", ".join(name for name, kind in self.damaged.items() if kind == "shootdown"):
            return f"the row that counts shootdowns, {lost}, is damaged"
        return "no row counts shootdowns alone"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        if self.snapshots == 1:
            found.append("since when: one snapshot counts since boot; take two, and give both")
        lacking = [row.name for row in self.rows if not row.at_both_ends]
        for names, why in (
            ([name for name in lacking if name not in self.damaged], "has no such row"),
            ([name for name in lacking if name in self.damaged], "has it damaged"),
        ):
            if names:
                found.append(
                    f"how many in between of {', '.join(names)}: the first or the last snapshot {why}"
                )
        if any(row.went_back for row in self.rows):
            found.append(
                "how many in between: counts went down, so that a boot lies between the snapshots, or the files are in "
                "the wrong order; each is since its boot"
            )
        if self.no_shootdowns is not None:
            found.append(
                f"how many shootdowns: {self.no_shootdowns}; where flushes are by IPI, function calls have them among "
                "others"
            )
        else:
            found.append(
                "how many shootdowns there were: the row counts the CPUs that answered; how many pages, by whom, from "
                "which call"
            )
        if self.snapshots > 1:
            found.append("how long the snapshots are apart: /proc/interrupts has no time")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return nothing: answers are counted, not shootdowns."""
        return ()

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        tlb, calls = self.row("shootdown"), self.row("call")
        if tlb is None or calls is None:
            return ()
        ahead = [cpu for cpu, count in tlb.last.items() if count > calls.last.get(cpu, count)]
        return (
            Check(
                f"{calls.name} is at least {tlb.name} on each CPU",
                True if not ahead else None,
                f"on {len(tlb.last) - len(ahead)} of {len(tlb.last)} CPUs; it need not: one interrupt may run several "
                "queued calls",
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "snapshots": self.snapshots,
            "cpus": self.cpus,
            "damaged": list(self.damaged),
            "rows": [
                {
                    "name": row.name,
                    "words": row.words,
                    "kind": row.kind,
                    "sums": list(row.sums),
                    "difference": None if row.delta is None else sum(row.delta.values()),
                    "by_cpu": {str(cpu): count for cpu, count in (row.delta or row.last).items()},
                    "since_boot": row.delta is None,
                    "went_back": row.went_back,
                    "wrapped": row.wrapped,
                    "cpus_in_one_snapshot_only": row.cpus_apart,
                }
                for row in self.rows
            ],
        }
