"""s390, for shootdown: the hook alone. Tables are in `_formats.py`, flushes in `_flush.py`."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import Architecture, hookimpl


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer s390; runs once, when anything installed is first asked for."""
    from shootdown_s390 import _emulated, _flush, _formats, _kernel, _measured, _platforms

    return [
        Architecture(
            api=1,
            name="s390",
            summary="s390: region, segment and page tables; entries are invalidated on all CPUs by IPTE and IDTE",
            aliases=("s390x",),
            formats=_formats.FORMATS,
            switches=_kernel.S390Kernel,
            changes=_kernel.CHANGES,
            configure=_kernel.configure,
            platforms=_platforms.PLATFORMS,
            lower=_flush.S390Lowering,
            measured=_measured.MEASURED,
            emulation=_emulated.EMULATION,
            memory_model="tso",
            pte_clear="store",
            pte_clear_atomic=False,
            flush_ways=(),
            instructions=_flush.INSTRUCTIONS,
        )
    ]
