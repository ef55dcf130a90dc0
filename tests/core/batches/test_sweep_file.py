"""A sweep's file: what it may say, and where a mistake in it is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from shootdown._batches import axes, sweep_file
from shootdown._batches.design import KINDS
from shootdown._batches.sweep_file import read_sweep
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]
PATCH = ROOT / "docs" / "examples" / "patches" / "skip-redundant-sync.py"
SCHEMA = json.loads((ROOT / "docs" / "reference" / "sweep.schema.json").read_text())
PROGRAM = json.loads((ROOT / "docs" / "reference" / "program.schema.json").read_text())
EXAMPLES = sorted((ROOT / "docs" / "examples" / "sweeps").glob("*.toml"))

START = 'program = "hugetlb-munmap"\narch = "x86"\n'


def wrong(tmp_path: Path, text: str, *patches: Path) -> str:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ShootdownError) as raised:
        read_sweep(file, patches)
    return str(raised.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernel = 7\n", "s.toml, program: it lacks `program`"),
        (START + "kernl = 1\n", "s.toml, line 3, kernl: a sweep has no 'kernl'; nearest: kernel"),
        ('program = "hugetlb-mumap"\n', "s.toml, line 1, program: there is no workload 'hugetlb-mumap'"),
        (START + 'kernel = ["7.0", "9.9.9"]\n', "s.toml, line 3, kernel: kernel '9.9.9': there is no series"),
        (START + 'kernel = ["7.0", "7.0"]\n', "s.toml, line 3, kernel: '7.0' stands there twice"),
        (START + "cpus = [4, 0]\n", "s.toml, line 3, cpus: it is a whole number from 1 to 8,192, not 0"),
        (START + 'platform = "neoverse-v2"\n', "s.toml, line 3, platform: there is no x86 platform"),
        (
            START + "[parameters]\ntable = 1\n",
            "s.toml, line 4, parameters.table: workload hugetlb-munmap has no",
        ),
        (START + '[parameters]\ntables = [1, "x"]\n', "s.toml, line 4, parameters.tables: -p tables=x"),
        (START + "[parameters]\ntables = []\n", "parameters.tables: its list of values is empty"),
        (START + "[parameters]\ntables = { from = 4 }\n", "parameters.tables.to: a range has `to`"),
        (START + "[parameters]\ntables = { from = 4, to = 1 }\n", "`from` is less than `to`, not 4 and 1"),
        (START + "[parameters]\ntables = { from = 0, to = 4 }\n", "parameters.tables: -p tables=0"),
        (START + "[parameters]\ntables = { from = 1, upto = 4 }\n", "has no 'upto'"),
        (START + '[set]\n"kernel.x" = true\n', "s.toml, line 4, set.kernel.x: there is no switch 'kernel.x'"),
        (
            START + "[set]\nkernel.rcu_table_free = 3\n",
            "s.toml, line 4, set.kernel.rcu_table_free: kernel.rcu",
        ),
        (START + '[set]\n"cost.lock_ns" = { from = 1.0, to = 2.0 }\n', "has `points`, or `step`"),
        (
            START + 'costs = ["lock"]\n[design]\nseed = 4\n',
            "line 5, design.seed: a grid has all combinations",
        ),
        (START + 'costs = ["locks"]\n', "s.toml, line 3, costs: there is no cost 'locks'; nearest: lock_ns"),
        (START + 'costs = "all"\n', "design: about 10^21 points: a sweep has at most 1,000,000"),
        (START + '[design]\nkind = "sobol"\n', "there is no design 'sobol'"),
        (START + '[design]\nkind = "latin-hypercube"\n', "it lacks `points`"),
        (START + "[programs.other]\n", "[programs] has no 'other'; there is: hugetlb-munmap"),
        ("x = \n", "sweep s.toml: it is no TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    told = wrong(tmp_path, text)
    assert said in told
    assert "\n" not in told


def test_a_parameter_of_all_programs_is_one_that_each_has(tmp_path: Path) -> None:
    text = 'program = ["hugetlb-munmap", "anonymous"]\narch = "x86"\n[parameters]\ntables = 1\n'
    assert "[parameters.anonymous] has those of anonymous alone" in wrong(tmp_path, text)
    (tmp_path / "s.toml").write_text(text.replace("[parameters]", "[parameters.hugetlb-munmap]"))
    assert len(read_sweep(tmp_path / "s.toml").points) == 2


def test_a_patch_runs_only_if_the_command_line_names_it_too(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    patch = tmp_path / "mine.py"
    patch.write_text(PATCH.read_text() + f"\nimport os\nos.makedirs({str(mark)!r}, exist_ok=True)\n")
    text = START + 'kernel = "7.0"\npatch = ["none", "mine.py"]\n'
    assert "mine.py is code that would run: if it is to, name it on the command line too: --patch" in wrong(
        tmp_path, text
    )
    assert not mark.exists()
    plan = read_sweep(tmp_path / "s.toml", [patch])
    assert mark.exists()
    assert [plan.point(number).patch is None for number in range(2)] == [True, False]
    assert "s.toml does not name it" in wrong(tmp_path, START, patch)


def test_steps_and_points_of_a_range_have_both_ends() -> None:
    plan = read_sweep(
        {
            "program": "hugetlb-munmap",
            "arch": "x86",
            "cpus": {"from": 2, "to": 64, "points": 6, "log": True},
            "parameters": {"tables": {"from": 1, "to": 10, "step": 3}},
            "set": {"cost.lock_ns": {"from": 0.5, "to": 2.0, "points": 4}},
        }
    )
    values = {axis.label: axis.values for axis in plan.points.axes}
    assert values["cpus"] == (2, 4, 8, 16, 32, 64)
    assert values["parameters.tables"] == (1, 4, 7, 10)
    assert values["set.cost.lock_ns"] == (0.5, 1.0, 1.5, 2.0)


def validator() -> jsonschema.Draft202012Validator:
    programs = Registry().with_resource("program.schema.json", Resource.from_contents(PROGRAM))
    return jsonschema.Draft202012Validator(SCHEMA, registry=programs)


def test_the_schema_has_the_keys_that_the_reader_has() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(sweep_file.KEYS)
    assert set(SCHEMA["$defs"]["range"]["properties"]) == set(axes.RANGE)
    assert set(SCHEMA["properties"]["design"]["properties"]) == set(sweep_file.DESIGN)
    assert set(SCHEMA["properties"]["design"]["properties"]["kind"]["enum"]) == set(KINDS)


def test_the_page_has_each_key() -> None:
    page = (ROOT / "docs" / "how-to" / "sweep.md").read_text()
    for key in (*sweep_file.KEYS, *sweep_file.DESIGN):
        assert re.search(rf"`{key}`", page), key


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_fits_the_schema_and_is_read(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(tomllib.loads(path.read_text()))] == []
    assert read_sweep(path).points.size > 1


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"program": []},
        {"program": "anonymous", "kernels": "7.0"},
        {"program": "anonymous", "design": {"points": 0}},
        {"program": "anonymous", "parameters": {"times": []}},
        {"program": "anonymous", "cpus": {"from": 1}},
    ],
)
def test_what_does_not_fit_the_schema_the_reader_refuses_too(tables: dict[str, object]) -> None:
    assert list(validator().iter_errors(tables))
    with pytest.raises(ShootdownError):
        read_sweep(tables)


def test_a_plugin_is_one_that_the_command_line_names_too(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text("raise SystemExit('it ran')\n")
    assert "more.py is code that would run: if it is to, name it on the command line too: --plugin" in wrong(
        tmp_path, START + 'plugin = "more.py"\n'
    )
