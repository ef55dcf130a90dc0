"""The powerpc architecture: Book3S-64 page tables, radix and hash."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import Architecture, hookimpl


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer powerpc."""
    from shootdown_powerpc._formats import FORMATS

    return [
        Architecture(
            api=1,
            name="powerpc",
            summary="64-bit POWER (Book3S): radix and hashed page tables",
            aliases=("ppc64el",),
            formats=FORMATS,
        )
    ]
