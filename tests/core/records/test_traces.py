"""Traces in each text format: what is a shootdown, of whom, of how many pages, to how many CPUs, and how long."""

# Lines of recordings are as long as tracers and kernels write them.
# ruff: noqa: E501

from __future__ import annotations

import pytest
from tests.core.records.parts import Read, only

from shootdown._records.events_part import EventsPart
from shootdown._records.recording import Recording

#: Each flush: CPU 2 flushes its own TLB, then sends, and CPUs 5 and 7 answer; as kernels before 5.13.
OLD = """\
          worker-411   [002]  1000.000100: tlb_flush:            pages:3 reason:local mm shootdown (3)
          worker-411   [002]  1000.000101: tlb_flush:            pages:3 reason:remote ipi send (4)
          worker-412   [005]  1000.000104: tlb_flush:            pages:3 reason:remote shootdown (1)
          <idle>-0     [007]  1000.000109: tlb_flush:            pages:3 reason:remote shootdown (1)
          worker-411   [002]  1000.250000: tlb_flush:            pages:-1 reason:local mm shootdown (3)
          worker-411   [002]  1000.250001: tlb_flush:            pages:-1 reason:remote ipi send (4)
          worker-412   [005]  1000.250005: tlb_flush:            pages:-1 reason:remote shootdown (1)
          worker-411   [002]  1000.500000: tlb_flush:            pages:1 reason:local mm shootdown (3)
"""

#: Since 5.13 it sends first; the reasons have capitals since the end of 2025.
NEW = """\
           web-900   [001] d..2. 77.000010: tlb_flush: pages:1 reason:remote IPI send (4)
           web-900   [001] d..3. 77.000012: tlb_flush: pages:1 reason:local MM shootdown (3)
           web-901   [003] d.h2. 77.000015: tlb_flush: pages:1 reason:remote shootdown (1)
           sh-7      [004] d.h2. 77.000019: tlb_flush: pages:0 reason:remote wrong CPU (5)
           web-900   [001] d..2. 77.400000: tlb_flush: pages:1 reason:local MM shootdown (3)
           web-900   [001] d..2. 77.600000: tlb_flush: pages:-1 reason:flush on task switch (0)
"""


def events(recording: Recording) -> EventsPart:
    return only(EventsPart, recording)


def cells(recording: Recording) -> dict[tuple[str, int | None, int | None], float]:
    return {(cell.path, cell.pages, cell.targets): cell.count for cell in recording.cells()}


def test_a_trace_of_an_old_kernel_has_whole_shootdowns_and_one_that_is_cut_off(recorded: Read) -> None:
    found = recorded(OLD)
    groups = events(found).groups
    assert cells(found) == {("", 3, 2): 1, ("", -1, 1): 1}
    assert (groups.whole, groups.unfinished, groups.alone, groups.headless) == (2, 1, 0, 0)
    assert (groups.first.least, groups.first.most) == (3000, 4000)
    assert (groups.last.least, groups.last.most) == (4000, 8000)
    assert groups.who == {"worker-411": 2}
    assert found.archs == ("x86",)
    assert str(found.releases) == "5.12 or earlier"


def test_a_trace_of_a_new_kernel_has_the_send_before_its_own_flush(recorded: Read) -> None:
    found = recorded(NEW)
    groups = events(found).groups
    assert cells(found) == {("", 1, 2): 1}
    assert (groups.whole, groups.alone, groups.send_first, groups.local_first) == (1, 1, 1, 0)
    assert str(found.releases) == "6.17 or later"


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("ftrace text", "  {task}-{pid}  [{cpu:03}] d..3.  {s}.{us:06}: tlb_flush: {payload}"),
        ("ftrace text", "  {task}-{pid}  ({pid:7}) [{cpu:03}] d..3  {s}.{us:06}: tlb_flush: {payload}"),
        ("ftrace text", "  {task}-{pid}  (-------) [{cpu:03}] ....  {s}.{us:06}: tlb_flush: {payload}"),
        ("ftrace text", "\t{task}-{pid}\t[{cpu:03}]\t{s}.{us:06}000:\ttlb_flush:\t{payload}"),
        ("ftrace latency format", "{task}-{pid}     {cpu}d..3.  {s}{us:06}us : tlb_flush: {payload}"),
        ("ftrace latency format", "{task}-{pid}     {cpu}dN.h3..  {s}{us:06}us!: tlb_flush: {payload}"),
        ("perf script", "{task}  {pid} [{cpu:03}]  {s}.{us:06}:     tlb:tlb_flush: {payload}"),
        ("perf script", "{task}  99/{pid} [{cpu:03}]  {s}.{us:06}:   1  tlb:tlb_flush: {payload}"),
    ],
)
@pytest.mark.parametrize("task", ["sh", "my task", "kworker/3:1-ev", "<...>", "a-b-12"])
def test_every_text_format_of_a_trace_says_the_same(recorded: Read, form: str, line: str, task: str) -> None:
    steps = (
        (1, 10, "pages:7 reason:remote ipi send (4)"),
        (1, 11, "pages:7 reason:local mm shootdown (3)"),
        (0, 12, "pages:7 reason:remote shootdown (1)"),
        (1, 900, "pages:0 reason:flush on task switch (0)"),
    )
    text = "".join(
        line.format(task=task, pid=31, cpu=cpu, s=500, us=us, payload=payload) + "\n"
        for cpu, us, payload in steps
    )
    found = recorded(text)
    assert events(found).form == form
    assert cells(found) == {("", 7, 1): 1}
    assert events(found).groups.who == {f"{task}-31": 1}
    assert events(found).groups.last.most == 2000
    assert found.files[0].understood == 4


def test_trace_cmds_plugin_writes_equals_signs_and_no_name_for_what_it_does_not_know(recorded: Read) -> None:
    found = recorded(
        """\
        cpus=4
          a-1 [000] 5.000001: tlb_flush:            pages=1 reason=local mm shootdown (3)
          a-1 [000] 5.000002: tlb_flush:            pages=1 reason= (4)
          a-2 [003] 5.000003: tlb_flush:            pages=1 reason=remote shootdown (1)
          a-1 [000] 5.100000: tlb_flush:            pages=0 reason=flush on task switch (0)
        """
    )
    assert cells(found) == {("", 1, 1): 1}
    assert found.cpus == 4
    assert all(check.holds for check in found.checks)


def test_a_reason_without_a_name_is_told_by_its_number(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 5.000002: tlb_flush: pages:1 reason:remote ipi send (4)
        a-2 [003] 5.000003: tlb_flush: pages:0 reason:0x5 (5)
        a-1 [000] 5.100000: tlb_flush: pages:0 reason:flush on task switch (0)
        a-1 [000] 5.200000: tlb_flush: pages:0 reason:0x5 (4)
        """
    )
    assert cells(found) == {("", 1, 1): 1}
    assert str(found.releases) == "6.13 to 6.18"
    assert found.files[0].damaged == 1


def test_answers_before_the_first_send_and_sends_at_the_end_are_not_counted(recorded: Read) -> None:
    found = recorded(
        """\
        a-2 [003] 5.000003: tlb_flush: pages:1 reason:remote shootdown (1)
        a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
        a-2 [003] 6.000003: tlb_flush: pages:1 reason:remote shootdown (1)
        """
    )
    groups = events(found).groups
    assert (groups.whole, groups.headless, groups.unfinished) == (0, 1, 1)
    assert any("before the trace, or lost" in text for text in found.unknown)


@pytest.mark.parametrize(
    ("line", "lost", "gaps"),
    [
        ("CPU:3 [LOST 12 EVENTS]", 12, 0),
        ("CPU:3 [LOST EVENTS]", 0, 1),
        ("CPU:3 [12 EVENTS DROPPED]", 12, 0),
        ("CPU 3 [LOST 12 EVENTS]", 12, 0),
        ("# entries-in-buffer/entries-written: 10/22   #P:8", 12, 0),
    ],
)
def test_what_is_under_way_when_events_are_lost_is_unfinished(
    recorded: Read, line: str, lost: int, gaps: int
) -> None:
    found = recorded(
        "a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)\n"
        f"{line}\n"
        "a-1 [000] 7.000001: tlb_flush: pages:1 reason:remote ipi send (4)\n"
        "a-2 [003] 7.000003: tlb_flush: pages:1 reason:remote shootdown (1)\n"
        "a-1 [000] 8.000001: tlb_flush: pages:1 reason:local mm shootdown (3)\n"
    )
    part = events(found)
    assert (part.lost, part.lost_unknown) == (lost, gaps)
    assert (part.groups.whole, part.groups.unfinished) == (1, 1)
    assert any("lower bounds" in text for text in found.unknown)


def test_a_sender_that_leaves_its_system_call_has_all_its_answers(recorded: Read) -> None:
    found = recorded(
        """\
        CPU 3 is empty
        cpus=8
          a-1 [000] 5.000001: tlb_flush: pages:7 reason:remote ipi send (4)
          b-2 [005] 5.000003: tlb_flush: pages:7 reason:remote shootdown (1)
          a-1 [000] 5.000009: sys_exit_munmap: 0x0
        CPU:0 [324 EVENTS DROPPED]
        """
    )
    assert cells(found) == {("", 7, 1): 1}
    assert (events(found).groups.unfinished, events(found).lost, found.files[0].others) == (0, 324, 0)


def test_two_shootdowns_at_once_are_told_apart_by_their_pages(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
        b-2 [001] 6.000002: tlb_flush: pages:9 reason:remote ipi send (4)
        c-3 [002] 6.000003: tlb_flush: pages:9 reason:remote shootdown (1)
        a-4 [003] 6.000004: tlb_flush: pages:1 reason:remote shootdown (1)
        c-3 [002] 6.000005: tlb_flush: pages:-1 reason:remote shootdown (1)
        a-1 [000] 7.000001: tlb_flush: pages:0 reason:flush on task switch (0)
        b-2 [001] 7.000002: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("", 1, 2): 1, ("", 9, 1): 1}


def test_an_answer_is_not_taken_for_one_to_a_sender_that_has_had_its_answers(recorded: Read) -> None:
    lines = []
    for turn in range(40):  # each CPU sends in turn, and only what another one sends tells that it goes on
        cpu, now = turn % 8, 6.0 + turn * 0.0005
        lines += [
            f"a-{cpu} [{cpu:03}] {now:.6f}: tlb_flush: pages:1 reason:remote ipi send (4)",
            f"b-{cpu} [{(cpu + 1) % 8:03}] {now + 0.000004:.6f}: tlb_flush: pages:1 reason:remote shootdown (1)",
            f"b-{cpu} [{(cpu + 2) % 8:03}] {now + 0.000005:.6f}: tlb_flush: pages:1 reason:remote shootdown (1)",
        ]
    assert cells(recorded("\n".join(lines) + "\n")) == {("", 1, 2): 32}


def test_of_two_that_send_at_once_the_process_that_was_interrupted_tells(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
        b-2 [001] 6.000002: tlb_flush: pages:1 reason:remote ipi send (4)
        b-3 [002] 6.000004: tlb_flush: pages:1 reason:remote shootdown (1)
        b-4 [003] 6.000005: tlb_flush: pages:1 reason:remote shootdown (1)
        a-5 [004] 6.000006: tlb_flush: pages:1 reason:remote shootdown (1)
        a-1 [000] 7.000001: tlb_flush: pages:0 reason:flush on task switch (0)
        b-2 [001] 7.000002: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("", 1, 1): 1, ("", 1, 2): 1}
    assert events(found).groups.ambiguous == 0


def test_answers_to_one_of_several_that_are_alike_are_said_to_be_so(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
        a-2 [001] 6.000002: tlb_flush: pages:1 reason:remote ipi send (4)
        a-3 [002] 6.000004: tlb_flush: pages:1 reason:remote shootdown (1)
        a-3 [002] 6.000005: tlb_flush: pages:1 reason:remote shootdown (1)
        a-1 [000] 7.000001: tlb_flush: pages:0 reason:flush on task switch (0)
        a-2 [001] 7.000002: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("", 1, 1): 2}
    assert events(found).groups.ambiguous == 1
    assert any("several that are alike waited" in text for text in found.unknown)


def test_a_sender_that_runs_its_own_handler_is_no_target(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 6.000000: tlb_flush: pages:2 reason:local mm shootdown (3)
        a-1 [000] 6.000001: tlb_flush: pages:2 reason:remote ipi send (4)
        a-1 [000] 6.000002: tlb_flush: pages:0 reason:remote shootdown (1)
        a-2 [001] 6.000003: tlb_flush: pages:2 reason:remote shootdown (1)
        a-1 [000] 6.900000: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("", 2, 1): 1}
    assert events(found).groups.own_handler == 1
    assert all(check.holds for check in found.checks)


def test_huge_pages_are_counted_as_base_pages_by_the_sender_alone(recorded: Read) -> None:
    found = recorded(
        """\
        a-1 [000] 6.000001: tlb_flush: pages:1024 reason:remote ipi send (4)
        a-2 [001] 6.000003: tlb_flush: pages:2 reason:remote shootdown (1)
        a-1 [000] 6.900000: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("", 1024, 1): 1}


STACK = """\
a-1 [000] d..3. 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
a-1 [000] d..3. 6.000001: <stack trace>
 => native_flush_tlb_multi+0x1a/0x90
 => flush_tlb_mm_range+0xb4/0x130
 => ptep_clear_flush+0x48/0x60
 => wp_page_copy.isra.0+0x2a3/0x6f0
 => handle_mm_fault+0x5b/0x200
a-2 [001] d.h2. 6.000003: tlb_flush: pages:1 reason:remote shootdown (1)
a-1 [000] d..3. 6.900000: tlb_flush: pages:0 reason:flush on task switch (0)
"""


def test_a_stack_says_what_a_flush_is_for(recorded: Read) -> None:
    found = recorded(STACK)
    assert cells(found) == {("COW", 1, 1): 1}
    assert str(found.releases) == "5.13 to 6.18"


def test_perf_script_has_stacks_below_its_events(recorded: Read) -> None:
    found = recorded(
        """\
        db 31 [001] 500.000010: tlb:tlb_flush: pages:7 reason:remote IPI send (4)
        \tffffffff8108f2a1 native_flush_tlb_multi+0x81 ([kernel.kallsyms])
        \tffffffff8108fe30 flush_tlb_mm_range+0x1f0 ([kernel.kallsyms])
        \tffffffff812d3c9a tlb_finish_mmu+0x3a ([kernel.kallsyms])
        \tffffffff812dd111 vms_clear_ptes+0x101 ([kernel.kallsyms])
        \tffffffff812de0aa __x64_sys_munmap+0x1a ([kernel.kallsyms])
        \t    7f3bd41207c7 __munmap+0x7 (/usr/lib/libc.so.6)

        db 32 [002] 500.000013: tlb:tlb_flush: pages:7 reason:remote shootdown (1)
        \tffffffff8108e000 flush_tlb_func+0x1 ([kernel.kallsyms])

        db 31 [001] 500.900010: tlb:tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {("munmap", 7, 1): 1}
    assert str(found.releases) == "6.17 or later"
    assert any("takes samples" in text for text in found.unknown)


@pytest.mark.parametrize(
    ("enter", "exit_", "path"),
    [
        ("sys_enter_munmap: addr: 0x7f0000000000, len: 0x1000", "sys_exit_munmap: 0x0", "munmap"),
        ("sys_madvise(start: 7f00, len_in: 1000, behavior: 4)", "sys_madvise -> 0x0", "madvise"),
        ("sys_enter: NR 440 (3, 7f00, 1, 4, 0, 0)", "sys_exit: NR 440 = 0", "madvise"),
    ],
)
def test_system_calls_in_the_trace_say_where_a_flush_comes_from(
    recorded: Read, enter: str, exit_: str, path: str
) -> None:
    found = recorded(
        f"""\
        a-1 [000] 6.000000: {enter}
        a-1 [000] 6.000001: tlb_flush: pages:1 reason:remote ipi send (4)
        a-2 [001] 6.000003: tlb_flush: pages:1 reason:remote shootdown (1)
        a-1 [000] 6.000009: {exit_}
        a-1 [000] 6.500001: tlb_flush: pages:1 reason:remote ipi send (4)
        a-2 [001] 6.500003: tlb_flush: pages:1 reason:remote shootdown (1)
        a-1 [000] 6.900000: tlb_flush: pages:0 reason:flush on task switch (0)
        """
    )
    assert cells(found) == {(path, 1, 1): 1, ("", 1, 1): 1}


def test_the_number_of_a_system_call_is_the_architectures(recorded: Read) -> None:
    text = """\
        a-1 [000] 6.000000: sys_enter: NR 215 (7f00, 1000, 0, 0, 0, 0)
        a-1 [000] 6.000009: sys_exit: NR 215 = 0
        """
    assert events(recorded(text, arch="arm64")).system_calls == {"munmap": 1}
    assert events(recorded(text)).system_calls == {"NR 215": 1}


def test_a_damaged_event_is_counted_and_shown_and_what_was_before_is_kept(recorded: Read) -> None:
    found = recorded(
        OLD + "          worker-411   [002]  1000.500001: tlb_flush:   pages:1 reason:remote ipi\n"
    )
    (file,) = found.files
    assert (file.damaged, file.others, events(found).groups.whole) == (1, 0, 2)
    assert file.first is not None
    assert file.first[0] == 9


def test_a_clock_that_goes_back_begins_another_trace(recorded: Read) -> None:
    found = recorded(OLD, OLD)
    assert events(found).jumps == 1
    assert cells(found) == {("", 3, 2): 2, ("", -1, 1): 2}


def test_events_without_a_cpu_are_counted_and_not_put_together(recorded: Read) -> None:
    found = recorded(
        """\
        app 1234 5521.000100: tlb:tlb_flush: pages:2 reason:remote ipi send (4)
        app 1235 5521.000110: tlb:tlb_flush: pages:2 reason:remote shootdown (1)
        """
    )
    assert cells(found) == {("", 2, None): 1}
    assert any("no CPU column" in text for text in found.unknown)


SENT = {
    "cpu, time": ("[003] {}: tlb:tlb_flush: ", "[001] {}: tlb:tlb_flush: "),
    "comm, cpu, time": ("my task [003] {}: tlb:tlb_flush: ", "<...> [001] {}: tlb:tlb_flush: "),
    "comm, pid, time, period": (
        "my task 12/34 [003] {}: 1 tlb:tlb_flush: ",
        "x 5 [001] {}: 1 tlb:tlb_flush: ",
    ),
    "trace-cmd report -l, old": (
        " my task-34      3d..2.   {}: tlb_flush:     ",
        "       x-5       1d.h2.  {}: tlb_flush:    ",
    ),
    "trace-cmd report -l": (
        " my task-34      3   {}: tlb_flush:     ",
        "       x-5       1   {}: tlb_flush:    ",
    ),
}


@pytest.mark.parametrize(("sender", "target"), SENT.values(), ids=SENT)
def test_fields_may_be_left_out_of_a_trace(recorded: Read, sender: str, target: str) -> None:
    found = recorded(
        f"{sender.format('7.000001')}pages:1 reason:remote IPI send (4)\n"
        f"{target.format('7.000003')}pages:1 reason:remote shootdown (1)\n"
        f"{sender.format('7.000004')}pages:1 reason:local MM shootdown (3)\n"
        f"{sender.format('7.000900')}pages:1 reason:local MM shootdown (3)\n"
    )
    part = events(found)
    assert (part.groups.whole, part.groups.most_targets, part.groups.last.most) == (1, 1, 2000)
    assert found.files[0].understood == 4


def test_events_without_a_time_are_counted_and_not_put_together(recorded: Read) -> None:
    found = recorded(
        "tlb:tlb_flush: pages:1 reason:remote IPI send (4)\nx 5 [001] tlb:tlb_flush: pages:1 reason:remote shootdown (1)\n"
    )
    part = events(found)
    assert (part.of_reason(4), part.of_reason(1), part.groups.whole, part.groups.headless) == (1, 1, 0, 0)
    assert any("or no time" in text for text in found.unknown)
