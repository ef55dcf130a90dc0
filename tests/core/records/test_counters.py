"""Counters: snapshots of /proc/interrupts and /proc/vmstat, and their cross-checks."""

# Lines of recordings are as long as tracers and kernels write them.

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Iterator

import pytest
from tests.core.records.parts import Read, only

from shootdown._records.interrupts import InterruptsPart
from shootdown._records.recording import Recording
from shootdown._records.vmstat import VmstatPart
from shootdown._report.recorded import lines
from shootdown._values.errors import ShootdownError

FIRST = """\
           CPU0       CPU1       CPU2
  9:          1          0          0   IO-APIC    9-fasteoi   acpi
RES:        100        200        300   Rescheduling interrupts
CAL:       1000       1100       1200   Function call interrupts
TLB:         10         20         30   TLB shootdowns
ERR:          0
MIS:          0
"""
SECOND = """\
           CPU0       CPU1       CPU2
  9:          1          0          0   IO-APIC    9-fasteoi   acpi
RES:        101        200        300   Rescheduling interrupts
CAL:       1015       1100       1207   Function call interrupts
TLB:         15         20         37   TLB shootdowns
ERR:          0
MIS:          0
"""
VMSTAT = (
    "nr_free_pages 100\nnr_tlb_remote_flush {}\nnr_tlb_remote_flush_received {}\nnr_tlb_local_flush_one 5\n"
)


def rows(found: Recording) -> InterruptsPart:
    return only(InterruptsPart, found)


def test_two_snapshots_are_a_difference_and_one_is_since_boot(recorded: Read) -> None:
    both = rows(recorded(FIRST, SECOND)).row("shootdown")
    assert both is not None
    assert (both.delta, both.total, tuple(both.sums)) == ({0: 5, 1: 0, 2: 7}, 12, (60, 72))
    one = recorded(FIRST)
    alone = rows(one).row("shootdown")
    assert alone is not None
    assert (alone.delta, alone.total) == (None, 60)
    assert any("since boot" in text for text in one.unknown)


@pytest.mark.parametrize("form", [difflib.unified_diff, difflib.ndiff], ids=["unified", "plain"])
def test_what_diff_says_of_two_snapshots_is_their_difference(
    recorded: Read, form: Callable[[list[str], list[str]], Iterator[str]]
) -> None:
    first, second = (textwrap.dedent(text).splitlines(keepends=True) for text in (FIRST, SECOND))
    lines = form(first, second)
    if form is difflib.ndiff:  # diff writes < and > where it writes - and +
        lines = (line.replace("- ", "< ", 1).replace("+ ", "> ", 1) for line in lines if line[0] in "-+")
    row = rows(recorded("".join(lines))).row("shootdown")
    assert row is not None
    assert (row.delta, tuple(row.sums)) == ({0: 5, 1: 0, 2: 7}, (60, 72))


def test_a_snapshot_without_a_row_has_no_difference_and_says_so(recorded: Read) -> None:
    found = recorded(FIRST, "".join(SECOND.splitlines(keepends=True)[:3]))
    assert "how many in between of CAL, TLB: the first or the last snapshot has no such row" in found.unknown
    (calls, middle) = (rows(one).row("call") for one in (found, recorded(FIRST, "CPU0\n 9: 1 x\n", SECOND)))
    assert calls is not None
    assert middle is not None
    assert (calls.at_both_ends, middle.at_both_ends) == (False, True)
    assert not any("in between of" in text for text in recorded(FIRST, SECOND).unknown)


def test_an_architecture_that_the_files_contradict_is_told(recorded: Read) -> None:
    (check,) = (one for one in recorded(FIRST, arch="arm64").checks if one.what == "the files are from arm64")
    assert (check.holds, check.text) == (False, "they tell x86")
    assert not any(one.what.startswith("the files") for one in recorded(FIRST, arch="x86").checks)
    assert not any(one.what.startswith("the files") for one in recorded(FIRST).checks)


def test_two_snapshots_may_be_in_one_file_with_or_without_the_second_header(recorded: Read) -> None:
    for text in (FIRST + SECOND, FIRST + "".join(SECOND.splitlines(keepends=True)[1:])):
        found = rows(recorded(text)).row("shootdown")
        assert found is not None
        assert found.total == 12


@pytest.mark.parametrize(
    "row",
    [
        "TLB: 10 20\n     30   TLB shootdowns\n",
        "TLB:\t10\t20\t30\tTLB shootdowns\n",
        "> TLB: 10 20 30   TLB shootdowns\n",
        "TLB: 10 20 30\n   TLB shootdowns\n",
        "TLB: 10\n20\n30 TLB shootdowns\n",
        "TLB:         10         20         30\n",
    ],
)
def test_a_row_that_a_mailer_wrapped_tabbed_or_quoted_is_whole(recorded: Read, row: str) -> None:
    found = rows(recorded("           CPU0       CPU1       CPU2\n" + row)).row("shootdown")
    assert found is not None
    assert list(found.last.values()) == [10, 20, 30]


def test_a_header_that_a_mailer_wrapped_with_its_rows_is_one_header(recorded: Read) -> None:
    found = recorded(
        """\
                   CPU0       CPU1       CPU2
               CPU3       CPU4
          9:          1          0          0
                  0          4   IO-APIC    9-fasteoi   acpi
        CAL:       1000       1100       1200
               1300       1400   Function call interrupts
        TLB:         10         20         30
                 40         50   TLB shootdowns
        """
    )
    row = rows(found).row("shootdown")
    assert row is not None
    assert (rows(found).cpus, rows(found).snapshots) == (5, 1)
    assert list(row.last.values()) == [10, 20, 30, 40, 50]
    assert found.files[0].others == 0


def test_a_row_of_eight_thousand_cpus_is_whole(recorded: Read) -> None:
    head = "     " + "".join(f"{f'CPU{cpu}':>11}" for cpu in range(8192)) + "\n"
    found = rows(recorded(head + "TLB: " + f"{3:>11}" * 8192 + "   TLB shootdowns\n")).row("shootdown")
    assert found is not None
    assert found.total == 3 * 8192


def test_a_row_with_too_few_or_too_many_columns_is_damaged_and_not_summed(recorded: Read) -> None:
    for row in ("TLB: 10 20 TLB shootdowns\n", "TLB: 10 20 30 40 TLB shootdowns\n"):
        found = recorded("  CPU0  CPU1  CPU2\nCAL: 1 2 3 Function call interrupts\n" + row)
        assert rows(found).row("shootdown") is None
        assert found.files[0].damaged == 1
        assert found.files[0].first is not None


@pytest.mark.parametrize("after", ["RES: 1 2 3 Rescheduling interrupts\n", "ERR:          0\n", "\n", ""])
def test_a_row_that_is_cut_off_is_the_damaged_line_whatever_follows(recorded: Read, after: str) -> None:
    found = recorded("  CPU0  CPU1  CPU2\nCAL: 1 2 3 Function call interrupts\nTLB: 10 20\n" + after)
    (file,) = found.files
    assert (file.damaged, file.others, file.first) == (1, 0, (3, "TLB: 10 20"))
    assert file.understood + 1 == file.lines
    assert any("the row that counts shootdowns, TLB, is damaged" in text for text in found.unknown)


def test_a_row_that_is_damaged_in_one_snapshot_keeps_its_words_and_has_no_difference(recorded: Read) -> None:
    found = recorded(FIRST, SECOND.replace("20         37", "2x"))
    row = rows(found).row("shootdown")
    assert row is not None
    assert (row.words, row.delta) == ("TLB shootdowns", None)
    assert "how many in between of TLB: the first or the last snapshot has it damaged" in found.unknown


def test_a_counter_that_goes_down_is_another_boot_and_no_difference(recorded: Read) -> None:
    found = recorded(SECOND, FIRST)
    row = rows(found).row("shootdown")
    assert row is not None
    assert (row.delta, row.went_back) == (None, 2)
    assert any("a boot lies between" in text for text in found.unknown)


def test_a_counter_that_passes_two_to_the_32_begins_at_zero(recorded: Read) -> None:
    head = " CPU0 CPU1\n"
    found = rows(
        recorded(
            head + f"TLB: {2**32 - 10} 5 TLB shootdowns\n",
            head + "TLB: 20 6 TLB shootdowns\n",
        )
    ).row("shootdown")
    assert found is not None
    assert (found.delta, found.wrapped) == ({0: 30, 1: 1}, 1)


def test_a_cpu_that_is_in_one_snapshot_alone_is_left_out(recorded: Read) -> None:
    found = rows(
        recorded(" CPU0 CPU1\nTLB: 1 2 TLB shootdowns\n", " CPU0 CPU3\nTLB: 4 9 TLB shootdowns\n")
    ).row("shootdown")
    assert found is not None
    assert (found.delta, found.cpus_apart) == ({0: 3}, 2)


@pytest.mark.parametrize(
    ("arch", "device"),
    [
        ("arm64", " 11:  5  6  GICv3  27 Level     arch_timer\n"),
        ("riscv", " 10:  5  6  RISC-V INTC   5 Edge      riscv-timer\n"),
    ],
)
def test_ipi_rows_are_told_by_their_words(recorded: Read, arch: str, device: str) -> None:
    found = recorded(
        "  CPU0  CPU1\n"
        + device
        + "IPI0:  3  4  Rescheduling interrupts\nIPI1:  7  8  Function call interrupts\n"
        "IPI5:  1  1  IRQ work interrupts\n"
    )
    assert found.archs == (arch,)
    assert rows(found).row("shootdown") is None
    calls = rows(found).row("call")
    assert calls is not None
    assert (calls.name, calls.total) == ("IPI1", 15)
    assert any("no row counts shootdowns alone" in text for text in found.unknown)


def test_the_tlb_row_is_checked_against_vmstat(recorded: Read) -> None:
    found = recorded(FIRST, VMSTAT.format(1, 100), SECOND, VMSTAT.format(7, 112))
    (part,) = (part for part in found.parts if isinstance(part, VmstatPart))
    assert part.values["nr_tlb_remote_flush"] == 6
    assert part.targets == 2
    assert [check.holds for check in found.checks] == [True, True, True]
    assert {(cell.targets, cell.count) for cell in found.cells()} == {(2, 6)}
    wrong = recorded(FIRST, VMSTAT.format(1, 100), SECOND, VMSTAT.format(2, 9100))
    assert [check.holds for check in wrong.checks] == [True, False, False]


def test_vmstat_without_flush_counters_says_which_option_it_lacks(recorded: Read) -> None:
    found = recorded("nr_free_pages 5\npgfault 7\n")
    assert any("CONFIG_DEBUG_TLBFLUSH" in text for text in found.unknown)


def test_a_mean_of_targets_is_kept_in_whole_shootdowns(recorded: Read) -> None:
    found = recorded(VMSTAT.format(0, 0), VMSTAT.format(4, 10))
    assert {(cell.targets, cell.count) for cell in found.cells()} == {(2, 2), (3, 2)}


def test_a_row_since_boot_beside_events_of_a_run_is_said_to_be_one(recorded: Read) -> None:
    found = recorded(FIRST + " Performance counter stats for 'a':\n\n  50  tlb:tlb_flush\n")
    (check,) = (check for check in found.checks if "tlb_flush events" in check.what)
    assert check.holds is None
    assert "since boot" in check.text


def test_a_kernel_log_in_which_nobody_waited_says_so(recorded: Read) -> None:
    with pytest.raises(ShootdownError, match="a kernel log without a report of a CSD lock"):
        recorded("[    1.000000] usb 1-1: new device\n[    2.000000] sd 0:0:0:0: attached\n")


def test_a_file_of_something_else_is_refused_with_its_first_line(recorded: Read) -> None:
    with pytest.raises(
        ShootdownError, match="nothing in it is of a form that is known; its first line is 'Dear all,'"
    ):
        recorded("Dear all,\nthe machine is slow.\n")
    with pytest.raises(ShootdownError, match="it is empty"):
        recorded("")
    with pytest.raises(ShootdownError) as refused:
        recorded("\ufffd" * 60)
    assert str(refused.value).partition("its first line is ")[2] == "'" + r"\ufffd" * 11 + r"\u..."


POWERPC = """\
           CPU0       CPU8
 {ipi}
LOC:     101010     101011   Local timer interrupts for timer event device
BCT:          0          0   Broadcast timer interrupts for timer event device
LOC:         10         11   Local timer interrupts for others
SPU:          0          0   Spurious interrupts
DBL:       3100       3200   Doorbell interrupts
"""


@pytest.mark.parametrize(
    "ipi",
    [
        "16:       1800       1700  XIVE-IPI   0 Edge      IPI-0",
        "16:       1800       1700  XICS   2 Edge      IPI",
    ],
)
def test_powerpc_has_two_rows_of_one_name_and_its_ipis_among_devices(recorded: Read, ipi: str) -> None:
    """arch/powerpc/kernel/irq.c:arch_show_interrupts() prints LOC twice."""
    found = recorded(POWERPC.format(ipi=ipi))
    part = rows(found)
    assert (part.snapshots, [(row.name, row.total) for row in part.rows]) == (
        1,
        [("16", 3500), ("DBL", 6300)],
    )
    assert found.archs == ("powerpc",)
    assert not any("how long the snapshots are apart" in text for text in found.unknown)
    both = POWERPC.format(ipi=ipi) + POWERPC.format(ipi=ipi).partition("\n")[2].replace("3200", "3207")
    again = rows(recorded(both))
    assert (again.snapshots, [(row.name, row.total) for row in again.rows]) == (2, [("16", 0), ("DBL", 7)])


def test_the_words_of_a_row_may_stand_behind_its_chip(recorded: Read) -> None:
    """arch/loongarch/kernel/smp.c:show_ipi_list()."""
    found = recorded(
        "           CPU0       CPU1\nIPI0:        11         12 LoongArch  1  Rescheduling interrupts\n"
        "IPI1:      2011       2012 LoongArch  2  Function call interrupts\n"
    )
    assert [(row.kind, row.total) for row in rows(found).rows] == [("reschedule", 23), ("call", 4023)]


def test_a_file_without_any_row_that_matters_says_so(recorded: Read) -> None:
    """s390 has a row I/O, whose name is no word."""
    found = recorded("           CPU0       CPU1\nEXT:       3000       2900\nI/O:        200        210\n")
    assert found.files[0].understood == 3
    text = "\n".join(lines(found, 80))
    assert "no row is known to tell of flushes or calls" in " ".join(text.split())
    assert "sum" not in text
