"""What the assembler writes: steps, labels, branches, and what a reader wants to know of each."""

from __future__ import annotations

import pytest

from shootdown._compilation import announcing
from shootdown._machine import ops as o
from shootdown._machine import writer
from shootdown._machine.assembler import Assembler
from shootdown._machine.code import Code
from shootdown._machine.label import Label
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import COST_NAMES


def steps(code: Code) -> list[tuple[int, ...]]:
    """List the steps of a program."""
    return [tuple(row) for row in code.steps.reshape(-1, 5).tolist()]


def test_a_step_is_an_operation_and_four_operands() -> None:
    asm = Assembler()
    asm.set(3, 7)
    asm.halt()
    assert steps(asm.finish()) == [(o.SET, 3, 7, 0, 0), (o.HALT, 0, 0, 0, 0)]


def test_a_label_may_be_used_before_and_after_it_is_placed() -> None:
    asm = Assembler()
    ahead, back = Label(), Label()
    asm.place(back)
    asm.jump(ahead)
    asm.jump(back)
    asm.place(ahead)
    asm.halt()
    assert [row[1] for row in steps(asm.finish())[:2]] == [2, 0]


def test_a_label_that_was_never_placed_is_refused() -> None:
    asm = Assembler()
    asm.jump(Label())
    with pytest.raises(ShootdownError, match=r"test_assembler\.py, line \d+: .*never placed"):
        asm.finish()


def test_more_steps_than_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_STEPS", 5000)
    asm = Assembler()
    with pytest.raises(ShootdownError, match="more than 5,000 steps"):
        [asm.halt() for _ in range(9000)]  # type: ignore[func-returns-value]
    with pytest.raises(ShootdownError, match="more than 5,000 steps"):
        asm.expect(5001)


def test_who_watches_is_told_while_many_steps_are_written() -> None:
    told: list[int] = []
    asm = Assembler()
    announcing.watch(lambda: told.append(asm.here))
    try:
        for _ in range(5000):
            asm.halt()
    finally:
        announcing.watch(lambda: None)
    assert len(told) > 3


def test_a_branch_without_a_second_arm_jumps_behind_itself() -> None:
    asm = Assembler()
    with asm.if_nonzero(o.SCRATCH):
        asm.set(0, 1)
    asm.halt()
    assert steps(asm.finish())[0] == (o.JUMP_ZERO, o.SCRATCH, 2, 0, 0)


def test_a_branch_with_two_arms_jumps_to_the_second_and_the_first_jumps_over_it() -> None:
    asm = Assembler()
    with asm.if_targets() as branch:
        asm.set(0, 1)
        branch.otherwise()
        asm.set(0, 2)
    asm.halt()
    assert steps(asm.finish()) == [
        (o.JUMP_NO_TARGET, 3, 0, 0, 0),
        (o.SET, 0, 1, 0, 0),
        (o.JUMP, 4, 0, 0, 0),
        (o.SET, 0, 2, 0, 0),
        (o.HALT, 0, 0, 0, 0),
    ]


def test_a_loop_counts_its_register_from_zero_and_goes_back_to_its_first_step() -> None:
    asm = Assembler()
    with asm.loop(5, o.SCRATCH2):
        asm.work("zap_ns")
    assert steps(asm.finish())[0] == (o.SET, o.SCRATCH2, 0, 0, 0)
    assert steps(asm.finish())[2] == (o.NEXT, o.SCRATCH2, 5, 1, 0)


def test_lists_lie_one_behind_another() -> None:
    asm = Assembler()
    assert (asm.add_list([4, 5]), asm.add_list([6])) == (0, 2)
    assert asm.finish().lists.tolist() == [4, 5, 6]


def test_a_step_knows_the_kernel_functions_that_it_stands_in() -> None:
    asm = Assembler()
    with asm.function("zap_page_range", "mm/memory.c"):
        with asm.function("tlb_finish_mmu", "mm/mmu_gather.c"):
            asm.halt()
        with asm.function("free_pgtables"):
            asm.halt()
        asm.halt()
    inner, beside, outer = asm.finish().notes
    assert (inner.function, inner.where) == ("tlb_finish_mmu", "mm/mmu_gather.c")
    assert inner.path == ("zap_page_range", "tlb_finish_mmu")
    assert (beside.function, beside.where) == ("free_pgtables", "mm/memory.c")
    assert (outer.path, outer.where) == (("zap_page_range",), "mm/memory.c")


def test_a_step_has_the_innermost_cause_and_knows_those_around_it() -> None:
    asm = Assembler()
    with asm.because("exit"):
        with asm.because("TLB flush"):
            asm.halt()
        asm.halt()
    asm.halt()
    code = asm.finish()
    assert [code.causes[number] for number in code.cause] == ["TLB flush", "exit", "none"]
    assert code.notes[0].reasons == ("exit", "TLB flush")
    assert [note.cause for note in code.notes] == ["TLB flush", "exit", "none"]


def test_steps_that_keep_the_models_own_books_are_marked() -> None:
    asm = Assembler()
    with asm.aside():
        asm.halt()
    asm.halt()
    assert [note.aside for note in asm.finish().notes] == [True, False]


def test_a_cost_is_named_as_platforms_name_it_and_most_steps_have_none() -> None:
    asm = Assembler()
    asm.work("zap_ns", 3, text="clear three entries")
    asm.halt()
    code = asm.finish()
    assert [COST_NAMES[number] if number >= 0 else None for number in code.cost] == ["zap_ns", None]
    assert steps(code)[0] == (o.WORK, 0, 3, 0, 0)
    assert code.notes[0].text == "clear three entries"


def test_an_instruction_has_one_number_however_often_it_is_executed() -> None:
    asm = Assembler()
    asm.execute("tlbi_vae1is", per=o.PER_STRIDE, broadcasts=True, cost="broadcast_ns")
    asm.execute("dsb_ish")
    asm.execute("tlbi_vae1is", 2)
    code = asm.finish()
    assert code.instructions == ("tlbi_vae1is", "dsb_ish")
    assert steps(code) == [
        (o.EXECUTE, 0, 1, o.PER_STRIDE | o.BROADCASTS, COST_NAMES.index("broadcast_ns")),
        (o.EXECUTE, 1, 1, o.PER_REQUEST, -1),
        (o.EXECUTE, 0, 2, o.PER_REQUEST, -1),
    ]


# --- what a lowering writes


def test_a_flush_begins_with_its_ceilings_and_how_it_counts() -> None:
    asm = Assembler()
    asm.begin_flush(1, ceiling=33)
    asm.begin_flush(
        0, ceiling=64, pages=512, rounded=True, in_pages=True, tracked=False, stride=o.BASE_STRIDES
    )
    asm.begin_flush(2, ceiling=64, everything=True)
    how = o.ROUNDED | o.IN_PAGES | o.UNTRACKED | o.BASE_STRIDES
    assert steps(asm.finish()) == [
        (o.FLUSH_BEGIN, 1, 33, 0, 0),
        (o.FLUSH_BEGIN, 0, 64, 512, how),
        (o.FLUSH_BEGIN, 2, 64, 0, o.EVERYTHING),
    ]


def test_a_completion_waits_and_is_counted() -> None:
    asm = Assembler()
    asm.complete("TLBSYNC")
    assert [row[:2] for row in steps(asm.finish())] == [(o.WAIT, 0), (o.NOTE, o.NOTE_COMPLETION)]


def test_a_what_if_decides_what_every_flush_within_drops() -> None:
    asm = Assembler()
    with asm.dropping(o.SCOPE_LEAF):
        asm.send_flush_ipis()
        asm.flush_this_cpu()
        asm.send(o.CALL_SYNC, 0, text="sync")
        with asm.dropping(None):
            asm.send_flush_ipis()
    asm.send_flush_ipis()
    forced = o.SCOPE_LEAF | o.SCOPE_FORCED
    assert steps(asm.finish()) == [
        (o.SEND, o.CALL_FLUSH, forced, 0, 0),
        (o.FLUSH_SELF, forced, 0, 0, 0),
        (o.SEND, o.CALL_SYNC, 0, 0, 0),
        (o.SEND, o.CALL_FLUSH, forced, 0, 0),
        (o.SEND, o.CALL_FLUSH, o.SCOPE_BOTH, 0, 0),
    ]


@pytest.mark.parametrize(("write", "sleeps", "op"), [(True, True, o.LOCK_WRITE), (False, False, o.LOCK_READ)])
def test_a_lock_is_taken_and_released_in_the_same_way(write: bool, sleeps: bool, op: int) -> None:
    asm = Assembler()
    asm.lock(4, index=1, write=write, sleeps=sleeps, text="mmap_lock")
    asm.unlock(4, index=1, write=write, text="mmap_lock")
    code = asm.finish()
    release = o.UNLOCK_WRITE if write else o.UNLOCK_READ
    assert steps(code) == [(op, 4, 1, int(sleeps), 0), (release, 4, 1, 0, 0)]
    assert [note.text for note in code.notes] == ["take mmap_lock", "release mmap_lock"]


def test_who_only_tries_to_take_a_lock_has_an_arm_for_when_it_is_held() -> None:
    asm = Assembler()
    with asm.if_locked(4, text="the page lock") as branch:
        asm.set(0, 1)
        branch.otherwise()
        asm.set(0, 2)
    assert steps(asm.finish())[0] == (o.TRY_WRITE, 4, 0, 3, 0)


def test_note_takes_the_section_by_the_name_that_api_1_gave_it():
    asm = Assembler()
    asm.note(o.NOTE_SECTION, 1, section=3)
    asm.note(o.NOTE_SECTION, 1, c=3)
    asm.halt()
    first, second = asm.finish().steps.reshape(-1, 5)[:2].tolist()
    assert first == second == [o.NOTE, o.NOTE_SECTION, 1, 3, 0]
