"""`shootdown list KIND NAME` says of each parameter what it is, what it may be, and what it means."""

from __future__ import annotations

import json

import pytest

from shootdown import _cli
from shootdown._plugins.registry import registry
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.series import SERIES


def written(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert _cli.run(["list", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", registry().workloads())
def test_every_parameter_of_a_workload_has_a_default_a_range_and_a_meaning(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(written(capsys, "workloads", name, "--json"))
    workload = registry().workloads()[name]
    assert [row["name"] for row in found["parameters"]] == [*(p.name for p in workload.parameters), "seed"]
    for row in found["parameters"]:
        assert row["default"] != ""
        assert row["values"]
        assert row["meaning"]


@pytest.mark.parametrize("name", registry().scenarios())
def test_every_switch_of_a_scenario_is_there_as_it_is_typed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(written(capsys, "scenarios", name, "--json"))
    scenario = registry().scenarios()[name]
    named = [row["name"] for row in found["switches"]]
    assert named == [*(f"scenario.{switch.name}" for switch in scenario.switches), "memory_model"]
    assert found["invariants"] == dict(scenario.sentences)
    text = written(capsys, "scenarios", name)
    assert text.startswith(f"{name}: ")


def test_a_program_is_listed_by_its_file_and_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "what $others stands for in drop.toml" in " ".join(
        written(capsys, "workloads", "docs/examples/programs/drop.toml").split()
    )
    assert "threads" in written(capsys, "workloads", "tlb_flush1")


def test_the_changes_of_a_series_say_what_they_set(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(written(capsys, "kernels", "6.1", "--json"))
    assert found["series"] == "6.1"
    (rework,) = (row for row in found["changes"] if row["commit"] == "8ce720d5bd91")
    assert rework["sets"] == {"unshare_sync": "last-sharer", "unshare_gather": True}
    assert set(rework["sets"]) <= {name for name, _ in switches_of(Kernel)}
    text = written(capsys, "kernels", "6.1")
    assert "unshare_sync=last-sharer, unshare_gather=true" in text
    assert written(capsys, "kernels", "6.1.158") == text
    assert written(capsys, "kernels", "--series", "6.1") == text
    assert written(capsys, "kernels", "proposal:targeted-sync").startswith(
        "proposal:targeted-sync, proposal\n"
    )


@pytest.mark.parametrize("series", [one.name for one in SERIES])
def test_every_series_has_such_a_page(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, "kernels", series).startswith(f"{series}: newest {series}.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("workloads", "fork-strom"), "there is no workload 'fork-strom'; nearest: fork-storm"),
        (("scenarios", "unshare"), "unknown scenario 'unshare'; nearest: unshare-gup"),
        (("kernels", "6.20"), "there is no series 6.20"),
        (("workloads", "--series", "6.1"), "--series is of kernels"),
        (("kernels", "proposal:x"), "there is no 'proposal:x'; nearest: proposal:"),
        (("platforms", "emag"), "list platforms has no more to say of one; of these there is: workloads"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run(["list", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
