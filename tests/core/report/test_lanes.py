"""A verdict and its story as text: a lane for each CPU that takes part, moves from top to bottom."""

from __future__ import annotations

import attrs
import pytest
from tests.core.report.values import STORY, atom, bug, verdict

from shootdown._explore.story import Line
from shootdown._report.lanes import atoms_told, blocks, shown, story_lines, times, verdict_lines


def test_a_verdict_says_where_and_how_much_was_looked_at() -> None:
    lines = list(verdict_lines(verdict(states=1234, transitions=5678, depth=9), 80))
    assert lines == [
        "unshare-gup on x86 intel-server, kernel 7.0: SAFE",
        "  1,234 states, 5,678 transitions, depth 9",
    ]


def test_what_was_chosen_is_written_as_it_is_typed() -> None:
    found = verdict(parameters={"sharers": 2, "thp": True}, set={"kernel.unshare_sync": "none"})
    assert "  sharers=2, thp=true, --set kernel.unshare_sync=none" in list(verdict_lines(found, 80))
    assert (shown(True), shown("none"), shown(3)) == ("true", "none", "3")


def test_reasons_and_remarks_are_lines_of_their_own() -> None:
    lines = list(
        verdict_lines(verdict(said="not-applicable", reason="it shares no tables", remarks=("so so",)), 80)
    )
    assert lines[1:] == ["  it shares no tables", "  so so"]


def test_a_bug_names_the_invariant_and_says_what_it_means() -> None:
    lines = list(verdict_lines(bug(), 80))
    assert lines[0].endswith(": BUG")
    assert lines[1] == "  no-stale-walk: nobody walks a table of somebody else"
    assert lines[-1] == "  ✗ gup_fast() read a table that is freed"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_a_story_fits_its_terminal(width: int) -> None:
    assert max(map(len, story_lines(STORY, width))) <= width


def test_with_room_each_cpu_has_a_lane() -> None:
    lines = list(story_lines(STORY, 100))
    head = lines[0]
    assert head.index("CPU 0 (munmap)") < head.index("CPU 1 (gup_fast)")
    left, right = (head.index(f"CPU {cpu}") for cpu in (0, 1))
    cleared = next(line for line in lines if "clear the PUD entry" in line)
    read = next(line for line in lines if "read a <freed> table" in line)
    assert cleared.index("huge_pmd_unshare") == left
    assert read.index("gup_fast():") == right


def test_without_room_lanes_share_one_column_of_text() -> None:
    lines = list(story_lines(STORY, 50))
    assert any("┌" in line and "CPU 0 (munmap)" in line for line in lines)
    assert any("●" in line and "huge_pmd_unshare" in line for line in lines)


def test_who_takes_no_step_has_no_lane_and_is_named() -> None:
    assert "  takes no step: CPU 2 (another process)" in list(story_lines(STORY, 100))


def test_the_move_that_breaks_the_invariant_is_marked() -> None:
    marked = [line for line in story_lines(STORY, 100) if line.startswith("✗")]
    assert len(marked) == 1
    assert marked[0].split()[1] == "3"


def test_what_changed_stands_below_the_step_that_changed_it() -> None:
    lines = list(story_lines(STORY, 100))
    at = next(n for n, line in enumerate(lines) if "clear the PUD entry" in line)
    assert "→ the entry of slot 0 is none" in lines[at + 1]


# --- how a move is put into sentences


def move(*atoms: object, who: str = "task") -> Line:
    return Line(1, 0, "", who, "step 0", atoms)  # type: ignore[arg-type]


def test_a_function_is_named_once() -> None:
    ((_, phrases),) = blocks(move(atom("f", "one", "changed"), atom("f", "two"), atom("g", "three")))
    assert [phrase.text for phrase in phrases] == ["f(): one", "two", "g(): three"]


def test_steps_of_one_function_that_change_nothing_share_a_sentence() -> None:
    ((_, phrases),) = blocks(move(atom("f", "one"), atom("f", "two"), atom("f", "two")))
    assert [phrase.text for phrase in phrases] == ["f(): one; two"]


def test_who_moves_is_said_where_it_is_no_task() -> None:
    ((_, phrases),) = blocks(move(atom("", "use a cached entry"), who="hardware walker"))
    assert phrases[0].text == "hardware walker: use a cached entry"


def test_a_move_that_goes_on_elsewhere_has_a_block_for_each_cpu() -> None:
    found = blocks(move(atom("f", "answer", cpu=1), atom("g", "go on", cpu=0)))
    assert [cpu for cpu, _ in found] == [1, 0]


def test_steps_for_the_models_own_books_are_told_only_where_there_is_nothing_else() -> None:
    aside = atom("f", "count", aside=True)
    assert atoms_told(move(aside, atom("f", "clear"))) == [atom("f", "clear")]
    assert atoms_told(move(aside)) == [aside]
    told = attrs.evolve(aside, changed=("something",))
    assert atoms_told(move(told)) == [told]


@pytest.mark.parametrize(
    ("likely", "text"),
    [(500_000, "500 ns [250 to 1000]"), (1_500_000, "1.5 µs [0.8 to 3.0]"), (20_000_000, "20 µs [10 to 40]")],
)
def test_a_span_of_time_has_the_unit_of_its_likely_value(likely: int, text: str) -> None:
    assert times({"low": likely // 2, "likely": likely, "high": 2 * likely}) == text
