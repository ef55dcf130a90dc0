"""Read `perf report` and `perf top`: shares of `tlb:tlb_flush` events, and shares of time in functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from shootdown._records import evidence, reasons
from shootdown._records.paths import plain
from shootdown._records.values import DAMAGED, OTHER, READ, Cell, Check, add
from shootdown._values.recorded import StackName

_SHARE = re.compile(r"\s*(\d{1,3}\.\d{1,4})%\s+(?:(\d{1,3}\.\d{1,4})%\s+)?(\S.*)$")
_SYMBOL = re.compile(r"(?:.*\s)?\[([k.guH])\]\s+(\S.*?)\s*(?:-\s+-\s*)?$")
_FUNCTION = re.compile(r"([A-Za-z_][\w.]*)(?:\s+\(.*\))?\s*$")
_SAMPLES = re.compile(r"#?\s*Samples:?\s+([\d.]+)([KMG]?)\s+of event[s]?\s+'?([\w:\-/=,]+)'?")
_COUNT = re.compile(r"#\s*Event count \(approx\.\):\s*(\d{1,20})")
_LOST = re.compile(r"#\s*Total Lost Samples:\s*(\d{1,20})")
_RELEASE = re.compile(r"#\s*os release\s*:\s*(\S+)")
_CPUS = re.compile(r"#\s*nrcpus online\s*:\s*(\d{1,6})")
#: `            |--7.71%--ret_from_fork_asm`, or a function below it.
_GRAPH = re.compile(r"\s{6,}(?:\||-{2,}|[A-Za-z_@][\w.@:~<>$]*(?:\s*\(.*\))?\s*$|0x[0-9a-f]+\s*$)")
_OTHER_HEADER = re.compile(r"\s*#|\s*\.\.\.+[\s.]*$|.*\bOverhead\b")

#: Functions of any architecture, and what time in them is.
GENERAL: tuple[StackName, ...] = (
    StackName("smp_call_function_many_cond", "none", "waits for all CPUs that were called, by a flush, by "
              "membarrier, by KVM and others: a profile can't tell which (kernel/smp.c)"),
    StackName("smp_call_function_single", "none", "waits for one CPU that was called (kernel/smp.c)"),
    StackName("llist_add_batch", "none", "queues a call for another CPU, or something else (lib/llist.c)"),
    StackName("__flush_smp_call_function_queue", "none", "runs what others queued (kernel/smp.c)"),
    StackName("flush_smp_call_function_queue", "none", "runs what others queued (kernel/smp.c)"),
    StackName("tlb_flush_mmu", "user", "ends a batch of unmapped pages (mm/mmu_gather.c)"),
    StackName("tlb_finish_mmu", "user", "ends a batch of unmapped pages (mm/mmu_gather.c)"),
    StackName("ptep_clear_flush", "user", "unmaps one page (mm/pgtable-generic.c)"),
    StackName("tlb_remove_table_sync_one", "none", "an empty interrupt to all other CPUs (mm/mmu_gather.c)"),
    StackName("membarrier_private_expedited", "none", "a memory barrier on other CPUs, no flush "
              "(kernel/sched/membarrier.c)"),
    StackName("ipi_mb", "none", "membarrier's handler, no flush (kernel/sched/membarrier.c)"),
)  # fmt: skip


class Shares:
    """Read lines of `perf report` and `perf top`.

    Args:
        functions: of the architectures' flushes.
    """

    def __init__(self, functions: Iterable[StackName] = ()) -> None:
        self._named = {one.name: one for one in (*functions, *GENERAL)}
        self.flushes: dict[tuple[int, int], float] = {}
        self.profiles: list[dict[str, float]] = [{}]
        self._before = 101.0
        self.seen: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.count = 0
        self.graph = 0
        self.lost = 0
        self.cpus = 0
        self.releases: list[str] = []

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        found = _SHARE.match(line)
        if found is None:
            return self._header(line)
        share = float(found[2] or found[1])
        if share > 100:
            return DAMAGED
        text = found[3]
        if "pages" in text and "reason" in text:
            read = reasons.read(text)
            if read is None:
                return DAMAGED
            pages, reason, spelling = read
            evidence.note_reason(self.seen, reason, spelling)
            key = (reason, pages)
            if key in self.flushes or len(self.flushes) < 4096:
                self.flushes[key] = self.flushes.get(key, 0.0) + share
            return READ
        symbol = _SYMBOL.match(text)
        name = symbol[2] if symbol is not None else None
        if symbol is None:
            function = _FUNCTION.match(text)
            name = function[1] if function is not None else None
        if name is None:
            return OTHER
        profile = self.profiles[-1]
        order = float(found[1])
        if order > self._before and profile and len(self.profiles) < 64:  # another profile begins
            profile = {}
            self.profiles.append(profile)
        self._before = order
        if symbol is None or symbol[1] == "k":
            name = plain(name)
            if name in profile or len(profile) < 4096:
                profile[name] = profile.get(name, 0.0) + share
            if name in self._named:
                add(self.seen, name)
        return READ

    def _header(self, line: str) -> int:
        line = line.lstrip() if line.lstrip().startswith("#") else line
        samples = _SAMPLES.match(line)
        if samples is not None:
            add(self.events, samples[3])
            return READ
        for pattern, name in ((_COUNT, "count"), (_LOST, "lost"), (_CPUS, "cpus")):
            found = pattern.match(line)
            if found is not None:
                setattr(self, name, getattr(self, name) + int(found[1]))
                return READ
        release = _RELEASE.match(line)
        if release is not None:
            if len(self.releases) < 16:
                self.releases.append(evidence.release_in(release[1]))
            return READ
        if not (self.flushes or self.profiles[0] or self.events):
            return OTHER
        if _GRAPH.match(line):
            self.graph += 1
            return READ
        return READ if _OTHER_HEADER.match(line) else OTHER

    def end(self) -> None:
        """Take note that the file is at its end."""

    def part(self) -> SharesPart | None:
        """Return what was found, or None if there was nothing."""
        known = tuple(
            {name: (share, self._named[name].doc) for name, share in profile.items() if name in self._named}
            for profile in self.profiles
        )
        if not self.flushes and not any(known):
            return None
        return SharesPart(
            flushes=dict(self.flushes),
            profiles=tuple(profile for profile in known if profile),
            listed=sum(map(len, self.profiles)),
            events=dict(self.events),
            count=self.count,
            lost=self.lost,
            cpus=self.cpus,
            graph=self.graph,
            releases=tuple(one for one in self.releases if one),
            evidence=dict(self.seen),
        )


@attrs.frozen
class SharesPart:
    """What shares of samples tell.

    Args:
        flushes: shares in per cent of `tlb_flush` events by reason and pages.
        profiles: shares in per cent of samples in functions that matter, and what each is, by profile.
        listed: functions in all of them.
        events: what was sampled.
        count: events in all, about; 0 where it doesn't say.
        lost: samples that are missing.
        cpus: of the machine; 0 where it doesn't say.
        graph: lines of call graphs, which are not read.
        releases: which the header names.
    """

    flushes: Mapping[tuple[int, int], float] = attrs.field(hash=False)
    profiles: tuple[Mapping[str, tuple[float, str]], ...] = attrs.field(hash=False)
    listed: int
    events: Mapping[str, int] = attrs.field(hash=False)
    count: int
    lost: int
    cpus: int
    graph: int
    releases: tuple[str, ...]
    evidence: Mapping[str, int] = attrs.field(hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "shares"

    @property
    def of_events(self) -> bool:
        """Whether what was sampled are events of flushes, and not time."""
        return bool(self.events) and all("tlb_flush" in name for name in self.events)

    def of_reason(self, *wanted: int) -> float:
        """Return the share in per cent of events with one of the reasons."""
        return sum(share for (reason, _), share in self.flushes.items() if reason in wanted)

    @property
    def targets(self) -> float | None:
        """Return the CPUs that answered for each send, or None if it is not known."""
        sent = self.of_reason(reasons.SEND)
        return self.of_reason(reasons.REMOTE, reasons.WRONG) / sent if sent else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        if self.flushes:
            if not self.count:
                found.append("how many: there are only shares; `# Event count` is missing")
            found.append(
                "how many targets each: shares are of events, and perf loses events of busy CPUs; who answered whom, "
                "how long, and from which call"
            )
        if self.graph:
            found.append("what the call graphs are for: they are shares of shares; give perf script's text")
        if self.profiles and not self.of_events:
            found.append(
                "how many flushes: time in functions is no count; who waits in smp_call_function_many_cond() may wait "
                "for a flush, for membarrier() or for another call"
            )
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return the sends, by pages; their targets are not known."""
        scale = self.count / 100 if self.count else 1.0
        return tuple(
            Cell("", pages, None, share * scale)
            for (reason, pages), share in sorted(self.flushes.items())
            if reason == reasons.SEND
        )

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        if not self.flushes:
            return ()
        total = sum(self.flushes.values())
        return (
            Check(
                "shares sum to at most 100 %",
                total <= 100.01,
                f"{total:.2f} %" + ("; the rest is not listed" if total < 99.995 else ""),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "events_sampled": dict(self.events),
            "event_count": self.count or None,
            "tlb_flush": [
                {
                    "reason": reasons.NAMES[reason],
                    "number": reason,
                    "pages": pages,
                    "per_cent": round(share, 4),
                }
                for (reason, pages), share in self.flushes.items()
            ],
            "profiles": [
                [
                    {"name": name, "per_cent": round(share, 4), "what": doc}
                    for name, (share, doc) in largest_shares(profile)
                ]
                for profile in self.profiles
            ],
            "functions_listed": self.listed,
            "lost_samples": self.lost,
        }


def largest_shares(functions: Mapping[str, tuple[float, str]]) -> list[tuple[str, tuple[float, str]]]:
    """Return functions by their share, the largest first."""
    return sorted(functions.items(), key=lambda pair: (-pair[1][0], pair[0]))
