"""Events of function calls on other CPUs: who is called for what, how long a call waits, and what is no call."""

# Lines of recordings are as long as tracers and kernels write them.
# ruff: noqa: E501

from __future__ import annotations

import pytest
from tests.core.records.parts import Read, only

from shootdown._records.events_part import EventsPart


def test_calls_are_joined_by_their_pointer_however_it_is_written(recorded: Read) -> None:
    pointer = 0xFFFF88800DEADB40
    found = recorded(
        f"""\
        a-1 [002] 9.000100: csd_queue_cpu: cpu=5 callsite=smp_call_function_single+0x1 func=ipi_mb csd={pointer:#x}
        a-1 [002] 9.000101: ipi_send_cpu: cpu=5 callsite=smp_call_function_single+0x1 callback=generic_smp_call_function_single_interrupt+0x0
        a-2 [005] 9.000117: csd_function_entry: func=ipi_mb csd={pointer:#x}
        a-2 [005] 9.000118: csd_latency: dst_cpu=5, csd={pointer - (1 << 64)}, time=17
        """
    )
    calls = only(EventsPart, found).calls
    assert (calls.waits.least, calls.waits.most, calls.waits.count) == (17_000, 17_000, 1)
    assert (calls.callbacks, calls.agreeing) == ({"ipi_mb": 1}, 1)
    assert str(found.releases) == "6.5 or later"


def test_what_a_caller_runs_itself_is_no_call_on_another_cpu(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [002] d..2. 9.000100: csd_function_entry: func=flush_tlb_func, csd=0000000000000000
        a-1 [002] ...1. 9.000110: csd_queue_cpu: cpu=5 callsite=smp_call_function_many_cond+0x1 func=flush_tlb_func csd=000000000a6ecdd4
        a-1 [002] ...1. 9.000111: ipi_send_cpu: cpu=5 callsite=on_each_cpu_cond_mask+0x20/0x60 callback=generic_smp_call_function_single_interrupt+0x0/0x10
        a-1 [002] ...1. 9.000112: ipi_send_cpu: cpu=6 callsite=ttwu_queue+0x20/0x60 callback=0x0
        a-2 [005] d.h.. 9.000117: csd_function_entry: func=flush_tlb_func, csd=000000000a6ecdd4
        """
    )
    part = only(EventsPart, found)
    assert part.calls.own == {"flush_tlb_func": 1}
    assert part.calls.runs == {"flush_tlb_func": 1}
    assert part.calls.sent == {"flush_tlb_func": 1, "reschedule": 1}
    assert part.called["flush_tlb_func"] == "user pages"


@pytest.mark.parametrize(
    ("mask", "cpus"), [("0000000f", 4), ("00000000,00000001", 1), ("ff,00000000", 8), ("1,4-6", 4)]
)
def test_an_interrupt_to_a_mask_counts_once_for_each_cpu(recorded: Read, mask: str, cpus: int) -> None:
    found = recorded(
        f"a-1 [002] 9.0: ipi_send_cpumask: cpumask={mask} callsite=flush_tlb_kernel_range+0x1 callback=do_flush_tlb_all+0x0\n"
    )
    assert only(EventsPart, found).calls.sent == {"do_flush_tlb_all": cpus}
