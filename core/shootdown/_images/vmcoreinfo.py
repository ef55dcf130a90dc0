"""The kernel's notes about itself in a dump: lines of `NAME=VALUE` (kernel/crash_core.c)."""

from __future__ import annotations

_MOST = 1 << 16  # bytes; the kernel's are less than a page of 4 KiB


def read_vmcoreinfo(content: bytes) -> dict[str, str]:
    """Parse a note of VMCOREINFO.

    Args:
        content: its text; what is no line of `NAME=VALUE` is left out.
    """
    lines = content[:_MOST].split(b"\0", 1)[0].decode("ascii", errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, equals, value in pairs if equals}
