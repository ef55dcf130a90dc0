"""A slow, obvious RISC-V page walk, written from the Privileged Architecture step by step, and cases for it.

It shares nothing with the package: plain integers, a dictionary of frames, the numbered steps of "Virtual Address
Translation Process". `riscv_twin` never looks at a format.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

U64 = np.uint64

LEVELS = {"sv32": 2, "sv39": 3, "sv48": 4, "sv57": 5}
CAUSE = {  # scause, "Exception codes"
    ("access", "execute"): (1, "instruction access fault"),
    ("access", "read"): (5, "load access fault"),
    ("access", "write"): (7, "store/AMO access fault"),
    ("page", "execute"): (12, "instruction page fault"),
    ("page", "read"): (13, "load page fault"),
    ("page", "write"): (15, "store/AMO page fault"),
}


@dataclass
class Memory:
    """Frames by number; there is no other memory."""

    frames: dict[int, bytearray] = field(default_factory=dict)

    def read(self, address: int, size: int) -> int | None:
        frame = self.frames.get(address >> 12)
        if frame is None:
            return None
        return int.from_bytes(frame[address & 4095 : (address & 4095) + size], "little")

    def write(self, address: int, size: int, value: int) -> None:
        frame = self.frames[address >> 12]
        frame[address & 4095 : (address & 4095) + size] = value.to_bytes(size, "little")


@dataclass(frozen=True)
class Hart:
    """What the walk looks at besides memory: mstatus.SUM and MXR, menvcfg.ADUE and PBMTE, and extensions."""

    mode: str
    sum: bool = False
    mxr: bool = False
    svadu: bool = False
    svnapot: bool = True
    svpbmt: bool = True
    svrsw60t59b: bool = False


@dataclass(frozen=True)
class Outcome:
    """A translation, or a fault with its cause, and the index of the level that ended the walk."""

    pa: int | None = None
    page_bits: int = 0
    cause: int = 0
    name: str = ""
    why: str = "ok"
    level: int = 0


class Trap(Exception):  # noqa: N818 - the manual's word
    def __init__(self, kind: str, why: str, level: int) -> None:
        self.kind, self.why, self.level = kind, why, level


def translate(hart: Hart, memory: Memory, root: int, va: int, kind: str, user: bool) -> Outcome:
    """Translate one address as a hart in U-mode or S-mode would."""
    try:
        pa, page_bits, level = walk(hart, memory, root, va, kind, user)
    except Trap as trap:
        cause, name = CAUSE[trap.kind, kind]
        return Outcome(cause=cause, name=name, why=trap.why, level=trap.level)
    return Outcome(pa, page_bits, level=level)


def walk(hart: Hart, memory: Memory, root: int, va: int, kind: str, user: bool) -> tuple[int, int, int]:
    levels = LEVELS[hart.mode]
    wide = hart.mode != "sv32"
    vpn_bits, size = (9, 8) if wide else (10, 4)
    va_bits = 12 + vpn_bits * levels
    top = levels - 1
    if wide:  # "must have bits 63-39 all equal to bit 38, or else a page-fault exception will occur"
        sign = va >> (va_bits - 1)
        if sign not in (0, (1 << (64 - va_bits + 1)) - 1):
            raise Trap("page", "va", top)
    vpn = [va >> (12 + vpn_bits * i) & ((1 << vpn_bits) - 1) for i in range(levels)]
    a, i = root, top  # step 1
    while True:
        at = a + vpn[i] * size
        pte = memory.read(at, size)  # step 2
        if pte is None:
            raise Trap("access", "memory", i)
        v, r, w, x, u, _g, accessed, dirty = (pte >> n & 1 for n in range(8))
        if not v:  # step 3
            raise Trap("page", "valid", i)
        if not r and w:
            raise Trap("page", "reserved", i)
        leaf = bool(r or x)
        if reserved(hart, pte, i, leaf=leaf):
            raise Trap("page", "reserved", i)
        ppn = pte >> 10 & ((1 << (44 if wide else 22)) - 1)
        if leaf:
            break
        i -= 1  # step 4
        if i < 0:
            raise Trap("page", "too deep", 0)
        a = ppn << 12
    low = (1 << vpn_bits * i) - 1
    if i and ppn & low:  # step 5
        raise Trap("page", "misaligned", i)
    check_mode(hart, u, kind, user, i)  # step 6
    readable = r or (hart.mxr and x)  # step 8
    if not {"read": readable, "write": w, "execute": x}[kind]:
        raise Trap("page", "rwx", i)
    store = kind == "write"
    if not accessed or (store and not dirty):  # step 9
        if not hart.svadu:
            raise Trap("page", "used", i)
        memory.write(at, size, pte | 1 << 6 | (1 << 7 if store else 0))
    page_bits = 12 + vpn_bits * i
    if wide and i == 0 and pte >> 63:  # Svnapot: ppn[0][3:0] is replaced by vpn[0][3:0]
        ppn = ppn >> 4 << 4 | vpn[0] & 15
        page_bits = 16
    # step 10
    pa_ppn = ppn & ~low
    for j in range(i):
        pa_ppn |= vpn[j] << vpn_bits * j
    return pa_ppn << 12 | va & 4095, page_bits, i


def reserved(hart: Hart, pte: int, i: int, *, leaf: bool) -> bool:
    """Whether bits or encodings are set that are reserved for future standard use."""
    if not leaf and pte & 0b1101_0000:  # D, A, U of a non-leaf
        return True
    if hart.mode == "sv32":
        return False
    n, pbmt = pte >> 63, pte >> 61 & 3
    if pte >> 54 & 0b11111:
        return True
    if pte >> 59 & 3 and not hart.svrsw60t59b:
        return True
    if pbmt and (not hart.svpbmt or not leaf or pbmt == 3):
        return True
    if n:
        if not hart.svnapot or not leaf or i > 0:
            return True
        if pte >> 10 & 15 != 0b1000:
            return True
    return False


def check_mode(hart: Hart, u: int, kind: str, user: bool, i: int) -> None:
    """Apply the U bit under the privilege mode and mstatus.SUM."""
    if user:
        if not u:
            raise Trap("page", "u", i)
        return
    if u and (kind == "execute" or not hart.sum):
        raise Trap("page", "u", i)


# --- random cases


@dataclass
class Tables:
    """Frames (number to 4096 bytes) and the roots that make sense with them."""

    frames: dict[int, bytes]
    roots: list[int]


def _pick(rng: np.random.Generator, probability: float, count: int) -> np.ndarray:
    return (rng.random(count) < probability).astype(U64)


def _entries(rng: np.random.Generator, pool: list[int], mode: str, count: int) -> np.ndarray:
    """Draw entries that mostly point into the pool, or map a page: large ones, NAPOT ones, odd ones."""
    wide = mode != "sv32"
    leaf = _pick(rng, 0.35, count)
    table = rng.choice(np.array(pool, dtype=U64), count)
    anywhere = rng.integers(0, 1 << (44 if wide else 22), count, dtype=U64)
    # Aligned for any superpage, for the smallest, for a NAPOT page, or not at all.
    widths = [36, 27, 18, 9, 3, 0] if wide else [10, 0]
    low = rng.choice(np.array([(1 << n) - 1 for n in widths], dtype=U64), count)
    page = anywhere & ~low
    napot = leaf & _pick(rng, 0.15, count) if wide else np.zeros(count, U64)
    page = np.where(napot == 1, np.where(rng.random(count) < 0.8, page & ~U64(15) | U64(8), page), page)
    pte = np.where(leaf == 1, page, table) << U64(10) | napot << U64(63)
    xwr = np.array([0b001, 0b011, 0b100, 0b101, 0b111, 0b010, 0b110], dtype=U64)
    often = [0.15, 0.25, 0.15, 0.14, 0.25, 0.03, 0.03]  # W without R is reserved
    pte |= leaf * (rng.choice(xwr, count, p=often) << U64(1))
    pte |= _pick(rng, 0.96, count)
    for position, chance in ((4, 0.6), (6, 0.8), (7, 0.6)):  # U, A, D
        pte |= leaf * (_pick(rng, chance, count) << U64(position))
    pte |= _pick(rng, 0.1, count) << U64(5) | rng.integers(0, 4, count, dtype=U64) << U64(8)
    pte |= _pick(rng, 0.02, count) << rng.choice(
        np.array([4, 6, 7], dtype=U64), count
    )  # D, A, U of tables too
    if wide:
        pte |= leaf * _pick(rng, 0.2, count) * rng.integers(0, 4, count, dtype=U64) << U64(61)
        pte |= _pick(rng, 0.03, count) << rng.integers(54, 64, count, dtype=U64)
    return pte


def tables(rng: np.random.Generator, mode: str) -> Tables:
    """Draw the frames of one case: half of them low, half of them high; tables form graphs, not trees."""
    low = rng.choice(np.arange(16, 4096), 12, replace=False).tolist()
    reach = 1 << (22 if mode == "sv32" else 30)
    high = rng.choice(np.arange(reach - 100_000, reach), 8, replace=False).tolist()
    missing = reach // 2 + int(
        rng.integers(1 << 10)
    )  # a table where no memory answers, far from all that does
    pool, frames = [*low, *high, missing], {}
    for number in low + high:
        if mode == "sv32":
            frames[number] = _entries(rng, pool, mode, 1024).astype(np.uint32).tobytes()
        else:
            frames[number] = _entries(rng, pool, mode, 512).tobytes()
    return Tables(frames, [number << 12 for number in low])


def addresses(rng: np.random.Generator, mode: str, count: int) -> np.ndarray:
    """Draw addresses; on RV64 a few are not sign-extended."""
    width = 32 if mode == "sv32" else 12 + 9 * LEVELS[mode]
    va = rng.integers(0, 1 << width, count, dtype=U64)
    if mode == "sv32":
        return va
    va = np.where(va >> U64(width - 1) == 1, va | U64((1 << 64) - (1 << width)), va)
    odd = rng.random(count) < 0.02
    return np.where(odd, va ^ (U64(1) << rng.integers(width, 64, count, dtype=U64)), va)


def settings(rng: np.random.Generator, mode: str) -> dict[str, bool]:
    """Draw what a hart is set to."""
    chances = {"sum": 0.4, "mxr": 0.4, "svadu": 0.4}
    if mode != "sv32":
        chances |= {"svnapot": 0.8, "svpbmt": 0.8, "svrsw60t59b": 0.3}
    return {name: bool(rng.random() < chance) for name, chance in chances.items()}
