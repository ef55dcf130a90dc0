"""Plans of programs for kernels of other page sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shootdown._measure.measuring import Plan, _stale, plan
from shootdown._values.errors import ShootdownError


def planned(folder: Path, *sizes: str) -> Plan:
    files = []
    for size in sizes:
        text = f'[memory]\nheap = {{ kind = "anonymous", size = "{size}" }}\n'
        text += '[process.A]\ndo = ["touch heap", "measure { munmap heap }"]\n'
        files.append(folder / f"p{size}.toml")
        files[-1].write_text(text)
    return plan(files, {}, cpus=4, repetitions=2, all_of_them=True)


def test_programs_that_fit_the_pages_are_compiled_for_them_and_the_others_named(tmp_path: Path) -> None:
    whole = planned(tmp_path, "132K", "128K")
    assert len(whole.images) == 2
    large = whole.for_pages(65536)
    assert [one.name for one in large.asked] == ["p128K"]
    assert large.asked[0].page_size == 65536
    assert large.images[0].words != whole.images[1].words
    assert "p132K is not measured" in large.remarks[0]
    assert "this kernel's pages have 64K" in large.remarks[0]


def test_stale_reads_are_told_with_how_many_reads_there_were() -> None:
    assert (
        _stale("drop", 5, 0, 12_000)
        == "drop: 0 of 12,000 reads after its calls had returned were stale, in 5 runs"
    )
    assert _stale("fork", 5, 0, 0) == "fork: no thread that spins reads what it takes away"


def test_if_no_program_fits_the_pages_that_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="this kernel's pages have 16K"):
        planned(tmp_path, "4K").for_pages(16384)
