"""Claims are read from TOML; each mistake is told in one line with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from shootdown import ShootdownError
from shootdown._evidence.predicting import check
from shootdown._evidence.reading import read_claims
from shootdown._evidence.shipped import chosen, shipped

GOOD = """
[claim.mine]
what = "munmap of a page beside a thread"
source = "my notes"
machine = "a desktop"
measure = "count"
of = "flush_ipis"
values = 1
program = "one"
arch = "x86"
platform = "intel-client"
kernel = "7.0"
cpus = 4

[program.one.memory]
heap = { size = "4K" }

[program.one.process.A]
do = ["touch heap", "wait ready", "measure { munmap heap }"]

[program.one.process.A.thread.other]
do = ["signal ready", "spin"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_claim_of_ones_own_is_read(tmp_path: Path) -> None:
    (claim,) = read_claims(written(tmp_path, GOOD))
    check(claim)
    assert claim.name == "mine"
    assert not claim.in_sample


#: What is right, what is wrong instead, and what is told: a pattern.
MISTAKES = [
    tuple(part.replace(r"\n", "\n") for part in line.split(" | "))
    for line in r"""
measure = "count" | measure = "number" | claim.mine.measure: 'number' is none of count
measure = "count"\n |  | claim.mine: it lacks `measure`
measure = "count" | measure = "time" | claim.mine.measure: .* is a count, not a time
values = 1 | values = [] | claim.mine.values: it is a number, or a list
values = 1 | values = "x" | claim.mine.values: 'x' is no number
values = 1 | values = [1, 2] | claim.mine.values: 2 values have as many points, not 1
of = "flush_ipis" | of = "flush_ipi" | claim.mine.of: .*nearest: flush_ipis
of = "flush_ipis" | of = "elapsed" | claim.mine.unit: a time has one: ns, us
of = "flush_ipis" | of = "elapsed + turns" | claim.mine.of: .* adds what can't be added
of = "flush_ipis" | of = "elapsed"\nunit = "cycles" | claim.mine.ghz: cycles need the clock
values = 1 | values = -1 | claim.mine.values: -1 is no measurement: it is above zero
of = "flush_ipis"\nvalues = 1 | of = "elapsed"\nunit = "us"\nvalues = 0 | values: 0 is no measurement
of = "flush_ipis" | of = "turns" | claim.mine.of: the program counts no turns
cpus = 4 | used_by = ["completion_ns"] | used_by: 'completion_ns' is no cost: ARCH/PLATFORM.COST
cpus = 4 | points = [{ label = ["x"] }] | claim.mine.points: a label is a text
cpus = 4 | minus = { platform = "amd" } | claim.mine.minus.platform: there is no x86 platform 'amd'
kernel = "7.0"\n |  | claim.mine: it lacks `kernel`
kernel = "7.0" | kernel = "77.0" | claim.mine: .*77.0
platform = "intel-client" | platform = "intel" | claim.mine.platform: there is no x86 platform 'intel'
cpus = 4 | cpus = 0 | claim.mine.cpus: it is a number from 1
cpus = 4 | cups = 4 | claim.mine.cups: .*nearest: cpus
cpus = 4 | set = { "kernel.nothing" = 1 } | claim.mine.*: .*nothing
cpus = 4 | parameters = { threads = 3 } | claim.mine: .*threads
cpus = 4 | vary = "cpus"\nat = [4, 8] | claim.mine.values: 1 values have as many points, not 2
cpus = 4 | vary = "cpus" | claim.mine.at: it is a list
cpus = 4 | points = [{ x = 1 }] | claim.mine.points.x: .* has no 'x'
program = "one"\n |  | claim.mine: it lacks `program`
program = "one" | program = "other" | claim.mine.program: .*other
heap = { size = "4K" } | heap = { size = "5" } | line 16, program.one.memory.heap.size: '5' is no size
munmap heap | unmap heap | line 19, program.one.process.A.do: there is no statement 'unmap'
[claim.mine] | [claim."1 2"] | an id is letters
[claim.mine] | [claims.mine] | claims: a file of claims has no 'claims'; nearest: claim
[claim.mine] | [claim.mine | it is no TOML
""".strip().splitlines()
]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_is_told_in_one_line_with_file_and_key(
    tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    assert right in GOOD
    path = written(tmp_path, GOOD.replace(right, wrong))

    def read() -> None:
        for claim in read_claims(path):
            check(claim)

    with pytest.raises(ShootdownError, match=told) as raised:
        read()
    message = str(raised.value)
    assert "mine.toml" in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="no such file"):
        read_claims(tmp_path / "none.toml")


def test_a_file_without_claims_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="it has no claim"):
        read_claims(written(tmp_path, ""))


def test_an_id_names_a_series_and_its_parts() -> None:
    assert {claim.name for claim in chosen(shipped(), ["A02"])} == {"A02", "A02-system"}
    with pytest.raises(ShootdownError, match=r"there is no claim 'A99'; nearest"):
        chosen(shipped(), ["A99"])


def test_every_shipped_claim_can_be_prepared() -> None:
    for claim in shipped():
        check(claim)
