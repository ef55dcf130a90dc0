"""The smallest architecture, `docs/examples/vax`: a distribution of its own, public names alone, and each command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

VAX = Path(__file__).parents[2] / "docs" / "examples" / "vax"
(SOURCE,) = (VAX / "src" / "shootdown_vax").glob("*.py")
CODE = "import sys; from shootdown._cli import main; sys.argv = ['shootdown', *sys.argv[1:]]; main()"

Run = Callable[..., str]


@pytest.fixture(scope="module")
def vax(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the command line where the distribution is installed as its pyproject.toml says."""
    project = tomllib.loads((VAX / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"shootdown_vax-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entries = [f"{name} = {module}\n" for name, module in project["entry-points"]["shootdown"].items()]
    (info / "entry_points.txt").write_text("[shootdown]\n" + "".join(entries))
    kept = {name: value for name, value in os.environ.items() if name != "SHOOTDOWN_DISABLE"}
    path = os.pathsep.join(map(str, (site, SOURCE.parents[1])))

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *words],
            env={**kept, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def counts(vax: Run, *words: str) -> dict[str, int]:
    (row,) = json.loads(vax("compare", "anonymous", "--arch", "vax", "--kernel", "7.0", *words, "--json"))[
        "rows"
    ]
    found: dict[str, int] = row["counts"]
    return found


def test_it_takes_60_lines_and_public_names_alone() -> None:
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 60
    modules = re.findall(r"^(?:from|import) (\w[\w.]*)", text, re.MULTILINE)
    assert set(modules) <= {"attrs", "shootdown", "shootdown.formats", "shootdown.porting"}
    assert "shootdown._" not in text


def test_pages_up_to_the_ceiling_go_one_by_one_and_more_all_at_once_on_each_cpu_of_the_mask(vax: Run) -> None:
    few, many = (
        counts(vax, "-p", "op=madv_dontneed", "-p", f"pages={pages}", "-p", "threads=3") for pages in (16, 17)
    )
    assert (few["flush_ipis"], few["page_invalidations"], few["full_flushes"]) == (3, 16 * 4, 0)
    assert (many["flush_ipis"], many["page_invalidations"], many["full_flushes"]) == (3, 0, 4)


def test_it_stands_beside_others_in_one_table(vax: Run) -> None:
    text = vax("compare", "anonymous", "--arch", "vax,x86", "--kernel", "6.12,7.0", "--cpus", "4")
    assert "vax vax-9000, 4 CPUs" in text
    assert "x86 intel-server, 4 CPUs" in text


def test_sharing_is_not_applicable_and_one_what_if_away(vax: Run) -> None:
    assert "this kernel shares no hugetlb PMD tables" in vax(
        "compare", "hugetlb-munmap", "--arch", "vax", "--kernel", "7.0"
    )
    (row,) = json.loads(
        vax("targets", "--arch", "vax", "--kernel", "7.0", "--set", "kernel.pmd_sharing=true", "--json")
    )["rows"]
    assert (row["walk_cache_dropped"], row["sync"]) == (True, "redundant")
    assert "3 flush IPIs (tbia 4 times)" in row["reason"]


def test_its_steps_its_switches_and_its_format_are_shown(vax: Run) -> None:
    text = vax("explain", "anonymous", "-p", "threads=2", "--arch", "vax", "--kernel", "7.0", "--cpus", "4")
    assert "arch/vax/mm/tlb.c" in text
    assert "kernel.most_pages" in vax("list", "switches", "--arch", "vax")
    assert counts(vax, "--set", "kernel.most_pages=1", "-p", "pages=2")["full_flushes"] > 0
    assert "4K, 2M" in vax("list", "formats", "--arch", "vax")


def test_the_readme_shows_commands_that_run(vax: Run) -> None:
    lines = re.findall(r"^shootdown (.+)$", (VAX / "README.md").read_text(), re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        assert vax(*line.split())
