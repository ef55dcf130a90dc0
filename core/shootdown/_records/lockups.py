"""Read kernel logs: reports of CSD locks that nobody answered, and of soft lockups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from shootdown._records import paths
from shootdown._records.evidence import release_in
from shootdown._records.values import DAMAGED, OTHER, READ, Cell, Check, add, largest
from shootdown._values.recorded import StackName

#: The time of the kernel, or a syslog's date, host and program before it.
_LINE = re.compile(
    r"\s*(?:<\d+>)?\s*(?:[A-Z][a-z]{2}\s+\d+ [\d:.]+ \S+ kernel: |\d{4}-\d\d-\d\dT\S+ \S+ kernel: )?"
    r"\[\s*\d+\.\d+\](?:\[[^\]]*\])?"
)
_CSD = re.compile(
    r"csd: (Detected|Continued) non-responsive CSD lock \(#(\d+)\) on CPU#(\d+), waiting (-?\d+) ns for CPU#(\d+) "
    r"(\S+?)\(([^)]*)\)"
)
_STUCK = re.compile(r"CSD lock \(#(\d+)\) (got unstuck|unresponsive|handling [\w ]+)")
_SOFT = re.compile(r"BUG: soft lockup - CPU#(\d+) stuck for (\d+)s! \[(.+?):(\d+)\]")
_NMI = re.compile(r"NMI backtrace for cpu (\d+)|Sending NMI from CPU (\d+) to CPUs ([\d,\-]+)")
_ON = re.compile(
    r"\bCPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (.{1,32}?)(?: Kdump: loaded)? (?:Not tainted|Tainted: .*?)\s+"
    r"([3-9]\.\d{1,2}\S*)"
)
_IP = re.compile(r"\b(?:RIP: \w+:|pc : |NIP:? (?:\[\w+\] )?|epc : )(\w[\w.]*)\+")
_VERSION = re.compile(r"Linux version ([3-9]\.\d\S*)")
#: `#1  Debian 6.1.76-1`, and `(Ubuntu 6.8.0-51.52-generic 6.8.12)`.
_POINT = re.compile(r"Debian (\d+\.\d+\.\d+)-\d|\(Ubuntu \S+ (\d+\.\d+\.\d+)\)")
_TRACED = re.compile(r"\s(?:\? )?([A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
#: How other lines of a report begin that say nothing here.
_PLAIN = ("Call Trace", "<TASK>", "</TASK>", "<IRQ>", "</IRQ>", "<NMI>", "</NMI>", "Hardware name", "Code:",
          "Modules linked", "RSP:", "RAX:", "RDX:", "RBP:", "R10:", "R13:", "FS:", "CS:", "CR2:", "DR0:",
          "DR3:", "PKRU:")  # fmt: skip
_QUEUE = re.compile(r"Workqueue: \S+ (\w+)")

_FRAMES = 128


@attrs.define
class Wait:
    """One CPU that waits for another one.

    Args:
        waiter, target: their numbers.
        ns: the longest time that was told.
        callback: the function that the target was to run.
        path: what that is; empty where nothing tells.
        reports: how often it was told.
        at: where the target was, by its backtrace; empty where there is none.
    """

    waiter: int
    target: int
    ns: int
    callback: str
    path: str
    flushes: bool | None
    reports: int = 1
    at: str = ""


class Lockups:
    """Read lines of a kernel log.

    Args:
        functions: of the architectures' flushes.
    """

    def __init__(self, functions: Iterable[StackName] = ()) -> None:
        self._functions = tuple(functions)
        self.waits: dict[tuple[int, int, str], Wait] = {}
        self.soft: list[dict[str, Any]] = []
        self.more_soft = 0
        self.releases: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.unstuck = 0
        self.states: Counter[str] = Counter()
        self.logged = 0  # other lines of a kernel log
        self._cpu: int | None = None
        self._traced: dict[str, Any] | None = None
        self._frames: list[str] = []

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        log = _LINE.match(line) is not None
        ours = self._report(line)
        if ours != OTHER:
            return ours
        self.logged += log
        return READ if log else OTHER

    def _report(self, line: str) -> int:
        found = _CSD.search(line)
        if found is not None:
            ns = int(found[4])
            if ns < 0 or len(found[4]) > 19:
                return DAMAGED
            callback = paths.plain(found[6])
            key = (int(found[3]), int(found[5]), callback)
            if key in self.waits:
                known = self.waits[key]
                known.ns, known.reports = max(known.ns, ns), known.reports + 1
            elif len(self.waits) < 4096:
                told = paths.attribute([callback], self._functions)
                self.waits[key] = Wait(key[0], key[1], ns, callback, told.path, told.flushes)
            add(self.seen, callback)
            return READ
        if "non-responsive CSD lock" in line:
            return DAMAGED
        state = _STUCK.search(line)
        if state is not None:
            self.unstuck += state[2] == "got unstuck"
            add(self.states, state[2])
            return READ
        soft = _SOFT.search(line)
        if soft is not None:
            if len(self.soft) < 256:
                self.soft.append(
                    {"cpu": int(soft[1]), "seconds": int(soft[2]), "task": soft[3], "at": "", "for": ""}
                )
            else:
                self.more_soft += 1
            self._trace(int(soft[1]))
            return READ
        nmi = _NMI.search(line)
        if nmi is not None:
            self._cpu = int(nmi[1]) if nmi[1] else None
            return READ
        version = _VERSION.search(line)
        if version is not None:
            self._release(line, version[1])
            return READ
        return self._detail(line) if self.waits or self.soft else OTHER

    def _detail(self, line: str) -> int:
        on = _ON.search(line)
        if on is not None:
            self._trace(int(on[1]))
            self._release(line, on[4])
            return READ
        at = _IP.search(line)
        if at is not None:
            name = paths.plain(at[1])
            add(self.seen, name)
            for wait in self.waits.values():
                if wait.target == self._cpu and not wait.at:
                    wait.at = name
            for one in self.soft:
                if one["cpu"] == self._cpu and not one["at"]:
                    one["at"] = name
            return READ
        work = _QUEUE.search(line)
        if work is not None:
            self._for(work[1])
            return READ
        traced = _TRACED.search(line)
        if traced is not None:
            self._for(paths.plain(traced[1]))
            return READ
        return READ if line.lstrip().startswith(_PLAIN) else OTHER

    def _release(self, line: str, text: str) -> None:
        """Note the release: what a distribution says of its point release, else what the kernel calls itself."""
        point = _POINT.search(line)
        add(self.releases, release_in(text) if point is None else (point[1] or point[2]))

    def _trace(self, cpu: int) -> None:
        """Begin the backtrace of a CPU: it is that of its last soft lockup which has none yet."""
        self._cpu = cpu
        self._frames = []
        self._traced = next(
            (one for one in reversed(self.soft) if one["cpu"] == cpu and not one["for"]), None
        )

    def _for(self, name: str) -> None:
        """Note a function of a backtrace; the whole of it says what the lockup is for."""
        add(self.seen, name)
        if self._traced is not None and len(self._frames) < _FRAMES:
            self._frames.append(name)
            self._traced["for"] = paths.attribute(self._frames, self._functions).path

    def end(self) -> None:
        """Take note that the file is at its end."""
        self._cpu = self._traced = None

    def part(self) -> LockupsPart | None:
        """Return what was found, or None if there was nothing."""
        if not self.waits and not self.soft:
            return None
        return LockupsPart(
            waits=tuple(sorted(self.waits.values(), key=lambda wait: -wait.ns)),
            soft=tuple(self.soft),
            more_soft=self.more_soft,
            unstuck=self.unstuck,
            states=dict(self.states),
            releases=tuple(one for one, _ in largest(self.releases, 16) if one and one[0].isdigit()),
            evidence=dict(self.seen),
        )


@attrs.frozen
class LockupsPart:
    """What a kernel log tells of CPUs that waited for others.

    Args:
        waits: CSD locks that were not answered in time.
        soft: soft lockups.
        more_soft: more of these that are not kept.
        unstuck: locks that were answered in the end.
        states: what the log says of locks, and how often.
        releases: that the log names.
        evidence: functions that were seen.
    """

    waits: tuple[Wait, ...]
    soft: tuple[Mapping[str, Any], ...]
    more_soft: int
    unstuck: int
    states: Mapping[str, int] = attrs.field(hash=False)
    releases: tuple[str, ...]
    evidence: Mapping[str, int] = attrs.field(hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "lockups"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        return (
            "how many flushes there were: a log has only those that took seconds",
            "why the target did not answer, unless its backtrace says it: interrupts were off there, or the vCPU did "
            "not run",
        )

    def cells(self) -> tuple[Cell, ...]:
        """Return nothing: these are no counts."""
        return ()

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "waits": [attrs.asdict(wait) for wait in self.waits],
            "soft_lockups": [dict(one) for one in self.soft],
            "soft_lockups_not_kept": self.more_soft,
            "got_unstuck": self.unstuck,
            "states": dict(self.states),
            "releases": list(self.releases),
        }
