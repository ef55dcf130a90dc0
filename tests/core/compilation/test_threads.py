"""Several pieces of work at once: their results come in order, and what nobody waits for any more ends soon."""

from __future__ import annotations

import threading

import pytest

from shootdown._compilation.slices import Slices
from shootdown._compilation.threads import AbandonedError, check, in_threads


def test_results_come_in_the_order_of_the_items():
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(60)  # both are under way at once
        else:
            second.set()
        return 10 * item

    assert list(in_threads(work, range(9), 2)) == [10 * item for item in range(9)]


def test_an_error_comes_after_the_results_before_it_and_ends_the_rest():
    ended: list[object] = []

    def work(item: int) -> int:
        if item == 2:
            raise ValueError(item)
        if item > 2:
            try:
                for _ in Slices().parts(1 << 60):
                    pass
            except AbandonedError as error:
                ended.append(error)
                raise
        return item

    found = []
    with pytest.raises(ValueError, match="2"):
        found.extend(in_threads(work, range(5), 2))
    assert found == [0, 1]
    assert len(ended) <= 2


def test_work_in_the_only_thread_is_never_abandoned():
    check()
