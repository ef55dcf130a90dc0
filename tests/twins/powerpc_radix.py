"""A slow, obvious radix walk, written from Power ISA 3.1, Book III, 6.7, with the ISA's own bit numbers.

It shares nothing with the package. Bit 0 is the most significant of a doubleword, as in the ISA's figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Memory:
    """Frames of 4 KiB by number; what is missing reads as zero."""

    frames: dict[int, bytearray] = field(default_factory=dict)

    def doubleword(self, address):
        frame = self.frames.get(address >> 12)
        if frame is None:
            return 0
        return int.from_bytes(frame[address & 4095 : (address & 4095) + 8], "big")

    def store(self, address, value):
        frame = self.frames.setdefault(address >> 12, bytearray(4096))
        frame[address & 4095 : (address & 4095) + 8] = value.to_bytes(8, "big")


def cut(word, first, last):
    """Take bits `first:last` of a doubleword."""
    return word >> (63 - last) & (1 << (last - first + 1)) - 1


@dataclass(frozen=True)
class Cpu:
    """The parts of a thread's state that the walk depends on."""

    hardware_rc: bool = True  # sets reference and change bits itself
    bad_bits: bool = False  # Linux's opinion of directory entries, not the processor's
    amr_read: bool = False  # AMR bit 1
    amr_write: bool = False  # AMR bit 0
    iamr: bool = False  # IAMR bit 1


@dataclass(frozen=True)
class Outcome:
    reason: str
    real: int | None = None
    page_bits: int = 0
    interrupt: str = ""
    code: int = 0
    level: int = 0


NOT_FOUND, NO_EXECUTE, PROTECTION, STORE, CONFIGURATION, RC = (
    1 << (63 - n) for n in (33, 35, 36, 38, 44, 45)
)


def translate(cpu, memory, entry, ea, kind="read", user=True, set_rc=False):
    """Translate an effective address under a process table entry's first doubleword (6.7.6.2)."""
    if cut(ea, 2, 11):  # 6.7.10: RTS says 52 bits, the quadrant is bits 0:1
        return Outcome(
            "segment", interrupt=f"{'instruction' if kind == 'execute' else 'data'} segment interrupt"
        )
    tree_bits = 31 + (cut(entry, 1, 2) << 3 | cut(entry, 56, 58))
    base, size = cut(entry, 4, 55) << 8, cut(entry, 59, 63)
    left, level = tree_bits, 0
    while True:
        supported = (
            (level == 0 and (left, size) == (52, 13))
            or (level in (1, 2) and size == 9)
            or (level == 3 and size in (5, 9))
        )
        if not supported:
            return refuse("configuration", kind, CONFIGURATION, level=min(level, 3))
        left -= size
        base &= ~((1 << (size + 3)) - 1)
        place = base + 8 * (ea >> left & (1 << size) - 1)
        word = memory.doubleword(place)
        if not cut(word, 0, 0):
            return refuse("not-found", kind, NOT_FOUND, level=level)
        if cut(word, 1, 1):
            break
        if cpu.bad_bits and (cut(word, 2, 2) or cut(word, 56, 58)):
            return refuse("reserved", kind, CONFIGURATION, level=level)
        base, size, level = cut(word, 4, 55) << 8, cut(word, 59, 63), level + 1
    if not permitted(cpu, word, kind, user):
        return refuse("protection", kind, NO_EXECUTE if kind == "execute" else PROTECTION, level=level)
    wanted = word | 1 << (63 - 55)
    if kind == "write":
        wanted |= 1 << (63 - 56)
    if wanted != word:
        if not cpu.hardware_rc:
            return refuse("reference-change", kind, RC, level=level)
        if set_rc:
            memory.store(place, wanted)
    offset = ea & (1 << left) - 1
    real = (cut(word, 7, 51) << 12) >> left << left | offset
    return Outcome("ok", real, left, level=level)


def refuse(reason, kind, cause, level):
    """7.5.3 and 7.5.5: DSISR, or SRR1 of an instruction storage interrupt."""
    if kind == "execute":
        return Outcome(reason, interrupt="instruction storage interrupt", code=cause, level=level)
    return Outcome(
        reason,
        interrupt="data storage interrupt",
        code=cause | (STORE if kind == "write" else 0),
        level=level,
    )


def permitted(cpu, pte, kind, user):
    """6.7.13: attributes, then the encoded access authority, then key 0 of AMR and IAMR."""
    attribute = cut(pte, 58, 59)
    privileged, read, write, execute = (cut(pte, n, n) for n in (60, 61, 62, 63))
    if user and privileged:
        return False
    key_matters = not user and not privileged
    if kind == "read":
        return bool(read or write) and not (key_matters and cpu.amr_read)
    if kind == "write":
        return bool(write) and not (key_matters and cpu.amr_write)
    return bool(execute) and attribute != 0b10 and not (key_matters and cpu.iamr)
