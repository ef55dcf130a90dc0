"""Memory of this process and calls that change how it is mapped, made as programs write them."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._calibrate.kernels import spin
from shootdown._compilation.running import compiled
from shootdown._values.errors import ShootdownError

PAGE = mmap.PAGESIZE

_READ, _READ_WRITE = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
# include/uapi/asm-generic/mman-common.h
_FIXED, _NO_HUGE_PAGES, _HUGE_PAGES, _DONTNEED = 0x10, 15, 14, 4
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
# include/uapi/linux/membarrier.h
_EXPEDITED, _REGISTER_EXPEDITED = 8, 16
#: Iterations of `spin` between two looks at whether it shall end: some 20 ms.
_CHUNK = 1 << 24


def libc() -> Any:
    """Return the C library; its calls keep Python's lock, so that nothing but the call is measured.

    Raises:
        ShootdownError: this is no Linux.
    """
    try:
        found = ctypes.PyDLL(None, use_errno=True)
        address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        found.mmap.argtypes = (address, size, number, number, number, ctypes.c_long)
        found.mmap.restype = address
        found.munmap.argtypes = (address, size)
        found.mprotect.argtypes = found.madvise.argtypes = (address, size, number)
        found.memset.argtypes = (address, number, size)
        found.memset.restype = address
        found.syscall.restype = ctypes.c_long
    except (OSError, AttributeError):
        raise ShootdownError(
            "calibrate measures the calls of Linux, and this system has none of them"
        ) from None
    return found


class Area:
    """A part of this process's memory, and statements of programs on the whole of it.

    Args:
        pages: its size, in base pages.
    """

    def __init__(self, pages: int) -> None:
        import numpy as np

        self._libc, self._size = libc(), pages * PAGE
        # A page on either side keeps the kernel from merging it with a neighbour, and its address free between calls.
        self._whole = self._libc.mmap(None, self._size + 2 * PAGE, 0, _PRIVATE, -1, 0)
        self._at = self._whole + PAGE
        self._map()
        buffer = (ctypes.c_uint8 * self._size).from_address(self._at)
        self._bytes = np.frombuffer(memoryview(buffer), np.uint8)[::PAGE]

    def close(self) -> None:
        """Unmap it."""
        del self._bytes
        self._libc.munmap(self._whole, self._size + 2 * PAGE)

    def _map(self) -> None:
        at = self._libc.mmap(self._at, self._size, _READ_WRITE, _PRIVATE | _FIXED, -1, 0)
        if at != self._at:
            raise OSError(ctypes.get_errno(), "mmap() of a heap was refused")

    def statement(self, text: str) -> Callable[[], object]:
        """Return what carries out a statement of a program, such as `madvise heap DONTNEED`."""
        c, at, size, cells = self._libc, self._at, self._size, self._bytes
        protect, advise, unmap, fix = c.mprotect, c.madvise, c.munmap, _PRIVATE | _FIXED

        def write() -> None:
            cells[:] = 1

        return {
            "mmap heap": lambda: c.mmap(at, size, _READ_WRITE, fix, -1, 0),
            "munmap heap": lambda: unmap(at, size),
            "madvise heap DONTNEED": lambda: advise(at, size, _DONTNEED),
            "mprotect heap read": lambda: protect(at, size, _READ),
            "mprotect heap write": lambda: protect(at, size, _READ_WRITE),
            "touch heap write": write,
            "": lambda: c.memset(at, 0, 0),
        }[text]


@attrs.define
class _Thread:
    thread: threading.Thread
    clock: int = 0


class Others:
    """Threads of this process that compute on CPUs of their own, as `spin` in programs.

    Args:
        cpus: where each of them runs.
    """

    def __init__(self, cpus: Sequence[int]) -> None:
        self._end = False
        self._threads = []
        ready = threading.Barrier(len(cpus) + 1)
        for cpu in cpus:
            thread = threading.Thread(target=self._run, args=(cpu, ready), daemon=True)
            thread.start()
            self._threads.append(_Thread(thread))
        ready.wait()
        for one in self._threads:
            assert one.thread.ident is not None
            one.clock = time.pthread_getcpuclockid(one.thread.ident)

    def _run(self, cpu: int, ready: threading.Barrier) -> None:
        os.sched_setaffinity(0, {cpu})
        kernel = compiled(spin)
        ready.wait()
        while not self._end:
            kernel(_CHUNK)

    def computed(self) -> list[int]:
        """Return the CPU time of each so far, in nanoseconds."""
        return [time.clock_gettime_ns(one.clock) for one in self._threads]

    def stop(self) -> None:
        """Let them end."""
        self._end = True
        for one in self._threads:
            one.thread.join()


def huge_pages_here() -> bool:
    """Whether the kernel gives huge pages to memory that asks for them."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
            return "[never]" not in file.read()
    except OSError:
        return False


def huge_page_turn(at: int, size: int) -> list[Callable[[], object]]:
    """Return the calls that drop memory and write its first byte, so that a huge page is faulted in."""
    c = libc()
    return [lambda: c.madvise(at, size, _DONTNEED), lambda: c.memset(at, 1, 1)]


@contextlib.contextmanager
def reserved(size: int, *, huge: bool) -> Iterator[int]:
    """Map memory, aligned to huge pages, and yield its address.

    Args:
        size: bytes.
        huge: whether it asks for huge pages, or for none.

    Raises:
        OSError: there is not so much.
    """
    c, alignment = libc(), 512 * PAGE
    whole = c.mmap(None, size + alignment, _READ_WRITE, _PRIVATE, -1, 0)
    if whole is None or whole == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "no memory to read")
    try:
        at = -(-whole // alignment) * alignment
        c.madvise(at, size, _HUGE_PAGES if huge else _NO_HUGE_PAGES)
        yield at
    finally:
        c.munmap(whole, size + alignment)


def membarrier(syscalls: Mapping[int, str]) -> Callable[[], int]:
    """Return the call that interrupts each CPU which runs a thread of this process, and flushes nothing.

    Args:
        syscalls: names of this machine's system calls by number: those of 64-bit processes.

    Raises:
        OSError: the kernel lacks it, or a filter refuses it, or its number is not known.
    """
    c, number = libc(), next((n for n, name in syscalls.items() if name == "membarrier"), None)
    if number is None or ctypes.sizeof(ctypes.c_void_p) < 8:
        raise OSError("membarrier(): its number is not known for this machine or process")
    for command in (_REGISTER_EXPEDITED, _EXPEDITED):
        if c.syscall(number, command, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), f"membarrier(): {os.strerror(ctypes.get_errno()).lower()}")
    call = c.syscall
    return lambda: int(call(number, _EXPEDITED, 0, 0))
