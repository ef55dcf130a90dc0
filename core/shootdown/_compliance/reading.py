"""Which switches of a kernel somebody reads: kernels that agree in those are the same to them."""

from __future__ import annotations

from typing import Any

import attrs

from shootdown._values.kernel import Kernel


def watched(kernel: Kernel, read: dict[tuple[str, str], Any]) -> Kernel:
    """Return a kernel equal to another one, which notes what is read of it.

    Args:
        kernel: the other one.
        read: gets each value that is read, by holder (`kernel`, `arch`) and name.
    """
    arch = kernel.arch
    values = {field.name: getattr(kernel, field.name) for field in attrs.fields(type(kernel))}
    if attrs.has(type(arch)):
        own = {field.name: getattr(arch, field.name) for field in attrs.fields(type(arch))}
        values["arch"] = _watching(type(arch), "arch", own, read)
    found: Kernel = _watching(type(kernel), "kernel", values, read)
    return found


def agrees(kernel: Kernel, read: dict[tuple[str, str], Any]) -> bool:
    """Say whether a kernel has the values that were read of another one."""
    return all(
        getattr(kernel if holder == "kernel" else kernel.arch, name) == value
        for (holder, name), value in read.items()
    )


def _watching(kind: type, holder: str, values: dict[str, Any], read: dict[tuple[str, str], Any]) -> Any:
    """Make an instance of a subclass that notes what is read."""

    def look(self: Any, name: str) -> Any:
        if name in values and not (holder == "kernel" and name == "arch"):
            read[holder, name] = values[name]
        return object.__getattribute__(self, name)

    subclass = type(kind.__name__, (kind,), {"__slots__": (), "__getattribute__": look})
    made: Any = object.__new__(subclass)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made
