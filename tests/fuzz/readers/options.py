"""The values of options: releases, what-ifs, geometries, addresses, regions, sizes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from fuzz.mutations import TEXTS, damaged
from fuzz.readers.reader import Reader, Use

from shootdown._values.errors import ShootdownError

_KNOWN = (
    "7.0", "6.16-rc1", "v5.10.223", "proposal:targeted-sync@6.16", "kernel.unshare_sync=none", "platform.cpus=4",
    "kernel.tlb_single_page_flush_ceiling=64", "platform.va_bits=48", "l1.entries=64", "l2.2m.ways=12", "asid_bits=12",
    "l1.policy=tree-plru", "l2.index=xor7", "inclusion=exclusive", "walk.2m.entries=32", "l1.4k.entries=0x40", "4k",
    "0x7f0000000000", "0x7f0000000000-0x7f8000000000=2m", "1GiB", "on",
)  # fmt: skip


def option_value(rng: random.Random) -> bytes:
    """Make the text of a value: a release, what-if, geometry, address, region or size."""
    text = rng.choice(_KNOWN) if rng.random() < 0.8 else rng.choice(TEXTS)
    words = tuple(b"= . , - 0x 999999999999999999999999999999 @ proposal: k inf nan _".split())
    data = text.encode("utf-8", "surrogatepass")
    return damaged(rng, data, words) if rng.random() < 0.9 else data


def _use_option(folder: Path) -> Use:
    del folder
    from shootdown._cli import _tlb
    from shootdown._plugins.registry import registry
    from shootdown._tlb.parameters import geometry_of
    from shootdown._traces.simulation import PageSizes
    from shootdown._values import reading
    from shootdown._values.releases import resolve
    from shootdown._values.whatif import parse_settings, set_fields, set_kernel

    x86 = registry().architecture("x86")
    platform = registry().platform("x86", "intel-server")
    kernel = resolve("7.0", x86)
    steps: tuple[Callable[[str], object], ...] = (
        lambda text: resolve(text, x86),
        lambda text: set_kernel(kernel, parse_settings([text], ("kernel", "platform")), x86),
        lambda text: set_fields(platform, parse_settings([text], ("platform",)), "platform", "x"),
        lambda text: geometry_of(dict([text.split("=", 1)])) if "=" in text else None,
        lambda text: PageSizes(4096, [_tlb._region(text)]),
        lambda text: PageSizes(reading.read_size(text)),
        lambda text: reading.read_address("VA", text),
        lambda text: reading.read_integer(text, units=True),
        reading.read_boolean,
    )

    def use(data: bytes) -> str:
        text = data.decode("utf-8", "replace")
        good, last = 0, None
        for step in steps:
            try:
                step(text)
                good += 1
            except ShootdownError as error:
                last = error
        if not good and last is not None:
            raise last
        return "accepted"

    return use


READERS = (Reader("option values", option_value, _use_option),)
