"""Platforms in files: what is written is read, every command takes it, and mistakes are told in one line."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.case import machines
from shootdown._questions.compare import compare
from shootdown._questions.platform_file import platform_of_file, written
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Cost

TEXT = """
[platform]
arch = "x86"
like = "kvm-guest"
cpus = 3

[cost.syscall_ns]
low = 300
likely = 400.5
high = 500
source = "measured here"
"""


def file(tmp_path: Path, text: str = TEXT) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_file_is_like_a_platform_but_for_what_it_says(tmp_path: Path) -> None:
    architecture, found = platform_of_file(registry(), (), file(tmp_path))
    like = registry().platform("x86", "kvm-guest")
    assert architecture.name == "x86"
    assert found.costs.syscall_ns == Cost(300, 400.5, 500, "measured here")
    assert found.cpus == 3
    assert attrs.evolve(found.costs, syscall_ns=like.costs.syscall_ns) == like.costs
    assert (found.hypervisor, found.tlb, found.arch) == (like.hypervisor, like.tlb, like.arch)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    like = registry().platform("x86", "amd-server")
    new = attrs.evolve(
        like,
        cpus=8,
        sockets=2,
        smt=4,
        smt_adjacent=True,
        costs=attrs.evolve(like.costs, lock_ns=Cost(1, 2.5, 30, 'a "quoted" source; C:\\ \u00e9')),
    )
    told = {
        "machine": {"busy": True, "not_possible": ["x"]},
        "measured": {"a; b: 3": {"low": 1.0}},
        "refill": {},
    }
    path = file(tmp_path, written("x86", "amd-server", 'one "line"', new, told))
    _, found = platform_of_file(registry(), ["x86"], path)
    assert found.costs == new.costs
    assert (found.cpus, found.summary) == (8, 'one "line"')
    assert (found.sockets, found.smt, found.smt_adjacent) == (2, 4, True)


def test_a_row_has_the_costs_and_cpus_of_the_file_beside_a_platform(tmp_path: Path) -> None:
    path = file(tmp_path)
    rows = compare("anonymous", platforms=[path, "kvm-guest"], kernels=["7.0"], parameters={"threads": 1})
    assert [row.platform for row in rows] == [path, "kvm-guest"]
    assert rows[0].cpus == 3
    assert rows[0].times["elapsed_ns"].likely < rows[1].times["elapsed_ns"].likely
    assert rows[0].counts["flush_ipis"] == rows[1].counts["flush_ipis"] == 1


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="is one of x86, not of arm64"):
        machines(registry(), ["arm64"], [file(tmp_path)])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('[platform]\narch = "x86"', "[platform]\n"), r"mine\.toml: platform.arch: it is missing"),
        (('arch = "x86"', "arch = 5"), "platform.arch: it is a name, not 5"),
        (("[platform]", "[platfrm]"), "has no 'platfrm'; nearest: platform"),
        (
            ('like = "kvm-guest"', 'like = "kvm-gast"'),
            "platform.like: there is no x86 platform 'kvm-gast'; nearest: kvm",
        ),
        (("cpus = 3", "cpus = 0"), "platform.cpus is a whole number from 1"),
        (("cpus = 3", "cpus = true"), "platform.cpus is a whole number from 1 to 8192, not"),
        (("cpus = 3", "sockets = 65"), "platform.sockets is a whole number from 1 to 64"),
        (("cpus = 3", "smt = 0"), "platform.smt is a whole number from 1 to 8"),
        (("cpus = 3", "smt_adjacent = 1"), "platform.smt_adjacent is true or false"),
        (("cpus = 3", "cpu = 3"), r"\[platform\] has no 'cpu'; nearest: cpus"),
        (("cost.syscall_ns", "cost.sycall_ns"), "there is no cost 'sycall_ns'; nearest: syscall_ns"),
        (("likely = 400.5", ""), "has low, likely and high in ns, and a source"),
        (("likely = 400.5", "likely = nan"), "has low, likely and high in ns, and a source"),
        (("likely = 400.5", "likely = 600"), "must not lie below its likely value"),
        (("low = 300", "low = 1e30"), "must lie between 0 and its likely value"),
        (('source = "measured here"', "source = 3"), "and a source"),
        (("[cost.syscall_ns]", "[cost]\nsyscall_ns = 3\n[measured]"), "has low, likely, high and source"),
        (("[platform]", "[platform"), "it is no TOML"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_the_file(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert change[0] in TEXT
    with pytest.raises(ShootdownError, match=told) as error:
        platform_of_file(registry(), (), file(tmp_path, TEXT.replace(*change)))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match=r"nowhere\.toml: no such file"):
        platform_of_file(registry(), (), "nowhere.toml")
    with pytest.raises(ShootdownError, match=r"has no table \[platform\]; `shootdown calibrate` writes"):
        platform_of_file(registry(), (), file(tmp_path, ""))
