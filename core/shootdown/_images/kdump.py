"""Compressed dumps of makedumpfile (kdump), read by drgn, which has libkdumpfile in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shootdown._images.frames import Dump, Extent
from shootdown._images.vmcoreinfo import read_vmcoreinfo
from shootdown._pagetables.memory import ADDRESS_BITS, FRAME_BYTES
from shootdown._values.dump import DumpNotes
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import needed

MAGICS = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile")


def open_kdump(path: Path) -> Dump:
    """Open a kdump.

    Args:
        path: the file.

    Raises:
        ShootdownError: drgn is not installed, or does not read the file.
    """
    drgn = needed("drgn", "images")
    program = drgn.Program()
    try:
        program.set_core_dump(path)
        told = program["VMCOREINFO"].string_()
    except Exception as problem:  # of drgn, which has no class of its own for them
        raise ShootdownError(
            f"memory image {path}: drgn does not read this kdump: {_first_line(problem)}"
        ) from None
    machine = program.platform.arch.name.lower() if program.platform is not None else ""

    def read(address: int) -> bytes | None:
        try:
            return bytes(program.read(address, FRAME_BYTES, physical=True))
        except (drgn.FaultError, ValueError):
            return None
        except Exception as problem:  # a page that does not unpack, a disk that fails
            raise ShootdownError(f"memory image {path}: at {address:#x}: {_first_line(problem)}") from None

    everything = (
        Extent(0, 1 << ADDRESS_BITS),
    )  # which frames makedumpfile left out is known when they are read
    return Dump("a kdump", everything, read, DumpNotes(machine=machine, vmcoreinfo=read_vmcoreinfo(told)))


def _first_line(problem: BaseException) -> str:
    lines: list[Any] = str(problem).splitlines()
    return lines[0] if lines else type(problem).__name__
