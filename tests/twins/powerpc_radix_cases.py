"""Random radix trees: all page sizes, wrong sizes and alignments, reserved bits, all permissions, graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

U = np.uint64
ROOT_BYTES = 1 << 16


@dataclass
class Tables:
    """Frames (number to 4096 bytes) and the first doubleword of the process table entry."""

    frames: dict[int, bytes]
    entry: int


def pick(rng, probability, count):
    return (rng.random(count) < probability).astype(U)


def entries(rng, pool, last_bits, count):
    """Draw entries that mostly point into the pool; tables have mostly 9 bits, or those of the last level."""
    frame = rng.choice(np.array(pool, dtype=U), count) << U(12)
    inside = pick(rng, 0.1, count) * (rng.integers(0, 16, count, dtype=U) << U(8))
    size = rng.choice(np.array([9, last_bits, 5]), count, p=[0.62, 0.3, 0.08]).astype(U)
    size = np.where(rng.random(count) < 0.02, rng.integers(0, 32, count, dtype=U), size)
    table = frame | inside | size
    table |= pick(rng, 0.03, count) << rng.choice(np.array([5, 6, 7, 60, 61], dtype=U), count)
    page = rng.integers(0, 1 << 45, count, dtype=U) << U(12)
    kept = rng.choice(np.array([(1 << 30) - 1, (1 << 21) - 1, 0xFFFF, 0xFFF], dtype=U), count)
    page &= ~kept
    for bit, chance in ((0, 0.6), (1, 0.5), (2, 0.7), (3, 0.35), (4, 0.2), (5, 0.2), (7, 0.5), (8, 0.7)):
        page |= pick(rng, chance, count) << U(bit)
    for bit in (6, 9, 10, 11, 57, 58, 59, 60, 61):
        page |= pick(rng, 0.08, count) << U(bit)
    leaf = pick(rng, 0.25, count)
    return np.where(leaf == 1, page, table) | leaf << U(62) | pick(rng, 0.96, count) << U(63)


def tables(rng, last_bits):
    """Draw a root of 64 KiB and a pool of tables, a third of them far away."""
    low = rng.choice(np.arange(64, 4096), 8, replace=False).tolist()
    high = rng.choice(np.arange((1 << 30) - 100_000, 1 << 30), 4, replace=False).tolist()
    pool = low + high
    root = int(rng.integers(0x40, 0x1000)) << 16
    frames = {number: entries(rng, pool, last_bits, 512).astype(">u8").tobytes() for number in pool}
    top = entries(rng, pool, 9, ROOT_BYTES // 8).astype(">u8").tobytes()
    frames |= {(root + at) >> 12: top[at : at + 4096] for at in range(0, ROOT_BYTES, 4096)}
    return Tables(frames, 2 << 61 | root | 5 << 5 | 13)


def addresses(rng, count):
    """Draw effective addresses of 52 bits in any quadrant; some reach further."""
    ea = rng.integers(0, 1 << 52, count, dtype=U) | rng.integers(0, 4, count, dtype=U) << U(62)
    return ea | pick(rng, 0.02, count) << rng.integers(52, 62, count, dtype=U)


def thread(rng):
    """Draw the parts of the thread's state that the walk depends on."""
    chances = {"hardware_rc": 0.7, "bad_bits": 0.4, "amr_read": 0.3, "amr_write": 0.3, "iamr": 0.3}
    return {name: bool(rng.random() < chance) for name, chance in chances.items()}
