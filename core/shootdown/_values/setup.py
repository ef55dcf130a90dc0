"""What workloads and scenarios are built for: a kernel on a platform, how it flushes, and the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from shootdown._values.kernel import Kernel
    from shootdown._values.lowering import Lowering
    from shootdown._values.platform import Platform


@attrs.frozen
class Setup:
    """What the `build` of a workload or scenario gets.

    Args:
        kernel, platform, lowering: the rules that apply.
        cpus: online CPUs. A workload uses them all, a scenario as many as it is about.
        values: parameters (`-p`) and a scenario's own switches (`--set scenario.x`), by name.
        memory: the memory model, `ops.SC`, `TSO` or `WEAK`; only exploring makes a difference between them.
        pte_clear: how the architecture clears an entry, `xchg` (fully ordered) or `store`.
        pte_clear_atomic: it reads and clears the entry in one access, ordered or not.
        preempts: any vCPU may be preempted at any moment.
    """

    kernel: Kernel
    platform: Platform
    lowering: Lowering
    cpus: int
    values: Mapping[str, Any]
    memory: int = 0
    pte_clear: str = "store"
    pte_clear_atomic: bool = True
    preempts: bool = False

    def __getitem__(self, name: str) -> Any:
        """Return a parameter's or switch's value.

        Raises:
            LookupError: there is none of that name.
        """
        if not isinstance(name, str) or name not in self.values:
            named = f"{name!r}" if isinstance(name, str) else f"a {type(name).__name__}"
            there = ", ".join(self.values) or "none"
            raise LookupError(f"scene[{named:.40}]: there is no such parameter or switch; there is: {there}")
        return self.values[name]
