"""The C functions as compiled kernels call them. In a process that compiles nothing their twins run."""

from __future__ import annotations

from typing import Any

from shootdown.kernels import foreign
from shootdown_cdecode import _twin
from shootdown_cdecode._cdecode import ffi, lib


def _address(symbol: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, symbol)))


@foreign("cdecode_hash", _address("cdecode_hash"))
def hash_of(vpn: Any) -> Any:
    """Return the hash of a virtual page number."""
    return _twin.hash_of(vpn)


@foreign("cdecode_find", _address("cdecode_find"))
def find_entry(group: Any, tag: Any) -> Any:
    """Return the address of the entry with this tag among the eight of a group; 0 if there is none."""
    return _twin.find_entry(group, tag)
