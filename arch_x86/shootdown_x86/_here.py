"""Which platform this machine is like, by what arch/x86/kernel/cpu/proc.c:show_cpuinfo() prints.

INVLPGB has no flag there; family 25 is Zen 3, whose server parts have it. A guest's hypervisor isn't named: it is taken
for KVM.
"""

from __future__ import annotations

_GUEST = r"(?=.*^flags\s*:[^\n]*\bhypervisor\b)"
_INTEL, _AMD = r"(?ms)(?=.*^vendor_id\s*: GenuineIntel)", r"(?ms)(?=.*^vendor_id\s*: AuthenticAMD)"

CPUINFO = (
    (r"(?m)^model name\s*: QEMU (TCG|Virtual) CPU", "qemu-tcg"),
    (_AMD + _GUEST, "kvm-guest-amd"),
    (_INTEL + _GUEST, "kvm-guest"),
    (_AMD + r"(?=.*^cpu family\s*: 23$)", "amd-server-zen2"),
    (_AMD + r"(?=.*^cpu family\s*: (2[5-9]|[3-9]\d)$)", "amd-server"),
    (_INTEL + r"(?=.*^flags\s*:[^\n]*\b(avx512f|amx_tile)\b)", "intel-server"),
    (_INTEL + r"(?=.*^cpu family\s*: 6$)", "intel-client"),
)
