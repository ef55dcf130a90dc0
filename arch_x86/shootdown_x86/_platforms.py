"""The x86 machines that kernels run on: CPU model, features, hypervisor, TLBs; what they cost is in `_costs.py`."""

from __future__ import annotations

import attrs

from shootdown._kernel import switch
from shootdown._platform import Platform
from shootdown_x86 import _costs


@attrs.frozen
class X86Platform:
    """What only an x86 platform has: the CPUID features that decide how Linux flushes."""

    pcid: bool = switch(True, "CPUID.1:ECX.PCID: translations carry a process-context identifier")
    invpcid: bool = switch(
        True, "CPUID.7.0:EBX.INVPCID: one address or all of another PCID can be invalidated"
    )
    invlpgb: bool = switch(False, "CPUID 0x80000008 EBX[3]: INVLPGB and TLBSYNC invalidate on all CPUs")
    invlpgb_max_pages: int = switch(
        1, "pages that one INVLPGB may name: CPUID 0x80000008 EDX[15:0] plus one", minimum=1
    )
    tce: bool = switch(
        False, "EFER.TCE: INVLPG drops only the paging-structure entries that lead to its address"
    )
    la57: bool = switch(False, "CPUID.7.0:ECX.LA57: the CPU can walk five levels")
    x2apic: bool = switch(True, "IPIs are sent by writing one MSR rather than two memory-mapped words")


PLATFORMS: tuple[Platform, ...] = (
    Platform(
        name="intel-server",
        summary="Intel Xeon (Sapphire Rapids), bare metal, native IPIs, PCID",
        costs=_costs.INTEL_SERVER,
        arch=X86Platform(la57=True),
        cpus=196,
    ),
    Platform(
        name="intel-client",
        summary="Intel Core (Golden Cove), native IPIs, PCID",
        costs=_costs.INTEL_CLIENT,
        arch=X86Platform(),
        cpus=16,
    ),
    Platform(
        name="amd-server",
        summary="AMD EPYC (Zen 3 and later), bare metal, INVLPGB and TLBSYNC",
        costs=_costs.AMD_SERVER,
        arch=X86Platform(invlpgb=True, invlpgb_max_pages=8, tce=True),
        cpus=196,
    ),
    Platform(
        name="amd-server-zen2",
        summary="AMD EPYC (Zen 2), bare metal, native IPIs, no PCID, no INVLPGB",
        costs=_costs.AMD_SERVER_ZEN2,
        arch=X86Platform(pcid=False, invpcid=False, tce=True),
        cpus=196,
    ),
    Platform(
        name="kvm-guest",
        summary="guest of KVM on Intel with paravirtual TLB flush",
        costs=_costs.KVM_GUEST,
        arch=X86Platform(la57=True),
        cpus=196,
        hypervisor="kvm",
    ),
    Platform(
        name="kvm-guest-amd",
        summary="guest of KVM on AMD with paravirtual TLB flush; INVLPGB is not offered to it",
        costs=_costs.KVM_GUEST_AMD,
        arch=X86Platform(tce=False),
        cpus=196,
        hypervisor="kvm",
    ),
    Platform(
        name="hyper-v-guest",
        summary="guest of Hyper-V (Azure) that flushes by hypercall",
        costs=_costs.HYPER_V_GUEST,
        arch=X86Platform(),
        cpus=196,
        hypervisor="hyper-v",
    ),
    Platform(
        name="xen-pv-guest",
        summary="paravirtual guest of Xen that flushes by hypercall; it has no huge pages",
        costs=_costs.XEN_PV_GUEST,
        arch=X86Platform(pcid=False, invpcid=False),
        cpus=128,
        hypervisor="xen",
    ),
    Platform(
        name="qemu-tcg",
        summary="QEMU's own translator, as the measured rows were made: no PCID, no paravirtual features",
        costs=_costs.QEMU_TCG,
        arch=X86Platform(pcid=False, invpcid=False, x2apic=False),
        cpus=4,
        hypervisor="none",
    ),
)
