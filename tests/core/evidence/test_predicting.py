"""What the model says of a claim: likely values, and intervals from draws that all runs of a claim share."""

from __future__ import annotations

from pathlib import Path

import pytest

from shootdown._evidence.claim import Claim
from shootdown._evidence.predicting import predict
from shootdown._evidence.quantities import Range
from shootdown._evidence.reading import read_claims
from shootdown._questions import draws
from shootdown._values.errors import ShootdownError

TEXT = """
[claim.mine]
what = "dropping a page beside a thread"
source = "my notes"
machine = "a desktop"
measure = "MEASURE"
of = "elapsed"
values = 1
arch = "x86"
platform = "intel-client"
kernel = "7.0"
cpus = 4
program = "one"
REST

[program.one]
parameters = { size = "4K" }

[program.one.memory]
heap = { size = "$size" }

[program.one.process.A]
do = ["touch heap", "wait ready", "measure { madvise heap DONTNEED }"]

[program.one.process.A.thread.other]
do = ["signal ready", "spin"]
"""


def claim(tmp_path: Path, measure: str, rest: str) -> Claim:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace("MEASURE", measure).replace("REST", rest))
    (found,) = read_claims(path)
    return found


def ranged(one: Claim, draws: int) -> Range:
    (found,) = predict(one, draws).ranges
    return found


def test_a_run_over_itself_is_one_in_every_draw(tmp_path: Path) -> None:
    found = ranged(claim(tmp_path, "ratio", "base = {}"), 8)
    assert (found.low, found.likely, found.high) == pytest.approx((1, 1, 1))


def test_a_run_less_itself_is_nothing_in_every_draw(tmp_path: Path) -> None:
    found = ranged(claim(tmp_path, "time", 'unit = "us"\nminus = {}'), 8)
    assert (found.low, found.likely, found.high) == (0, 0, 0)


def test_runs_with_drawn_costs_give_the_interval_that_the_ledger_gives(tmp_path: Path) -> None:
    one = claim(tmp_path, "time", 'unit = "us"')
    drawn, ends = ranged(one, 100), ranged(one, 0)
    assert drawn.likely == ends.likely
    assert drawn.low == pytest.approx(ends.low, rel=0.3)
    assert drawn.high == pytest.approx(ends.high, rel=0.3)


def test_the_unit_scales_all_of_it(tmp_path: Path) -> None:
    first = ranged(claim(tmp_path, "time", 'unit = "us"'), 4)
    second = ranged(claim(tmp_path, "time", 'unit = "cycles"\nghz = 2'), 4)
    assert second.likely == pytest.approx(2000 * first.likely)
    assert second.high == pytest.approx(2000 * first.high)


def test_a_sum_of_costs_is_drawn_without_a_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = TEXT.replace("MEASURE", "time").replace("REST", 'unit = "ns"')
    path.write_text(
        text.replace('"elapsed"', '"flush_ns + 3 page_flush_ns"').replace('program = "one"\n', "")
    )
    (one,) = read_claims(path)
    found = ranged(one, 40)
    assert found.low < found.likely < found.high


def test_draws_are_the_same_each_time_and_differ_among_costs() -> None:
    first = draws.places(3, 1)
    assert first == draws.places(3, 1)
    assert first != draws.places(3, 2)
    assert len(set(first[0])) == len(first[0])


def test_a_difference_is_added_to_what_was_measured(tmp_path: Path) -> None:
    minus = 'minus = { set = { "platform.flush" = "ipi" }, parameters = { size = "8K" } }\nunit = "us"\n'
    alone = ranged(claim(tmp_path, "time", minus), 0)
    onto = ranged(claim(tmp_path, "time", minus + "onto = 7"), 0)
    assert (onto.low, onto.likely, onto.high) == pytest.approx(
        (alone.low + 7, alone.likely + 7, alone.high + 7)
    )


def test_cpus_that_a_source_does_not_say_are_in_the_interval(tmp_path: Path) -> None:
    one = ranged(claim(tmp_path, "time", 'unit = "us"'), 0)
    more = ranged(claim(tmp_path, "time", 'unit = "us"\ncpus_or = [2, 8]'), 0)
    assert more.likely == one.likely
    assert more.high >= one.high * 0.9


def test_a_kernel_that_a_source_does_not_say_is_in_the_interval_and_not_in_what_is_likely(
    tmp_path: Path,
) -> None:
    kernels = 'kernel_or = ["5.10"]\nunit = "us"\nset = { "platform.jitter" = 0 }'
    base = 'base = { kernel = "6.12" }\nset = { "platform.jitter" = 0 }'
    one, more = (ranged(claim(tmp_path, "time", text), 0) for text in (kernels.partition("\n")[2], kernels))
    assert more.likely == one.likely
    assert (more.low, more.high) != (one.low, one.high)
    alone, both = (
        ranged(claim(tmp_path, "ratio", text), 0) for text in (base, f'{base}\nkernel_or = ["6.12"]')
    )
    assert both.low <= 1 <= both.high < alone.high * 1.01, "a base that names its own kernel keeps it"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ('unit = "us"\ncpus_or = [0]', "a list of numbers from 1"),
        ('unit = "us"\nkernel_or = [7]', "a list of releases"),
        ('unit = "us"\nonto = 7', "a measured time is one of `minus`"),
        ('unit = "us"\nonto = "7"\nminus = {}', "a measured time in the claim's unit"),
    ],
)
def test_what_is_wrong_about_them_is_told(tmp_path: Path, rest: str, said: str) -> None:
    with pytest.raises(ShootdownError, match=said):
        claim(tmp_path, "time", rest)
