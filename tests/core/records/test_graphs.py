"""The function_graph tracer: how long functions took, which called them, and what belongs to no call."""

from __future__ import annotations

import pytest
from tests.core.records.parts import Read, only

from shootdown._records.graphs_part import SENT, GraphsPart
from shootdown._records.recording import Recording
from shootdown._report.recorded_graphs import graphs

#: As ftrace writes it: the beginning is cut off, another task runs in between, a timer interrupts the sender.
TEXT = """\
# tracer: function_graph
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
  3)   4.500 us    |        } /* tlb_flush_mmu */
  3) + 14.250 us   |      }
  3)               |  __x64_sys_munmap() {
  3)   0.400 us    |    down_write_killable();
  3)               |    do_vmi_align_munmap() {
  3)               |      tlb_finish_mmu() {
  3)               |        flush_tlb_mm_range() {
  3)               |          /* tlb_flush: pages:7 reason:remote ipi send (4) */
 ------------------------------------------
  3)  worker-812    =>  kworker-90
 ------------------------------------------

  3) # 1200.125 us |  flush_tlb_kernel_range();
 ------------------------------------------
  3)  kworker-90    =>  worker-812
 ------------------------------------------

  3)   ==========> |
  3)   0.900 us    |            flush_tlb_func(); /* = 0x0 */
  3)   <========== |
  3) ! 108.500 us  |        }
  3) ! 109.000 us  |      }
  3) ! 112.000 us  |    }
  3) ! 113.000 us  |  }
"""

#: As trace-cmd report writes it, with events among the functions.
REPORT = """\
cpus=8
   my task-411   [002]  5205.000100: funcgraph_entry:                   |  zap_page_range_single() {
   my task-411   [002]  5205.000100: funcgraph_entry:                   |    tlb_finish_mmu() {
   my task-411   [002]  5205.000102: tlb_flush:            pages:7 reason:remote ipi send (4)
   my task-412   [005]  5205.000104: tlb_flush:            pages:7 reason:remote shootdown (1)
   my task-412   [005]  5205.000105: funcgraph_entry:        0.250 us   |  flush_tlb_func();
   my task-411   [002]  5205.000106: tlb_flush:            pages:7 reason:local mm shootdown (3)
   my task-411   [002]  5205.000112: funcgraph_exit:       + 12.000 us  |    }
   my task-411   [002]  5205.000112: funcgraph_exit:       + 12.500 us  |  }
"""


def graph(recording: Recording) -> GraphsPart:
    return only(GraphsPart, recording)


def durations(recording: Recording) -> dict[tuple[str, str, str], list[int]]:
    return {key: [times.count, times.least, times.most] for key, times in graph(recording).times.items()}


def test_a_duration_belongs_to_a_function_its_caller_and_the_kernel_path(recorded: Read) -> None:
    found = recorded(TEXT)
    assert durations(found) == {
        ("tlb_flush_mmu", "", ""): [1, 4500, 4500],
        ("flush_tlb_kernel_range", "", "kernel range"): [1, 1_200_125, 1_200_125],
        ("flush_tlb_func", "", ""): [1, 900, 900],
        ("flush_tlb_mm_range", "tlb_finish_mmu", "munmap"): [1, 108_500, 108_500],
        ("tlb_finish_mmu", "do_vmi_align_munmap", "munmap"): [1, 109_000, 109_000],
    }
    assert (graph(found).headless, graph(found).unfinished) == (1, 0)
    assert {(cell.path, cell.pages, cell.targets): cell.count for cell in found.cells()} == {
        ("munmap", 7, None): 1
    }
    assert found.archs == ("x86",)
    assert found.releases.first == "6.3"
    assert found.files[0].understood == found.files[0].lines


@pytest.mark.parametrize(
    "line",
    [
        "  100.000001 |   3)   {}",
        "          12 us |   3)   {}",
        "  3)    worker-812   | {}",
        "  3)    worker-812   |  d..2. |  {}",
        "  100.000001 |   3)   <idle>-0     |  d..2. | {}",
    ],
)
def test_columns_may_be_added(recorded: Read, line: str) -> None:
    lines = (
        "              |  unmap_region() {",
        "+ 10.500 us   |    tlb_finish_mmu();",
        "+ 11.000 us   |  }",
    )
    found = recorded("".join(line.format(one) + "\n" for one in lines))
    assert durations(found) == {("tlb_finish_mmu", "unmap_region", "munmap"): [1, 10_500, 10_500]}


def test_functions_of_a_report_say_where_a_shootdown_comes_from_and_when_it_is_over(recorded: Read) -> None:
    found = recorded(REPORT)
    assert durations(found) == {
        ("flush_tlb_func", "", ""): [1, 250, 250],
        ("tlb_finish_mmu", "zap_page_range_single", "madvise"): [1, 12_000, 12_000],
    }
    assert {(cell.path, cell.pages, cell.targets): cell.count for cell in found.cells()} == {
        ("madvise", 7, 1): 1
    }
    assert not any(text.startswith(SENT) for text in found.unknown)
    assert found.cpus == 8


def test_a_mail_that_squeezed_the_blanks_has_the_braces_still(recorded: Read) -> None:
    squeezed = "".join(" ".join(line.split()) + "\n" for line in REPORT.splitlines() if "funcgraph" in line)
    assert durations(recorded(squeezed)) == durations(recorded(REPORT))


def test_a_function_without_a_known_caller_or_event_leaves_that_unknown(recorded: Read) -> None:
    found = recorded("  0) + 10.500 us   |  tlb_finish_mmu();\n" * 3)
    assert durations(found) == {("tlb_finish_mmu", "", ""): [3, 10_500, 10_500]}
    assert found.cells() == ()
    assert any(text.startswith(SENT) for text in found.unknown)
    assert any(text.startswith("from which kernel path calls come") for text in found.unknown)


@pytest.mark.parametrize(
    "gap",
    ["CPU:3 [LOST 17 EVENTS]\n", "  3)               |  tlb_finish_mmu() {\n", ""],
    ids=["lost", "again", "end"],
)
def test_a_call_whose_end_is_missing_has_no_duration(recorded: Read, gap: str) -> None:
    begun = "  3)               |  unmap_region() {\n  3)               |    tlb_finish_mmu() {\n"
    found = recorded(begun + gap + ("  3) + 11.000 us   |  }\n" if gap else ""))
    count = sum(times.count for times in graph(found).times.values())
    assert count == gap.startswith("  3)")  # what began anew is whole
    assert graph(found).unfinished == 2
    assert graph(found).lost == (17 if "LOST" in gap else 0)


def test_an_end_in_an_interrupt_is_not_the_interrupts(recorded: Read) -> None:
    found = recorded(
        "  0)   ==========> |\n" * 200 + "  0) + 11.000 us   |  }\n  0) + 10.500 us   |  tlb_finish_mmu();\n"
    )
    assert graph(found).functions == {"tlb_finish_mmu": 1}
    assert (graph(found).headless, graph(found).unfinished) == (1, 0)


def test_a_handler_is_not_of_the_path_that_it_interrupts(recorded: Read) -> None:
    found = recorded(
        """\
          0)               |  do_madvise() {
          0)               |    __flush_smp_call_function_queue() {
          0)   0.300 us    |      flush_tlb_func();
          0)   0.800 us    |    }
          0)   3.000 us    |  }
        """
    )
    assert durations(found) == {
        ("flush_tlb_func", "__flush_smp_call_function_queue", "answer"): [1, 300, 300],
        ("__flush_smp_call_function_queue", "", "answer"): [1, 800, 800],
    }


@pytest.mark.parametrize("damaged", ["tlb_finish_", "}{", "/* tlb_flush: pages:? reason:none */"])
def test_a_damaged_line_is_counted_and_the_others_are_kept(recorded: Read, damaged: str) -> None:
    whole = "  0) + 10.500 us   |  tlb_finish_mmu();\n"
    found = recorded(f"{whole}  0) + 10.500 us   |  {damaged}\n{whole}")
    assert durations(found) == {("tlb_finish_mmu", "", ""): [2, 10_500, 10_500]}
    assert (found.files[0].damaged, found.files[0].first) == (1, (2, f"0) + 10.500 us   |  {damaged}"))


def test_a_trace_of_other_functions_says_so(recorded: Read) -> None:
    other = graph(recorded("  0)   0.500 us    |  vfs_read();\n"))
    assert "No function that sends, waits or flushes is among them: vfs_read 1." in "\n".join(
        graphs(other, 80)
    )
    assert max(map(len, graphs(graph(recorded(TEXT)), 80))) <= 80
