"""Pictures of rows and of a history: what is drawn, what is refused, and that files need nothing else."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.core.report.values import result, span

from shootdown._report.picture_files import check_picture, write_picture
from shootdown._report.plot_history import picture_of_history
from shootdown._report.plot_rows import picture_of_rows
from shootdown._report.plotting import COLOURS, MOST_LINES, styles, svg
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import flat

pytest.importorskip("matplotlib")


def rows(*given: Any) -> list[dict[str, Any]]:
    return [flat(row.to_dict()) for row in given]


def of_counts(sync: int, redundant: int = 0, **given: Any) -> Any:
    return result(counts={"sync_ipis": sync, "redundant_sync_ipis": redundant}, **given)


def history_row(first: str, sync: int, **given: Any) -> dict[str, Any]:
    usual = {
        "arch": "x86", "platform": "intel-server", "series": "mainline", "first": first, "last": first,
        "releases": 1, "counts": {"sync_ipis": sync, "redundant_sync_ipis": sync}, "verdict": None,
        "invariant": None, "supported": True, "reason": None, "commits": [], "remarks": [],
    }  # fmt: skip
    return {**usual, **given}


def test_rows_of_few_sizes_are_bars_and_redundant_is_beside_needed() -> None:
    text = svg(picture_of_rows(rows(of_counts(9_555, 9_550, kernel="6.16"), of_counts(10, kernel="7.0"))))
    assert "needed sync IPIs" in text
    assert "redundant sync IPIs" in text
    assert "9,555" in text
    assert "6.16" in text


def test_rows_of_three_sizes_are_curves_over_them_with_a_band_where_there_is_a_range() -> None:
    times = {"elapsed_ns": span(2e6, 1e6, 5e6)}
    text = svg(picture_of_rows(rows(*(of_counts(cpus, cpus=cpus, times=times) for cpus in (2, 4, 8)))))
    assert "CPUs online" in text
    assert "ms, an estimate" in text
    assert "FillBetweenPolyCollection" in text


def test_a_number_that_is_a_parameter_is_an_axis_too() -> None:
    picture = picture_of_rows(rows(*(of_counts(n, parameters={"tables": n}) for n in (1, 2, 3))))
    assert ">tables</text>" in svg(picture)
    assert ">1.25</text>" not in svg(picture)
    assert [row[0] for row in picture.table] == ["1", "2", "3"]


def test_the_same_rows_give_the_same_file() -> None:
    given = rows(of_counts(1), of_counts(2, kernel="7.1"))
    assert svg(picture_of_rows(given)) == svg(picture_of_rows(given))


def test_lines_beside_each_other_differ_in_colour_style_and_mark() -> None:
    looks = list(styles([str(n) for n in range(MOST_LINES)]).values())
    assert len({(look["color"], look["linestyle"]) for look in looks}) == MOST_LINES
    for one, other in pairwise(looks):
        assert one["color"] != other["color"]
        assert one["marker"] != other["marker"]
    assert "#F0E442" not in COLOURS  # yellow, which is not seen on white


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([result(supported=False, reason="no tables", times={})], "no row has counts"),
        ([of_counts(1, kernel=f"6.{n}") for n in range(70)], "70 bars"),
        ([of_counts(1, kernel=f"6.{n}", cpus=c) for n in range(40) for c in (1, 2, 3)], "40 lines over"),
    ],
)
def test_what_cant_be_read_is_refused(given: list[Any], said: str) -> None:
    with pytest.raises(ShootdownError, match=said):
        picture_of_rows(rows(*given))


def test_a_history_has_its_commits_at_the_boundaries() -> None:
    value = {
        "program": "hugetlb-munmap",
        "rows": [history_row("6.15", 0), history_row("6.16", 780, commits=["1013af4f585f"])],
    }
    text = svg(picture_of_history(value))
    assert "1013af4f585f" in text
    assert "of these redundant" in text


def test_a_history_of_verdicts_names_them() -> None:
    value = {
        "program": "unshare-gup",
        "rows": [
            history_row("6.15", 0, verdict="bug", invariant="gup-fast", counts={}),
            history_row("6.16", 0, verdict="safe", counts={}),
        ],
    }
    text = svg(picture_of_history(value))
    assert "BUG" in text
    assert "safe" in text


def test_a_page_has_its_picture_and_its_numbers_and_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "picture.html"
    write_picture(picture_of_rows(rows(of_counts(9_555, 9_550, kernel="<6>"), of_counts(1))), path)
    text = path.read_text()
    assert "<svg" in text
    assert "<td" in text
    assert "<6>" not in text
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text)


def test_a_png_is_one(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    write_picture(picture_of_rows(rows(of_counts(1), of_counts(2, kernel="7.1"))), path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["picture.pdf", "picture", "nowhere/picture.svg"])
def test_a_place_that_is_no_picture_is_refused_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="--plot"):
        check_picture(tmp_path / name)


def test_a_sweep_has_a_panel_for_each_platform_and_a_line_for_each_kernel_and_size() -> None:
    given = [
        of_counts(n, kernel=kernel, cpus=cpus, platform=platform, parameters={"tables": n})
        for kernel in ("6.16", "7.0")
        for cpus in (4, 8)
        for platform in ("intel-server", "amd-server")
        for n in (1, 2, 3)
    ]
    picture = picture_of_rows(rows(*given))
    assert (picture.columns, picture.rows) == (2, 2)
    assert "6.16 8 CPUs" in svg(picture)


def test_counts_that_timing_decides_are_not_called_exact() -> None:
    remark = "timing decides, over the range of costs: sync_ipis 1000 to 3000"
    kept = rows(*(of_counts(2_000, cpus=cpus, remarks=(remark,)) for cpus in (2, 4, 8)))
    for shown in (kept, kept[:2]):  # curves, and bars
        text = svg(picture_of_rows(shown))
        assert "IPIs, by the likely costs" in text
        assert "exact" not in text
    assert "IPIs, exact" in svg(picture_of_rows(rows(of_counts(1), of_counts(2, kernel="7.1"))))
