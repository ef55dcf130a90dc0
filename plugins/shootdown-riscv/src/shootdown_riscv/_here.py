"""Which platform this machine is like, by the `uarch` of arch/riscv/kernel/cpu.c:c_show()."""

from __future__ import annotations

CPUINFO = (
    (r"(?m)^uarch\s*: sifive,(u74(-mc)?|bullet0)$", "sifive-u74"),
    (r"(?m)^uarch\s*: thead,c920$", "sophgo-sg2042"),
    (r"(?m)^uarch\s*: thead,c910$", "thead-th1520"),
)
