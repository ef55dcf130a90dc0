"""Output of perf stat, and shares of perf report and perf top."""

# Lines of recordings are as long as tracers and kernels write them.
# ruff: noqa: E501

from __future__ import annotations

import pytest
from tests.core.records.parts import Read, only

from shootdown._records.perf_stat import PerfStatPart
from shootdown._records.shares import SharesPart
from shootdown._report.recorded import lines


@pytest.mark.parametrize(
    "text",
    [
        " Performance counter stats for 'system wide':\n\n       1,234,567      tlb:tlb_flush\n\n 10.01 seconds time elapsed\n",
        " Performance counter stats for 'a':\n\n 1.234.567      tlb:tlb_flush:u   ( +-  0.10% )\n",
        " Performance counter stats for 'a':\n\nCPU0   1,234,000  tlb:tlb_flush\nCPU1         567  tlb:tlb_flush\n",
        "     1.000123456        1,234,567      tlb:tlb_flush\n",
        "#           time             counts unit events\n     1.000123456  1,234,000  tlb:tlb_flush\n     2.000123456  567  tlb:tlb_flush\n",
        "1234567,,tlb:tlb_flush,100,100.00,,\n",
        "CPU0,1,1234567,,tlb:tlb_flush,100,100.00,,\n",
        '{"counter-value" : "1234567.000000", "unit" : "", "event" : "tlb:tlb_flush", "pcnt-running" : 100.00}\n',
    ],
)
def test_perf_stat_is_read_in_each_of_its_forms(recorded: Read, text: str) -> None:
    part = only(PerfStatPart, recorded(text))
    assert sum(run["tlb:tlb_flush"] for run in part.runs) == 1234567
    assert any("which of the tlb_flush events" in text for text in part.unknown)


@pytest.mark.parametrize(
    "text",
    [
        "# time counts unit events\n 1.000100000  30  tlb:tlb_flush\n 2.500000000  20  tlb:tlb_flush\n",
        "1.000100000,CPU0,30,,tlb:tlb_flush,100,100.00,,\n2.500000000,CPU0,20,,tlb:tlb_flush,100,100.00,,\n",
        '{"interval" : 1.0001, "counter-value" : "30.0", "event" : "tlb:tlb_flush"}\n'
        '{"interval" : 2.5, "counter-value" : "20.0", "event" : "tlb:tlb_flush"}\n',
        " Performance counter stats for 'a':\n\n 50  tlb:tlb_flush\n\n 2.5 seconds time elapsed\n",
    ],
)
def test_perf_stat_counts_a_second_up_to_the_end_of_its_last_interval(recorded: Read, text: str) -> None:
    found = recorded(text)
    part = only(PerfStatPart, found)
    assert part.elapsed == (2.5,)
    assert "tlb:tlb_flush 50 20" in [" ".join(line.split()) for line in lines(found, 80)]


def test_perf_stat_names_what_was_not_counted_or_scaled(recorded: Read) -> None:
    (part,) = recorded(
        " Performance counter stats for 'a':\n\n   <not supported>   tlb:tlb_flush\n   500  dTLB-load-misses   (49.98%)\n"
    ).parts
    assert isinstance(part, PerfStatPart)
    assert (part.not_counted, part.scaled) == (("tlb:tlb_flush",), ("dTLB-load-misses",))


def test_shares_of_perf_report_are_summed_by_reason(recorded: Read) -> None:
    found = recorded(
        """\
        # Samples: 8K of event 'tlb:tlb_flush'
        # Event count (approx.): 8000
            60.00%  pages:1 reason:local MM shootdown (3)
            25.00%  pages:1 reason:remote IPI send (4)
            10.00%  pages:-1 reason:remote IPI send (4)
             5.00%  pages:0 reason:remote wrong CPU (5)
        """
    )
    part = only(SharesPart, found)
    assert part.of_reason(4) == 35
    assert {(cell.pages, cell.targets, cell.count) for cell in found.cells()} == {
        (-1, None, 800),
        (1, None, 2000),
    }
    assert found.checks[0].holds
    assert str(found.releases) == "6.17 or later"


def test_profiles_that_follow_one_another_are_not_added_up(recorded: Read) -> None:
    found = recorded(
        """\
        18.00%  [kernel]   [k] smp_call_function_many_cond
         2.00%  db         [.] main
         7.00%  smp_call_function_many_cond
         1.50%  flush_tlb_func   (the handler)
        """
    )
    part = only(SharesPart, found)
    assert [dict(profile)["smp_call_function_many_cond"][0] for profile in part.profiles] == [18, 7]
    assert any("membarrier" in text for text in found.unknown)


def test_shares_of_events_are_no_time_and_call_graphs_below_them_are_not_read(recorded: Read) -> None:
    found = recorded(
        """\
        # Samples: 1K of event 'tlb:tlb_flush'
            48.86%    48.86%  sh  [kernel.kallsyms]  [k] flush_tlb_func
                    |
                    |--7.71%--ret_from_fork_asm
                    |          kthread
            30.00%     0.00%  sh  [kernel.kallsyms]  [k] flush_tlb_mm_range
            20.00%    10.00%  sh  [kernel.kallsyms]  [k] native_flush_tlb_multi
        """
    )
    part = only(SharesPart, found)
    assert (part.of_events, len(part.profiles), part.graph) == (True, 1, 3)
    assert found.files[0].others == 0
    assert any("perf script" in text for text in found.unknown)
