"""Small programs, and the kernel and hardware that run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

State = list[Any]
#: An action: None if it has to wait, else the number of the task's next action.
Action = Callable[[State], "int | None"]

#: Entries that a page table has, and pages from which flushes of the whole address space are cheaper.
TABLE = 512
CEILING = {"x86": 33, "kvm": 33, "arm64": TABLE - 1}
ALL = 1 << 30
#: Calls that take no right to an address.
KEEPS_ADDRESSES = ("truncate", "reclaim", "pageout", "migrate", "mkclean", "khugepaged")
#: A gather: its first page, its end, whether it freed tables, whether it cleared entries that map pages.
EMPTY = (ALL, 0, False, False)


class FoundError(Exception):
    """A CPU can use what is gone."""


@dataclass(frozen=True)
class Call:
    """One system call of a program.

    Args:
        name: madvise, mprotect, munmap, mremap, truncate, gup, reclaim, migrate, mkclean, khugepaged,
            fork, write (an access), widen (an mprotect() that gives a right), mmap, lazyfree (MADV_FREE), pageout
            (MADV_PAGEOUT), writeprotect and copy (a monitor's ioctls of userfaultfd), exec, membarrier, read (an
            access that maps the page of the file, if it is mapped privately) or exit (of all threads).
        atoms: the numbers of the addresses; for mremap the old one and the new one.
        tables: tables that a munmap() frees.
        flaws: what the kernel gets wrong: `no nested check`, `late flush`, `freed first`, `next page`, `forgotten`,
            `no look at reclaim`, `rmap first` (before 5df397dec7c4), `no sync` (before 2ba99c5e0881),
            `waits for its own` (arm64 before 4b634918384c), `no fork flush`, `no copy flush`, `faults meanwhile`
            (before fb49c455323f), `no sequence` (before 57efa1fe5957),
            `tables untold` (a gather does not say that it freed some). No flaw is `new table`: khugepaged frees the
            table that it has withdrawn after a grace period.
        frame: the page that a `write` maps.
    """

    name: str
    atoms: tuple[int, ...]
    tables: tuple[int, ...] = ()
    flaws: frozenset[str] = frozenset()
    frame: int = -1


@dataclass(frozen=True)
class Small:
    """A small program and the kernel and hardware that run it.

    Args:
        pages: the page number of each address; a table has `TABLE` of them.
        maps: for each address the frame that it maps, or None.
        writable: for each address whether it may be written.
        file: the frame that is also in the page cache.
        threads: the calls of each thread, each on a CPU of its own.
        user: one more CPU that only computes: `""` for none, `runs`, `sleeps` (and
            wakes when the first thread has begun), `idle` (for ever) or `lazy` (idle from the beginning).
        way: `x86`, `kvm` (an x86 guest whose CPUs the host may preempt at any moment) or `arm64`.
        ranges: the CPU has instructions that flush ranges.
        rcu: page tables are freed after a grace period, else after the flush.
        rechecks: GUP-fast reads the PMD entry again.
        private: the file is mapped privately, or is the zero page: a write copies its page.
        forces: a page of the file that could be written is flushed before its table is unlocked.
        preempts: a task that waits for a flush by IPIs may be preempted if it holds no page-table lock, and go on on
            another CPU (x86 since 7.3).
        here_last: the flush of the task's own CPU comes after that wait.
    """

    pages: tuple[int, ...]
    maps: tuple[int | None, ...]
    writable: tuple[bool, ...]
    file: int
    threads: tuple[tuple[Call, ...], ...]
    user: str = ""
    way: str = "x86"
    ranges: bool = False
    rcu: bool = True
    rechecks: bool = True
    private: bool = False
    forces: bool = False
    preempts: bool = False
    here_last: bool = False

    def table(self, atom: int) -> int:
        """Return the table that has the entry of an address."""
        return self.pages[atom] // TABLE


@dataclass
class Fields:
    """Names for the places of a state."""

    first: State = field(default_factory=list)

    def add(self, value: Any = 0, times: int = 1) -> int:
        """Add some places with a first value; return the first of them."""
        self.first.extend([value] * times)
        return len(self.first) - times
