"""Which releases a recording can come from: what only some of them write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from shootdown._records import reasons
from shootdown._values.recorded import Evidence
from shootdown._values.series import BY_NAME, SERIES

#: Names of what readers find themselves; which releases write the first five is for the architecture to say.
NEW_SPELLING, OLD_SPELLING = "capital spelling", "small spelling"
SEND_FIRST, LOCAL_FIRST = "send before local", "local before send"
REASON_5 = "reason 5"
FLAGS_4, FLAGS_5, FLAGS_MORE = "4 flag columns", "5 flag columns", "7 or 8 flag columns"
IPI_SEND, CSD_QUEUE = "ipi_send_cpu", "csd_queue_cpu"

EVIDENCE: tuple[Evidence, ...] = (
    Evidence(FLAGS_4, "trace lines have 4 flag columns", "54357f0c9149 (v5.15) added the migrate-disable column",
             last="5.14"),
    Evidence(FLAGS_5, "trace lines have 5 flag columns", "54357f0c9149 (v5.15) added the migrate-disable column; "
             "PREEMPT_RT's patches had it from 5.11 on", first="5.11"),
    Evidence(FLAGS_MORE, "trace lines have 7 or 8 flag columns: PREEMPT_RT's patches", "PREEMPT_RT's patches; "
             "they bound no release"),
    Evidence(IPI_SEND, "the event ipi_send_cpu or ipi_send_cpumask", "08407b5f61c1, 68e2d17c9eb3 (v6.4)", first="6.4"),
    Evidence(CSD_QUEUE, "the event csd_queue_cpu or csd_function_entry", "949fa3f11ced, bf5a8c26ad7c (June 2023, v6.5)",
             first="6.5"),
    Evidence("try_to_migrate", "try_to_migrate()", "a98a2f0c8ce1 (v5.14)", ("try_to_migrate", "try_to_migrate_one"),
             first="5.14"),
    Evidence("do_mas_munmap", "do_mas_munmap()", "11f9a21ab655 (v6.1), gone with 183654ce26a5 (v6.3)",
             ("do_mas_munmap", "do_mas_align_munmap"), first="6.1", last="6.2"),
    Evidence("do_vmi_munmap", "do_vmi_munmap()", "183654ce26a5 (v6.3)", ("do_vmi_munmap", "do_vmi_align_munmap"),
             first="6.3"),
    Evidence("__do_munmap", "__do_munmap()", "11f9a21ab655 (v6.1) replaced it", ("__do_munmap",), last="6.0"),
    Evidence("vms_clear_ptes", "vms_clear_ptes()", "mm/vma.c of v6.12; the commit is UNVERIFIED",
             ("vms_clear_ptes", "vms_complete_munmap_vmas"), first="6.12"),
    Evidence("migrate_pages_batch", "migrate_pages_batch()", "42012e0436d4 (v6.3)", ("migrate_pages_batch",),
             first="6.3"),
    Evidence("migrate_misplaced_page", "migrate_misplaced_page()", "73eab3ca481e (v6.7) renamed it",
             ("migrate_misplaced_page",), last="6.6"),
    Evidence("migrate_misplaced_folio", "migrate_misplaced_folio()", "73eab3ca481e (v6.7)",
             ("migrate_misplaced_folio",), first="6.7"),
    Evidence("zap_page_range", "zap_page_range()", "e9adcfecf572 (v6.3) removed it", ("zap_page_range",), last="6.2"),
    Evidence("purge_vmap_node", "purge_vmap_node()", "282631cb2447 (v6.9)", ("purge_vmap_node",), first="6.9"),
    Evidence("_do_fork", "_do_fork()", "cad6967ac108 (v5.10) renamed it", ("_do_fork",), last="5.10"),
)  # fmt: skip

_RELEASE = re.compile(r"\b([3-9]\.\d{1,2})(?:\.(\d{1,4}))?(?:-rc\d+)?(?:[-+.~_][\w.+~-]*)?")
_LAST_KNOWN = SERIES[-1].name


def note_reason(seen: Counter[str], reason: int, spelling: str) -> None:
    """Note what a `tlb_flush` event tells of its release.

    Args:
        seen: how often each evidence was seen.
        reason, spelling: the event's, as `reasons.read` returns them.
    """
    if spelling in reasons.NEW_SPELLING:
        seen[NEW_SPELLING] += 1
    elif spelling in reasons.OLD_SPELLING:
        seen[OLD_SPELLING] += 1
    if reason == reasons.WRONG:
        seen[REASON_5] += 1


@attrs.frozen
class Seen:
    """One thing that was seen, and the releases that write it.

    Args:
        doc: what was seen, in a few words.
        first, last: series; empty where open.
        source: the commit.
    """

    doc: str
    first: str
    last: str
    source: str


@attrs.frozen
class Releases:
    """The releases that a recording can come from.

    Args:
        first, last: series; empty where nothing bounds it.
        exact: a release that the recording itself names; empty where it names none.
        seen: what bounds them.
        contradiction: whether no release writes all of it: a backport, or recordings of several kernels.
    """

    first: str
    last: str
    exact: str
    seen: tuple[Seen, ...]
    contradiction: bool

    def __str__(self) -> str:
        if self.exact:
            return self.exact
        if self.contradiction:
            return "no one release"
        if self.first and self.last:
            return self.first if self.first == self.last else f"{self.first} to {self.last}"
        if self.first:
            return f"{self.first} or later"
        return f"{self.last} or earlier" if self.last else "any"

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "first": self.first or None,
            "last": self.last or None,
            "named": self.exact or None,
            "contradiction": self.contradiction,
            "seen": [attrs.asdict(one) for one in self.seen],
        }


def release_in(text: str) -> str:
    """Return the release that a text names, such as `6.10.0-rc5-00019-g4236f0255ea8`, or an empty text."""
    found = _RELEASE.search(text)
    return found[0].rstrip(".-_+~") if found is not None else ""


def series_of(release: str) -> str:
    """Return the series of a release as a kernel calls itself: `6.10` of `6.10.0-rc5`."""
    found = _RELEASE.match(release)
    return found[1] if found is not None else ""


def key(series: str) -> tuple[int, int]:
    """Return a series as numbers that compare."""
    major, _, minor = series.partition(".")
    return int(major), int(minor)


def releases(seen: Mapping[str, int], table: Iterable[Evidence], named: Iterable[str] = ()) -> Releases:
    """Say which releases write everything that was seen.

    Args:
        seen: names of evidence and of functions, and how often each was seen.
        table: of all evidence, the architecture's too.
        named: releases that the recording names itself.
    """
    found: list[Seen] = []
    first = last = ""
    for one in table:
        if not (one.name in seen or any(name in seen for name in one.functions)):
            continue
        found.append(Seen(one.doc, one.first, one.last, one.source))
        if one.first and (not first or key(one.first) > key(first)):
            first = one.first
        if one.last and (not last or key(one.last) < key(last)):
            last = one.last
    exact = tuple(dict.fromkeys(named))
    for release in exact:
        series = series_of(release)
        found.append(Seen(f"it names {release}", series, series, "the recording"))
    apart = bool(first and last and key(first) > key(last)) or len({series_of(one) for one in exact}) > 1
    named_first = "" if apart or not exact else max(exact, key=lambda one: (_names_point(one), len(one)))
    return Releases(first, last, named_first, tuple(found), apart)


def _names_point(release: str) -> bool:
    """Whether a release names its point release: distributions that count builds write `.0`."""
    parts = release.partition("-")[0].split(".")
    return len(parts) == 3 and parts[2] != "0"


def may_be(found: Releases, first: str) -> bool:
    """Whether a recording can be of a series or a later one; an empty `first` is any."""
    last = series_of(found.exact) if found.exact else found.last
    return not first or not last or found.contradiction or key(last) >= key(first)


def newest(found: Releases) -> str:
    """Return the newest series that a recording can come from, or an empty text if nothing bounds it."""
    if found.exact:
        series = series_of(found.exact)
        return series if series in BY_NAME else ""
    if found.contradiction:
        return ""
    last = found.last
    if not last:
        return _LAST_KNOWN if found.first else ""
    return last if last in BY_NAME else ""
