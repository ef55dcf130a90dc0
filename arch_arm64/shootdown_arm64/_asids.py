"""How Linux gives ASIDs to address spaces: generations, rollover, pairs (arch/arm64/mm/context.c, v5.10 to v7.2).

An ASID belongs to a generation. When none is free a new generation begins: whatever runs on a CPU right now keeps its
ASID, everybody else loses it, and each CPU drops its whole TLB before it switches the next time. ASID 0 is nobody's:
TTBR0 carries it while the kernel changes tables.
"""

from __future__ import annotations

from typing import NamedTuple

from shootdown import ShootdownError


class Switch(NamedTuple):
    """What a switch to an address space did.

    Attributes:
        asid: that it runs with; with KPTI the kernel's half of the pair, and the user's is one more.
        generation: that the ASID belongs to, counted from 1.
        flushes: the CPU executes local_flush_tlb_all() (TLBI VMALLE1) first.
        rolls_over: this switch began the generation.
    """

    asid: int
    generation: int
    flushes: bool
    rolls_over: bool


class AsidAllocator:
    """Hand out ASIDs as `check_and_switch_context()` does.

    Args:
        cpus: how many.
        bits: of an ASID, 8 or 16.
        kpti: ASIDs come in pairs, an even one for the kernel's and the next for user mode's half.

    Raises:
        ShootdownError: ASIDs that do not exist, or fewer than CPUs.
    """

    def __init__(self, *, cpus: int, bits: int = 16, kpti: bool = False) -> None:
        if bits not in (8, 16):
            raise ShootdownError(f"ASIDs of {bits} bits: there is 8 and 16")
        self.step = 2 if kpti else 1
        self.count = (1 << bits) // self.step  # of pairs where there are pairs; the first is nobody's
        if cpus >= self.count - 1:
            raise ShootdownError(
                f"{cpus} CPUs and {self.count - 1} ASIDs: Linux warns, each CPU needs one of its own"
            )
        self.generation = 1
        self._used = {0}
        self._next = 1
        self._of: dict[int, tuple[int, int]] = {}  # by mm: generation and number
        self._active: list[tuple[int, int] | None] = [None] * cpus
        self._reserved: list[tuple[int, int] | None] = [None] * cpus
        self._flush_pending = [False] * cpus

    def switch(self, cpu: int, mm: int) -> Switch:
        """Let a CPU run an address space."""
        before = self.generation
        held = self._of.get(mm)
        if held is None or held[0] != self.generation or self._active[cpu] is None:
            if held is None or held[0] != self.generation:
                held = self._new_context(mm, held)
                self._of[mm] = held
            flushes = self._flush_pending[cpu]
            self._flush_pending[cpu] = False
        else:
            flushes = False
        self._active[cpu] = held
        return Switch(held[1] * self.step, held[0], flushes, self.generation != before)

    def forget(self, mm: int) -> None:
        """Say that an address space is gone. Its ASID stays taken until the generation ends."""
        self._of.pop(mm, None)

    def _new_context(self, mm: int, held: tuple[int, int] | None) -> tuple[int, int]:
        """Find an ASID: the one that a CPU kept over a rollover, the old one if it is free, or the next free one."""
        if held is not None:
            kept = (self.generation, held[1])
            if self._take_reserved(held, kept):
                return kept
            if held[1] not in self._used:
                self._used.add(held[1])
                return kept
        number = self._next_free(self._next)
        if number is None:
            self._roll_over()
            number = self._next_free(1)
            assert number is not None
        self._used.add(number)
        self._next = number
        return self.generation, number

    def _take_reserved(self, held: tuple[int, int], kept: tuple[int, int]) -> bool:
        found = False
        for cpu, reserved in enumerate(self._reserved):
            if reserved == held:
                found = True
                self._reserved[cpu] = kept
        return found

    def _next_free(self, start: int) -> int | None:
        return next((n for n in range(start, self.count) if n not in self._used), None)

    def _roll_over(self) -> None:
        self.generation += 1
        self._used = {0}
        for cpu, active in enumerate(self._active):
            # A CPU that has not switched since the rollover before keeps what it reserved then.
            kept = self._reserved[cpu] if active is None else active
            self._active[cpu] = None
            self._reserved[cpu] = kept
            if kept is not None:
                self._used.add(kept[1])
        self._flush_pending = [True] * len(self._flush_pending)
