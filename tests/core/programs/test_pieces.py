"""munmap() of a place piece by piece: the last piece frees the page table, and flushes all of it."""

from __future__ import annotations

import shootdown


def run(do: str, size: str = "64K", **more: bool) -> shootdown.Result:
    program = {
        "memory": {"heap": {"size": size, **more}},
        "process": {"A": {"do": f"touch heap; measure {{ {do} }}"}},
    }
    (row,) = shootdown.compare(program, arch=["arm64"], kernels=["7.0"], cpus=[1])
    return row


def counts(do: str, size: str = "64K", **more: bool) -> dict[str, int]:
    row = run(do, size, **more)
    return {"requests": row.counts["flush_requests"], **row.instructions}


def test_pieces_in_a_loop_count_as_the_same_calls_one_by_one() -> None:
    one_by_one = "; ".join(f"munmap heap[{n}K:{n + 16}K]" for n in range(0, 64, 16))
    assert counts("each 16K of heap { munmap it }") == counts(one_by_one)


def test_tables_that_other_memory_uses_stay() -> None:
    shared = counts("each 16K of heap { munmap it }", alone=False)
    assert shared != counts("each 16K of heap { munmap it }")
    assert shared["requests"] == 4


def test_after_the_loop_the_place_is_unmapped() -> None:
    loop = "each 16K of heap[0:32K] { munmap it }; munmap heap[32K:64K]"
    assert counts(loop) == counts("munmap heap[0:16K]; munmap heap[16K:32K]; munmap heap[32K:64K]")


def test_pieces_of_whole_tables_are_counted_and_smaller_ones_over_several_tables_refused() -> None:
    one_by_one = "; ".join(f"munmap heap[{n}M:{n + 2}M]" for n in range(0, 8, 2))
    assert counts("each 2M of heap { munmap it }", size="8M") == counts(one_by_one, size="8M")
    assert "counted of pieces of 2M" in str(run("each 1M of heap { munmap it }", size="8M").reason)


def test_pieces_have_the_pages_that_a_pattern_touches() -> None:
    """A gather's range goes from the first entry that was cleared to the last: 13 pages of 16, of which 4 are there."""
    program = {
        "memory": {"heap": {"size": "256K"}},
        "process": {
            "A": {
                "do": "touch heap every 16K; wait ready; measure { each 64K of heap { madvise it DONTNEED } }",
                "thread": {"other": {"do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[2])
    assert (row.counts["flush_requests"], row.counts["page_invalidations"]) == (4, 4 * 13 * 2)


def test_pieces_that_are_touched_unlike_are_refused() -> None:
    row = run("touch heap[64K:] every 12K; each 16K of heap { madvise it DONTNEED }", size="256K")
    assert "touches its pieces in ways that differ" in str(row.reason)
