"""The LoongArch architecture, for shootdown: the hook alone."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import Architecture, hookimpl


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer loongarch; runs once, when anything installed is first asked for."""
    from shootdown.porting import FlushWay
    from shootdown_loongarch import _kernel
    from shootdown_loongarch._expected import EXPECTED
    from shootdown_loongarch._flush import LoongarchLowering
    from shootdown_loongarch._formats import FORMATS
    from shootdown_loongarch._platforms import PLATFORMS

    return [
        Architecture(
            api=1,
            name="loongarch",
            summary="LoongArch: flushes by IPI, in pairs of pages or by a new ASID",
            aliases=("loongarch64",),
            formats=FORMATS,
            switches=_kernel.LoongarchKernel,
            changes=_kernel.CHANGES,
            configure=_kernel.configure,
            platforms=PLATFORMS,
            lower=LoongarchLowering,
            contradictions=_kernel.CONTRADICTIONS,
            memory_model="weak",
            # asm-generic's ptep_get_and_clear(): a load, then pte_clear(), a store (asm/pgtable.h, 5.19).
            pte_clear="store",
            pte_clear_atomic=False,
            flush_ways=(FlushWay("ipi", "IPIs whose handlers invalidate, whichever mm their CPU runs"),),
            preempting_hosts=(),
            instructions={
                "invtlb_1": "LoongArch Reference Manual vol. 1, 4.2.4.7: INVTLB, op 1",
                "invtlb_5": "LoongArch Reference Manual vol. 1, 4.2.4.7: INVTLB, op 5",
                "csrwr_asid": "LoongArch Reference Manual vol. 1, 4.2.1: CSRWR, and 7.5.4: ASID",
            },
            cpuinfo=(
                (r"Loongson-3A6000", "loongson-3a6000"),
                (r"Loongson-3A5000", "loongson-3a5000"),
                (r"Loongson-3C6000", "loongson-3c6000"),
            ),
            expected=EXPECTED,
            first="5.19",
        )
    ]
