"""Random arm64 tables: blocks at every level, contiguous runs, RES0 bits, all permissions, addresses too large."""

from __future__ import annotations

import numpy as np
from twins import arm64_walk

U = np.uint64

# name: log2 of the granule, address bits
NAMES = {
    "arm64-4k-39": (12, 39),
    "arm64-4k-48": (12, 48),
    "arm64-4k-52": (12, 52),
    "arm64-16k-36": (14, 36),
    "arm64-16k-47": (14, 47),
    "arm64-16k-48": (14, 48),
    "arm64-16k-52": (14, 52),
    "arm64-64k-42": (16, 42),
    "arm64-64k-48": (16, 48),
    "arm64-64k-52": (16, 52),
}
# How likely each other bit of a descriptor is to be set: attributes of leaves, and ignored and table bits.
CHANCES = {
    2: 0.3,
    5: 0.1,
    6: 0.75,
    7: 0.3,
    10: 0.85,
    11: 0.3,
    16: 0.1,
    50: 0.1,
    51: 0.4,
    52: 0.25,
    53: 0.25,
    54: 0.25,
    55: 0.2,
    58: 0.1,
    59: 0.08,
    60: 0.08,
    61: 0.08,
    62: 0.08,
    63: 0.1,
}


def regime(name, settings):
    granule, va_bits = NAMES[name]
    wide = va_bits == 52
    return arm64_walk.Regime(
        granule, va_bits, ds=wide and granule != 16, lpa=wide and granule == 16, **settings
    )


def control(rng, name):
    """Draw control bits."""
    sizes = [32, 36, 40, 48, 48, 48] + ([52, 52, 52, 52] if name.endswith("52") else [])
    return {
        "ha": bool(rng.random() < 0.5),
        "hd": bool(rng.random() < 0.6),
        "wxn": bool(rng.random() < 0.3),
        "pan": bool(rng.random() < 0.4),
        "epan": bool(rng.random() < 0.4),
        "output_bits": int(rng.choice(sizes)),
    }


def descriptor_address(name, pa):
    """Write addresses into the address field of a descriptor."""
    granule, va_bits = NAMES[name]
    if va_bits != 52:
        return pa
    if granule == 16:
        return pa & U((1 << 48) - 1) | (pa >> U(48) & U(15)) << U(12)
    return pa & U((1 << 50) - 1) | (pa >> U(50) & U(3)) << U(8)


def tables(rng, name, output_bits, *, reach=None, res0=True):
    """Draw tables, some low, some as high as `output_bits` reach, with entries from one to another.

    Args:
        rng: the source of all draws.
        name: of the format.
        output_bits: of addresses; a few entries have more.
        reach: address bits of tables; `output_bits` where None.
        res0: whether blocks have bits below their address set, and bit 16, which may be nT.

    Returns:
        Descriptors by page number of the granule, and the tables' addresses: any can be a root.
    """
    granule, va_bits = NAMES[name]
    blocks = 0.12
    bits = 52 if va_bits == 52 else 48
    span = 1 << (reach or output_bits) - granule
    low = rng.choice(np.arange(1, 256), 5, replace=False)
    high = span - 1 - rng.choice(np.arange(256), 3, replace=False)
    pool = np.concatenate([low, high]).astype(U)
    entries = 1 << granule - 3
    count = entries * len(pool)
    kind = rng.choice(np.array([3, 1, 0, 2], dtype=U), count, p=[0.96 - blocks, blocks, 0.03, 0.01])
    pa = rng.choice(pool, count) << U(granule)
    # Blocks, and a few tables and pages, lie anywhere, some of them too high.
    top = np.where(rng.random(count) < 0.8, U(output_bits), U(bits))
    anywhere = rng.integers(0, 1 << 63, count, dtype=U) >> (U(63) - top)
    stray = (kind == 1) | (rng.random(count) < 0.04)
    pa = np.where(stray, anywhere, pa) & ~U((1 << granule) - 1)
    if not res0:
        largest = {12: 30, 14: 25, 16: 29}[granule]
        pa = np.where(kind == 1, pa & ~U((1 << largest) - 1), pa)
    drawn = rng.integers(0, 1 << 63, count, dtype=U) * U(2)
    drawn &= rng.integers(0, 1 << 63, count, dtype=U) * U(2)  # ignored low bits: a quarter of them set
    words = kind | descriptor_address(name, pa) | drawn & U(0x31C)
    if va_bits == 52:
        words &= ~U(0x300) if granule != 16 else ~U(0)
        words |= descriptor_address(name, pa) & U(0x300)
    for position, chance in CHANCES.items():
        if position == 16 and not (res0 and granule == 12):
            continue
        set_here = (rng.random(count) < chance).astype(U)
        if position == 16:  # nT of a block; in a page, bit 16 is of the address
            set_here &= (kind == 1).astype(U)
        words |= set_here << U(position)
    pages = {int(page): words[i * entries : (i + 1) * entries] for i, page in enumerate(pool)}
    return pages, [page << granule for page in pages]


def addresses(rng, name, count):
    """Draw addresses of both halves; a few belong to neither."""
    va_bits = NAMES[name][1]
    va = rng.integers(0, 1 << va_bits, count, dtype=U)
    va = np.where(rng.random(count) < 0.3, va | U((1 << 64) - (1 << va_bits)), va)
    odd = rng.random(count) < 0.01
    return np.where(odd, va ^ (U(1) << rng.integers(va_bits, 64, count, dtype=U)), va)
