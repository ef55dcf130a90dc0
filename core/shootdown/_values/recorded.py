"""What an architecture's kernels write into recordings: rows, names of functions, numbers of system calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import attrs

from shootdown._values.checked import checked

GENERIC_SYSCALLS: Mapping[int, str] = {
    46: "ftruncate", 45: "truncate", 47: "fallocate", 82: "fsync", 83: "fdatasync", 84: "sync_file_range", 93: "exit",
    94: "exit_group", 214: "brk", 215: "munmap", 216: "mremap", 220: "clone", 221: "execve", 222: "mmap",
    226: "mprotect", 227: "msync", 233: "madvise", 235: "mbind", 238: "migrate_pages", 239: "move_pages",
    281: "execveat", 282: "userfaultfd", 283: "membarrier", 288: "pkey_mprotect", 435: "clone3", 440: "process_madvise",
}  # fmt: skip
"""System calls that can flush, by the numbers that new architectures share: include/uapi/asm-generic/unistd.h."""

RowKind = Literal["shootdown", "call", "reschedule", "other"]


@attrs.frozen(field_transformer=checked)
class InterruptRow:
    """A row of /proc/interrupts that tells of flushes.

    Args:
        name: what stands before the colon; empty where it has a number that differs between releases or
            machines (`IPI1`).
        words: what stands behind the columns, or a part of it, with single blanks.
        kind: what it counts.
        doc: one sentence on what is in it and what is not.
    """

    name: str
    words: str
    kind: RowKind
    doc: str


@attrs.frozen(field_transformer=checked)
class StackName:
    """A kernel function in stacks, callbacks and profiles that tells what is going on.

    Args:
        name: of the function, without offset and compiler's suffix.
        kind: `user` flushes user pages, `kernel` flushes kernel addresses, `all` both; `none` is no flush at all.
        doc: what it is, with its file.
    """

    name: str
    kind: Literal["user", "kernel", "all", "none"]
    doc: str


@attrs.frozen(field_transformer=checked)
class Evidence:
    """Something in a recording that only some releases write.

    Args:
        name: a short name; readers that find what no function name tells give it, such as `send before local`.
        functions: names of functions of which any is enough.
        first: the first series that can have written it; empty: any before `last` too.
        last: the last one; empty: all that follow.
        doc: what was seen, in a few words.
        source: the commit, and where its release is from.
    """

    name: str
    doc: str
    source: str
    functions: tuple[str, ...] = ()
    first: str = ""
    last: str = ""


@attrs.frozen(field_transformer=checked)
class Silent:
    """Something that recordings of an architecture's kernels don't show.

    Args:
        doc: what, in one sentence.
        first: the first series of which it is true; empty for all.
        kinds: in which recordings: `events`, `shares`, `interrupts`, `vmstat`, `perf stat`.
    """

    doc: str
    first: str = ""
    kinds: tuple[str, ...] = ("events", "shares", "interrupts", "vmstat", "perf stat")


@attrs.frozen(field_transformer=checked)
class Recorded:
    """What recordings of an architecture's kernels show, and what they can't.

    Args:
        marks: regular expressions; a line of counters, stacks or logs that one matches is this architecture's.
        events: trace events that only this architecture has.
        rows: rows of /proc/interrupts that tell of flushes.
        functions: functions of its flushes.
        syscalls: names of system calls by number, those that can flush.
        evidence: what only some releases write.
        silent: what recordings of it don't show.
    """

    marks: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    rows: tuple[InterruptRow, ...] = ()
    functions: tuple[StackName, ...] = ()
    syscalls: Mapping[int, str] = attrs.field(factory=dict, hash=False)
    evidence: tuple[Evidence, ...] = ()
    silent: tuple[Silent, ...] = ()

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """Return its marks as one expression, or None if it has none."""
        return re.compile("|".join(f"(?:{mark})" for mark in self.marks)) if self.marks else None
