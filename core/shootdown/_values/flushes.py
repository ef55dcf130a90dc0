"""Ways of flushing, by name: `--set platform.flush=NAME` forces one, and an architecture lists those that it has."""

from __future__ import annotations

import attrs

from shootdown._values.checked import checked

#: The value of `Platform.flush` that forces nothing: kernel and CPU choose.
AUTO = "auto"


@attrs.frozen(field_transformer=checked)
class FlushWay:
    """One way of flushing that an architecture has, and what it needs.

    Args:
        name: as typed after `--set platform.flush=`.
        doc: one plain sentence: how the flush reaches other CPUs.
        preempts: it is for guests of a host that may preempt any vCPU at any moment.
        global_asid: it needs a machine-wide ASID; every mm has one from the start where this way is forced.
    """

    name: str
    doc: str
    preempts: bool = False
    global_asid: bool = False


#: The ways of an architecture that lists none: those that api 1 knew before architectures could list their own.
UNLISTED_WAYS = (
    FlushWay("ipi", "interrupts the CPUs that have to flush"),
    FlushWay("broadcast", "invalidates on every CPU by hardware"),
    FlushWay("invlpgb", "invalidates on every CPU by hardware", global_asid=True),
    FlushWay(
        "kvm", "interrupts vCPUs that run, and leaves a note for those that are preempted", preempts=True
    ),
    FlushWay("hypercall", "asks what runs below the kernel"),
)
UNLISTED_PREEMPTING_HOSTS = ("kvm",)
