"""Function calls on other CPUs: `ipi:*` and `csd:*` events, who is called by whom, and how long a call waits."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict

import attrs

from shootdown._records.event_lines import Event, cpus_of_mask
from shootdown._records.groups import Latencies
from shootdown._records.paths import plain
from shootdown._records.values import add

_FIELD = re.compile(r"(\w+)=(\[?[^\s\]]+\]?)")
_TARGETS = re.compile(r"target_mask=([0-9a-fA-F,\-]+)")
_WORDS = re.compile(r"\(([^)]*)\)\s*$")
_POINTERS = 1 << 16
#: How long before an interrupt, in ns, the call that it is for was queued.
_JUST_BEFORE = 50_000
_64 = (1 << 64) - 1

EVENTS = frozenset(
    {
        "ipi_send_cpu",
        "ipi_send_cpumask",
        "ipi_raise",
        "csd_queue_cpu",
        "csd_function_entry",
        "csd_function_exit",
        "csd_latency",
    }
)


@attrs.define
class Calls:
    """Calls of functions on other CPUs.

    Args:
        sent: interrupts, by callback or call site: one for each CPU.
        callbacks: how often each function was called on another CPU.
        own: how often the caller ran each itself, which has no pointer of a call.
        waits: from a call's queueing to its entry, in ns.
        told: the same as the trace tells it, where it does (`csd_latency`), in the trace's own unit.
        unmatched: entries whose queueing is not in the trace.
        damaged: events without what they must have.
    """

    sent: Counter[str] = attrs.field(factory=Counter)
    masks: int = 0
    callbacks: Counter[str] = attrs.field(factory=Counter)
    own: Counter[str] = attrs.field(factory=Counter)
    runs: Counter[str] = attrs.field(factory=Counter)
    waits: Latencies = attrs.field(factory=Latencies)
    told: list[int] = attrs.field(factory=list)
    agreeing: int = 0
    unmatched: int = 0
    damaged: int = 0
    _last: dict[int, tuple[int, str, str]] = attrs.field(factory=dict)
    _queued: OrderedDict[int, tuple[int, str]] = attrs.field(factory=OrderedDict)
    _waited: OrderedDict[int, int] = attrs.field(factory=OrderedDict)

    def take(self, event: Event) -> bool:
        """Take an event; False if it is damaged."""
        fields = {found[1]: found[2].strip(",[]") for found in _FIELD.finditer(event.payload)}
        if event.name.startswith("ipi_send"):
            return self._send(event, fields)
        if event.name == "ipi_raise":
            mask, words = _TARGETS.search(event.payload), _WORDS.search(event.payload)
            count = cpus_of_mask(mask[1]) if mask is not None else None
            if count is None:
                return False
            self.masks += 1
            add(self.sent, words[1] if words is not None else "ipi_raise", count)
            return True
        pointer = _pointer(fields.get("csd", ""))
        if pointer is None:
            return False
        if event.name == "csd_queue_cpu":
            function = plain(fields.get("func", ""))
            if not function:
                return False
            add(self.callbacks, function)
            if event.cpu in self._last or len(self._last) < _POINTERS:
                self._last[event.cpu] = (event.ns, fields.get("cpu", ""), function)
            self._queued[pointer] = (event.ns, function)
            if len(self._queued) > _POINTERS:
                self._queued.popitem(last=False)
        elif event.name == "csd_function_entry":
            function = plain(fields.get("func", "")) or "(unknown)"
            if pointer == 0:
                add(self.own, function)
                return True
            queued = self._queued.pop(pointer, None)
            add(self.runs, function)
            if queued is None:
                self.unmatched += 1
                return True
            self.waits.add(event.ns - queued[0])
            self._waited[pointer] = event.ns - queued[0]
            if len(self._waited) > _POINTERS:
                self._waited.popitem(last=False)
        elif event.name == "csd_latency":
            told = fields.get("time", "")
            if not told.isdecimal():
                return False
            if len(self.told) < 1000:
                self.told.append(int(told))
            self.agreeing += self._waited.get(pointer, -1) // 1000 == int(told)
        return True

    def _send(self, event: Event, fields: dict[str, str]) -> bool:
        callback = plain(fields.get("callback", ""))
        site = plain(fields.get("callsite", ""))
        if not callback and not site:
            return False
        if event.name == "ipi_send_cpu":
            if not fields.get("cpu", "").isdecimal():
                return False
            count: int | None = 1
        else:
            count = cpus_of_mask(fields.get("cpumask", ""))
            self.masks += 1
        if count is None:
            return False
        add(self.sent, self._name(event, callback, site, fields.get("cpu", "")), count)
        return True

    def _name(self, event: Event, callback: str, site: str, cpu: str) -> str:
        """Name what an interrupt is for: the handler of all single calls tells nothing, what was queued before does."""
        if callback == "0x0":  # smp_send_reschedule()
            return "reschedule"
        if callback and not callback.startswith("generic_smp_call_function"):
            return callback
        before = self._last.get(event.cpu)
        if before is not None and before[1] == cpu and 0 <= event.ns - before[0] <= _JUST_BEFORE:
            return before[2]
        return site

    def __bool__(self) -> bool:
        return bool(self.sent or self.callbacks or self.runs or self.own or self.told)

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "interrupts_by_callback": dict(self.sent),
            "queued_by_function": dict(self.callbacks),
            "run_by_function": dict(self.runs),
            "run_by_the_caller": dict(self.own),
            "queue_to_entry": self.waits.to_dict(),
            "told_latencies": self.told[:100],
            "told_and_measured_agree": self.agreeing,
            "entries_without_queueing": self.unmatched,
        }


def _pointer(text: str) -> int | None:
    """Read a pointer: hexadecimal, or decimal with or without a sign, as synthetic events print it."""
    try:
        number = int(text, 16) if text.startswith("0x") else int(text, 10)
    except ValueError:
        try:
            number = int(text, 16)
        except ValueError:
            return None
    return number & _64 if abs(number) <= _64 else None
