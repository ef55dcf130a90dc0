"""`--plugin FILE.py` loads the plugin of a file, on every command; what is wrong in it is one line."""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shootdown._cli import COMMANDS, _frame, run
from shootdown._plugins import files
from shootdown._plugins.registry import registry
from shootdown._questions.workers import _others, divided
from shootdown._values.errors import ShootdownError

VAX = Path(__file__).parents[3] / "docs/examples/vax/src/shootdown_vax/__init__.py"


@pytest.fixture(autouse=True)
def nothing_given() -> Iterator[None]:
    """Forget after each test which files were given."""
    before = set(sys.modules)
    yield
    files.give(())
    for name in set(sys.modules) - before:
        if name.startswith(("plugin_", "shootdown_vax")):
            del sys.modules[name]


def edited(folder: Path, old: str, new: str, name: str = "mine.py") -> str:
    text = VAX.read_text()
    assert old in text
    path = folder / name
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_it(name: str) -> None:
    command = _frame.get_command(click.Context(_frame), name)
    assert command is not None
    assert "--plugin" in [option for parameter in command.params for option in parameter.opts]


def test_an_architecture_of_a_file_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "anonymous", "--arch", "vax", "--kernel", "7.0", "-p", "op=madv_dontneed", "--json"]
    assert run([*words, "--plugin", str(VAX)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["counts"]["page_invalidations"] == 4  # one page, on the CPU of each of four threads
    assert run(words) == 2
    assert "there is no architecture 'vax'" in capsys.readouterr().err


def test_a_file_and_one_beside_it_are_both_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text("from shootdown import hookimpl\n@hookimpl\ndef shootdown_workloads():\n    return []\n")
    mine = edited(tmp_path, '"vax"', '"vax2"')
    assert run(["plugins", "--json", "--plugin", mine, "--plugin", str(other)]) == 0
    loaded = json.loads(capsys.readouterr().out)["loaded"]
    assert [plugin["distribution"] for plugin in loaded][-2:] == [mine, str(other)]
    assert len({plugin["module"] for plugin in loaded}) == len(loaded)


def test_the_environment_names_files_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOOTDOWN_PLUGIN", str(VAX))
    assert run(["list", "formats", "--arch", "vax"]) == 0
    assert "4K, 2M" in capsys.readouterr().out


def test_python_reads_the_environment_as_well() -> None:
    asked = "import shootdown; print(shootdown.kernel('7.0', 'vax').release)"
    world = os.environ | {"SHOOTDOWN_PLUGIN": str(VAX)}
    done = subprocess.run(
        [sys.executable, "-c", asked], env=world, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("7.0\n", 0), done.stderr


def test_a_file_that_was_edited_within_the_second_is_read_anew(tmp_path: Path) -> None:
    for summary in ("aaa", "bbb"):
        files.give([edited(tmp_path, "imaginary VAX: flushes", summary)])
        registry.__globals__["_registry"].cache_clear()
        assert registry().architecture("vax").summary.startswith(summary)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cpus=8", "cpux=8", "line 24: TypeError: Platform.__init__() got an unexpected keyword argument 'cpux'"),
        ("most_pages: int", "most_pages int", "line 31: SyntaxError: invalid syntax"),
        ("[vax]", "[vax, 1 // 0]", "line 60: ZeroDivisionError: integer division or modulo by zero"),
        ("[vax]", "vax", "line 46: shootdown_architectures returned an Architecture, not a list or tuple"),
        ("api=1", "api=7", "line 46: architecture 'vax' is written for api 7; this shootdown supports api 1"),
        ("architectures()", "architectures(config)", "line 46: shootdown_architectures takes config: it is"),
        ("def shootdown_architectures", "def shootdown_archs", "line 46: shootdown_archs is no hook; nearest:"),
        ("@hookimpl\n", "", "implements no hook: mark functions with shootdown.hookimpl"),
        ('name="vax",\n        summary', 'name="x86",\n        summary', "provides architecture 'x86', which x86"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_and_line(
    old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["list", "architectures", "--plugin", edited(tmp_path, old, new)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert told in printed.err
    assert "mine.py" in printed.err


@pytest.mark.parametrize(
    ("name", "told"), [("no.py", "there is no such file"), ("no.toml", "does not end in .py"), (".py", "folder")]
)  # fmt: skip
def test_what_is_no_file_of_python_is_refused(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / ".py").mkdir()
    with pytest.raises(ShootdownError, match=told):
        files.give([str(tmp_path / name)])


def test_modules_beside_a_package_s_init_are_found(tmp_path: Path) -> None:
    package = tmp_path / "shootdown_parted"
    package.mkdir()
    (package / "_values.py").write_text('SUMMARY = "from another module"\n')
    text = VAX.read_text().replace('summary="imaginary VAX: flushes', 'summary=SUMMARY + "')
    (package / "__init__.py").write_text(
        f"from shootdown_parted._values import SUMMARY\n{text[text.index('import attrs') :]}"
    )
    files.give([str(package / "__init__.py")])
    assert registry().architecture("vax").summary.startswith("from another module")
    for name in ("shootdown_parted", "shootdown_parted._values"):
        del sys.modules[name]


def test_other_processes_load_the_same_files() -> None:
    files.give([str(VAX)])
    vax = registry().architecture("vax")
    told = operator.attrgetter("name", "configure.__name__", "configure.__module__")  # it is a lambda
    shown = ("vax", "<lambda>", "shootdown_vax")
    assert list(divided(told, [vax], processes=1)) == [(0, shown)]
    assert list(_others(told, [vax, vax], 0, (1, 1), 1)) == [(0, shown), (1, shown)]
