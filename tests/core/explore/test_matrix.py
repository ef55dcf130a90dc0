"""The matrix: its cells, its lines, and the page that docs carry."""

from __future__ import annotations

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions import matrix as m
from shootdown._questions.explore import explorations, explore_case
from shootdown._values.errors import ShootdownError


def cells(*names: str, **choices: list[str]) -> list[m.Verdict]:
    return list(m.matrix(m.jobs(names, **choices)))  # type: ignore[arg-type]


def test_a_cell_has_the_verdict_that_exploring_it_alone_has() -> None:
    for row in cells("unshare-gup", "unshare-walk-cache", arch=["arm64", "x86"], kernels=["7.0"]):
        (case,) = explorations(row.scenario, arch=[row.arch], platforms=[row.platform], kernels=[row.kernel])
        alone = explore_case(case)
        assert (alone.verdict, alone.invariant, alone.states, alone.reason) == (
            row.verdict,
            row.invariant,
            row.states,
            row.reason,
        )
        assert alone.remarks == row.remarks


def test_all_scenarios_architectures_and_default_kernels_are_in_it() -> None:
    prepared = m.jobs()
    assert {job.scenario for job in prepared} == set(registry().scenarios())
    named = {(arch, kernel) for job in prepared for arch, _, kernel in job.cells}
    owners = [name for name, value in registry().architectures().items() if value.lower is not None]
    assert named == {(arch, kernel) for arch in owners for kernel in m.default_kernels()}


@pytest.mark.parametrize("kernels", [["7.0"], pytest.param(m.default_kernels(), marks=pytest.mark.long)])
def test_platforms_that_flush_alike_stand_for_one_another(kernels: list[str]) -> None:
    for arch, owner in registry().architectures().items():
        if owner.lower is None:
            continue
        platforms = registry().platforms(arch)
        groups = m.alike(owner, list(platforms.values()), m.default_kernels())
        assert sorted(name for group in groups for name in group) == sorted(platforms)
        for group in groups:
            if len(group) > 1:
                first, other = (
                    cells("unshare-walk-cache", arch=[arch], platforms=[name], kernels=kernels)
                    for name in group[:2]
                )
                assert [row.verdict for row in first] == [row.verdict for row in other]


def test_processes_find_what_one_finds() -> None:
    prepared = m.jobs(["unshare-gup", "unshare-walk-cache"], arch=["arm64", "x86"], kernels=["7.0"])
    key = m.by_place(["unshare-gup", "unshare-walk-cache"])

    def ordered(rows: list[m.Verdict]) -> list[dict[str, object]]:
        rows = sorted(rows, key=lambda row: (*key(((row.scenario, row.arch, row.platform), 0)), row.kernel))
        return [row.to_dict() for row in rows]

    assert ordered(list(m.matrix(prepared, processes=2))) == ordered(list(m.matrix(prepared)))


def test_platforms_with_the_same_verdicts_share_a_line() -> None:
    rows = cells("unshare-walk-cache", arch=["arm64", "x86"], kernels=["7.0", "7.1"])
    lines = m.table(rows, ["unshare-walk-cache"])
    assert len({tuple(sorted((k, line.words(k)) for k in line.verdicts)) for line in lines}) == len(lines)
    told = {
        (arch, platform, kernel): line.words(kernel)
        for line in lines
        for arch, names in line.platforms.items()
        for platform in names
        for kernel in ("7.0", "7.1")
    }
    assert told == {(row.arch, row.platform, row.kernel): m.words(row) for row in rows}
    assert told["arm64", "neoverse-v2", "7.0"] == "BUG walk-cache"
    assert told["arm64", "neoverse-v2", "7.1"] == "safe"


def test_an_architecture_all_of_whose_platforms_are_alike_is_named_alone() -> None:
    rows = cells("unshare-gup", arch=["arm64", "powerpc"], kernels=["7.0"])
    where = {line.words("7.0"): line.where() for line in m.table(rows, ["unshare-gup"])}
    assert where == {"safe": "arm64", "-": "powerpc"}
    whole = cells("mremap-stale", arch=["arm64", "powerpc"], kernels=["7.0"])
    assert [line.where() for line in m.table(whole, ["mremap-stale"])] == ["all"]


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        (["nothing"], {}),
        (["unshare-gup"], {"arch": ["vax"]}),
        (["unshare-gup"], {"kernels": ["9"]}),
        (["unshare-gup"], {"platforms": ["pdp"]}),
        (["unshare-gup"], {"settings": ["kernel.x=1"]}),
        (["unshare-gup"], {"parameters": {"x": 1}}),
    ],
)
def test_mistakes_show_before_anything_is_explored(names: list[str], choices: dict[str, object]) -> None:
    with pytest.raises(ShootdownError):
        m.jobs(names, **choices)  # type: ignore[arg-type]
