"""A hashed page table whose decode is a C function, for shootdown: how to call C in a walk."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import Architecture, hookimpl


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer the formats; runs once, when anything installed is first asked for."""
    from shootdown_cdecode._formats import FORMATS

    return [
        Architecture(
            api=1,
            name="cdecode",
            summary="a made-up hashed page table, decoded by C and by its twin; and one of levels, to compare",
            formats=FORMATS,
        )
    ]
