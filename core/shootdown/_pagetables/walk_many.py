"""Walks of arrays of addresses, in batches and threads."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._pagetables import walk_batch as batch
from shootdown._pagetables.format import USER_READ, Access, CustomFormat, Format, Reason, Settings
from shootdown._pagetables.format_layout import (
    FLAGS_IGNORED,
    FLAGS_SET,
    TRUSTS_ALL,
    TRUSTS_MEMORY,
    check,
    layout,
)
from shootdown._pagetables.memory import FRAME_SHIFT, PhysicalMemory
from shootdown._values.errors import ShootdownError

Way = Literal["in order", "ring", "group"]

# Bytes of tables from which prefetching pays, and from which upper levels leave the cache as well. Measured:
# docs/reference/performance.md. What an L2 holds needs no prefetch; up to a large L3 only the leaves miss.
_RING_FROM = 1 << 20
_GROUP_FROM = 1 << 29
_LINE = 64
_WORTH_A_THREAD = 1 << 15  # walks

_INFO = np.dtype([("reason", "u1"), ("level", "u1"), ("shift", "u1"), ("rights", "u1")])


@attrs.frozen(eq=False)
class ManyWalks:
    """The results of many walks: arrays with one element for each address.

    Args:
        pa: physical address in bytes; 0 where there is no translation.
        entry: the last entry that was read, after flags were set; None where it was not wanted.
        reason: a `Reason`, 0 for a translation.
        level: of that entry, counted from the root.
        shift: log2 of the bytes that the leaf maps.
        rights: the index of the combined attributes; `Format.held` names them.
        format: the page-table format.
        access: what was asked.
        settings: the CPU's.
    """

    pa: npt.NDArray[np.uint64]
    entry: npt.NDArray[np.uint64] | None
    reason: npt.NDArray[np.uint8]
    level: npt.NDArray[np.uint8]
    shift: npt.NDArray[np.uint8]
    rights: npt.NDArray[np.uint8]
    format: Format | CustomFormat = attrs.field(repr=False)
    access: Access
    settings: Settings = attrs.field(repr=False)

    def __len__(self) -> int:
        return len(self.pa)

    @property
    def translated(self) -> npt.NDArray[np.bool_]:
        """For each address, whether it has a translation."""
        found: npt.NDArray[np.bool_] = self.reason == Reason.OK
        return found

    @functools.cached_property
    def _faults(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint64]]:
        kinds = self.reason.astype(np.uint16) << 8 | self.level
        different, which = np.unique(kinds, return_inverse=True)
        found = [
            ("", 0)
            if kind >> 8 == Reason.OK
            else self.format.fault(Reason(kind >> 8), self.access, self.settings, level=kind & 255)
            for kind in different.tolist()
        ]
        names = np.array([name for name, _ in found] or [""])
        codes = np.array([code for _, code in found] or [0], np.uint64)
        return names[which], codes[which]

    @property
    def fault(self) -> npt.NDArray[Any]:
        """Name the exception of each walk, empty where there is a translation."""
        return self._faults[0]

    @property
    def fault_code(self) -> npt.NDArray[np.uint64]:
        """Return each exception's error code, syndrome, DSISR or cause; 0 where there is none."""
        return self._faults[1]


def walk_many(
    form: Format | CustomFormat,
    memory: PhysicalMemory,
    root: int,
    addresses: npt.ArrayLike,
    access: Access = USER_READ,
    *,
    settings: Settings | None = None,
    hardware_sets_flags: bool = False,
    entries: bool = True,
    out: ManyWalks | None = None,
    threads: int | None = None,
    way: Way | None = None,
    trusted: bool = False,
) -> ManyWalks:
    """Walk the page tables for each address of an array.

    Args:
        form: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        addresses: in bytes, unsigned.
        access: what is asked; a user-mode data read where not given.
        settings: the CPU's; the format's defaults where None.
        hardware_sets_flags: accessed and dirty flags are written into the tables. Walks then happen in order, as
            each may see what the one before has written.
        entries: whether the last entries are wanted; without them less is written.
        out: the result of an earlier batch of the same length, whose arrays are used again; that saves touching new
            memory.
        threads: at most so many; as many as there are CPUs to run on, up to two, where None.
        way: without prefetch, or with one of the two shapes of `walk_batch`; chosen by the size of the tables
            where None. The results are the same.
        trusted: the tables are well-formed, all of them: reserved bits are clear, and every table that an entry points
            to lies in memory. Walks then leave out what only others need. On tables that are not so the results are
            wrong, and a table outside of memory ends the process, as a wild pointer does. A format with a walk of
            its own ignores it.

    Raises:
        ShootdownError: an argument is out of range or contradicts another.
    """
    under = settings or form.settings()
    wanted = _addresses(addresses)
    if not 0 <= root < 1 << 64:
        raise ShootdownError(f"root {root:#x} is no 64-bit address")
    if threads is not None and threads < 1:
        raise ShootdownError(f"{threads} threads: give at least 1")
    count = wanted.size
    pa, info, entry = _columns(count, entries, out)
    if isinstance(form, CustomFormat):
        checked = form.check(access, under, hardware_sets_flags)
        from shootdown._pagetables.walk_custom import custom_kernel

        kernel = custom_kernel(form.walk, form.first_read)
        one = functools.partial(kernel, memory.view, checked, np.uint64(root))
    else:
        checked = check(form, access, under, hardware_sets_flags=hardware_sets_flags)
        trusts = TRUSTS_ALL if trusted else 0
        if not memory.in_one_piece:  # which of the pieces a table lies in is not a matter of trust
            trusts &= ~TRUSTS_MEMORY
        one = _kernel(form, under, checked, memory, root, way or _way(memory, count), trusts)
    writes = hardware_sets_flags or int(getattr(checked, "flags", 0)) == FLAGS_SET
    _in_parts(one, wanted, (pa, info, entry), 1 if writes else threads or _cpus())
    return ManyWalks(
        pa, entry, info["reason"], info["level"], info["shift"], info["rights"], form, access, under
    )


def _columns(count: int, entries: bool, out: ManyWalks | None) -> tuple[Any, Any, Any]:
    if out is None:
        return (
            np.empty(count, np.uint64),
            np.empty(count, _INFO),
            np.empty(count, np.uint64) if entries else None,
        )
    if len(out) != count or (out.entry is None) == entries:
        raise ShootdownError(
            f"out has {len(out)} walks, with entries or not; it must be of the same kind as asked for"
        )
    return out.pa, out.reason.base, out.entry


def _addresses(addresses: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    given = np.asarray(addresses)
    if given.size and given.dtype.kind not in "ui":
        raise ShootdownError(f"addresses are integers below 2**64, not {given.dtype}")
    if given.ndim != 1:
        raise ShootdownError(f"addresses are an array of one dimension, not {given.ndim}")
    if given.dtype.kind == "i" and given.size and int(given.min()) < 0:
        raise ShootdownError(f"{int(given.min())} is no address: give unsigned integers")
    return np.ascontiguousarray(given, np.uint64)


def _cpus() -> int:
    there_is = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there_is, 2)


def _way(memory: PhysicalMemory, count: int) -> Way:
    """Choose the way by the size of the tables that the walks can touch."""
    tables = memory.frames << FRAME_SHIFT
    if min(tables, count * _LINE) < _RING_FROM:
        return "in order"
    return "ring" if tables < _GROUP_FROM else "group"


def _kernel(
    form: Format,
    under: Settings,
    checked: Any,
    memory: PhysicalMemory,
    root: int,
    way: Way,
    trusts: int = 0,
) -> Any:
    if int(checked.flags) == FLAGS_SET or (way == "group" and len(form.levels) > batch.DEEPEST):
        way = "in order"
    kernel: Any = {
        "in order": runnable(batch.walk_in_order),
        "ring": runnable(batch.walk_ring),
        "group": runnable(batch.walk_groups),
    }[way]
    looks = () if int(checked.flags) == FLAGS_IGNORED else (checked.flags,)
    first = (layout(form, under, trusts), memory.view, checked, looks, np.uint64(root))
    if way == "in order":
        return functools.partial(kernel, *first)

    def run(addresses: np.uint64, count: int, out: Any) -> None:
        workspace = np.zeros(batch.WORKSPACE + 8, np.uint64)
        start = workspace.ctypes.data
        kernel(*first, addresses, count, out, np.uint64(start + -start % 64))

    return run


def _in_parts(one: Any, addresses: npt.NDArray[np.uint64], columns: tuple[Any, ...], threads: int) -> None:
    """Walk all addresses, in as many threads as pay off: kernels release the GIL."""
    count = addresses.size
    parts = max(1, min(threads, count // _WORTH_A_THREAD))
    edges = [count * part // parts for part in range(parts + 1)]
    interrupted = Event()

    def walk(part: int) -> None:
        first = edges[part]
        for start, end in Slices().parts(edges[part + 1] - first):
            out = tuple(
                np.uint64(0 if column is None else column.ctypes.data + (first + start) * column.itemsize)
                for column in columns
            )
            one(np.uint64(addresses.ctypes.data + 8 * (first + start)), end - start, out)
            if interrupted.is_set():
                break

    if parts == 1:
        walk(0)
        return
    with ThreadPoolExecutor(parts) as pool:
        try:
            for done in [pool.submit(walk, part) for part in range(parts)]:
                done.result()
        except BaseException:
            interrupted.set()
            raise
