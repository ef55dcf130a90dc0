"""Random x86 page tables: large pages, reserved bits, all permissions, tables far apart, graphs, no trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from twins import x86_walk

NAMES = {
    "32bit": "x86-32bit",
    "pae": "x86-pae",
    "4level": "x86_64-4level",
    "5level": "x86_64-5level",
}
VA_BITS = {"32bit": 32, "pae": 32, "4level": 48, "5level": 57}
U = np.uint64


@dataclass
class Tables:
    """Frames (number to 4096 bytes) and the CR3 values that make sense with them."""

    frames: dict[int, bytes]
    roots: list[int]


def pick(rng, probability, count):
    return (rng.random(count) < probability).astype(U)


def entries(rng, pool, mode, maxphyaddr, count):
    """Draw entries that mostly point into the pool."""
    wide = mode != "32bit"
    frame = rng.choice(np.array(pool, dtype=U), count) << U(12)
    large = pick(rng, 0.15, count)
    # A large page lies anywhere; its low address bits are mostly zero, for either size.
    anywhere = rng.integers(0, 1 << (maxphyaddr if wide else 32), count, dtype=U)
    kept = np.where(rng.random(count) < 0.5, U((1 << 30) - 1), U((1 << 21) - 1))
    kept = kept if wide else np.full(count, U((1 << 22) - 1))
    aligned = anywhere & ~kept
    sloppy = anywhere & ~U(0xFFF)
    address = np.where(large == 1, np.where(rng.random(count) < 0.9, aligned, sloppy), frame)
    entry = address | large << U(7) | pick(rng, 0.95, count)
    chances = {1: 0.85, 2: 0.85, 3: 0.1, 4: 0.1, 5: 0.5, 6: 0.3, 8: 0.1, 9: 0.2, 10: 0.2, 11: 0.2}
    for position, chance in chances.items():
        entry |= pick(rng, chance, count) << U(position)
    entry |= (large & pick(rng, 0.2, count)) << U(12)  # PAT of a large page
    if wide:
        entry |= pick(rng, 0.15, count) << U(63)
        if mode != "pae":  # ignored bits and protection keys
            for position in (52, 55, 58, 59, 62):
                entry |= pick(rng, 0.05, count) << U(position)
        odd = pick(rng, 0.03, count) << rng.integers(
            maxphyaddr if maxphyaddr < 52 else 51, 63, count, dtype=U
        )
    else:
        entry |= np.where(large == 1, pick(rng, 0.2, count) << rng.integers(13, 21, count, dtype=U), U(0))
        odd = (large & pick(rng, 0.1, count)) << U(21)
    return entry | odd


def tables(rng, mode, maxphyaddr):
    """Draw the frames of one case: half of them low, half of them high where the mode reaches there."""
    low = rng.choice(np.arange(16, 4096), 12, replace=False).tolist()
    reach = min(maxphyaddr, 36) - 12 if mode in ("4level", "5level", "pae") else 32 - 12
    high = rng.choice(np.arange((1 << reach) - 100_000, 1 << reach), 8, replace=False).tolist()
    pool = low + high
    frames = {}
    for number in pool:
        if mode == "32bit":
            frames[number] = entries(rng, pool, mode, maxphyaddr, 1024).astype(np.uint32).tobytes()
        else:
            frames[number] = entries(rng, pool, mode, maxphyaddr, 512).tobytes()
    roots = [number << 12 for number in low]
    if mode == "pae":
        frame = rng.choice(np.array(pool, dtype=U), 512) << U(12)
        chosen = frame | pick(rng, 0.95, 512) | pick(rng, 0.1, 512) << U(3) | pick(rng, 0.1, 512) << U(10)
        chosen |= pick(rng, 0.08, 512) << rng.choice(np.array([1, 2, 5, 6, 7, 8, 52, 62, 63], dtype=U), 512)
        frames[8] = chosen.tobytes()
        roots = [8 << 12 | slot * 32 for slot in range(128)]
    return Tables(frames, roots)


def addresses(rng, mode, count):
    """Draw addresses; in long mode a few are not canonical."""
    width = VA_BITS[mode]
    va = rng.integers(0, 1 << width, count, dtype=U)
    if mode in ("4level", "5level"):
        upper = va >> U(width - 1) == 1
        va = np.where(upper, va | U((1 << 64) - (1 << width)), va)
        odd = rng.random(count) < 0.02
        va = np.where(odd, va ^ (U(1) << rng.integers(width, 64, count, dtype=U)), va)
    return va


def control(rng, mode, maxphyaddr=None):
    """Draw control bits."""
    chosen = {
        "maxphyaddr": maxphyaddr or int(rng.choice([36, 40, 46, 52])),
        "wp": bool(rng.random() < 0.6),
        "smep": bool(rng.random() < 0.4),
        "smap": bool(rng.random() < 0.4),
        "ac": bool(rng.random() < 0.3),
    }
    if mode == "32bit":
        chosen["pse"] = bool(rng.random() < 0.8)
    else:
        chosen["nxe"] = bool(rng.random() < 0.75)
    if mode in ("4level", "5level"):
        chosen["pages_1g"] = bool(rng.random() < 0.8)
    return chosen


def cpu(mode, settings):
    return x86_walk.Cpu(mode=mode, **settings)
