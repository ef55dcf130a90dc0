"""The frame of the command line: what is imported, how errors look, and which status a command ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from shootdown import _cli
from shootdown._plugins.patience import patience
from shootdown._values.errors import ShootdownError

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Plug = Callable[[str, str], None]

MAIN = [sys.executable, "-c", "from shootdown._cli import main; main()"]

WORKLOADS = """
from shootdown._values.workload import Workload
from shootdown import hookimpl

def refuse(setting):
    {code}
    return "it never runs"

@hookimpl
def shootdown_workloads():
    return [Workload("w", "", (), build=lambda setting: None, refuse=refuse)]
"""

RUN = ("compare", "w", "--arch", "x86", "--kernel", "7.0")


def use(monkeypatch: pytest.MonkeyPatch, body: Callable[[], object]) -> None:
    """Make `shootdown plugins` run something else."""
    command = click.Command("plugins", callback=body)
    monkeypatch.setattr(_cli._Frame, "get_command", lambda *_: command)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["nothing-of-that-name"], []])
def test_help_and_errors_of_the_frame_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; from shootdown._cli import run; run({arguments!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "shootdown._cli" in loaded
    assert not {"numba", "numpy", "rich", "pluggy", "attr", "shootdown_x86"} & loaded


def test_help_names_each_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, sentence in _cli.COMMANDS.items():
        assert f"  {name} " in text
        assert sentence in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["list", "plugins"])
def test_a_commands_own_help_opens_with_the_sentence_of_the_frame(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run([name, "--help"]) == 0
    assert _cli.COMMANDS[name].rstrip(".") in " ".join(capsys.readouterr().out.split())


def test_alone_it_says_what_to_try_and_each_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    tried = {line.split()[1] for line in lines if line.startswith("  shootdown ")}
    assert tried == {"compare", "history", "explain", "explore", "read"} <= set(_cli.COMMANDS)


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert _cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"shootdown {version('shootdown')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "shootdown: error: there is no command 'lst'; nearest: list\n"),
        (["--lst"], "shootdown: error: No such option '--lst'.\n  try: shootdown --help\n"),
        (
            ["list", "archs"],
            "shootdown: error: there is nothing called 'archs' to list; nearest: architectures\n",
        ),
        (
            ["list", "--arch"],
            "shootdown: error: Option '--arch' requires an argument.\n",
        ),
    ],
)
def test_a_request_that_cannot_be_served_ends_with_one_message_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.replace(": --lst\n", " '--lst'.\n") == message


def test_a_long_message_is_cut_to_ten_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        raise ShootdownError("\n".join(map(str, range(50))))

    use(monkeypatch, body)
    assert _cli.run(["plugins"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "shootdown: error: 0"
    assert lines[-1] == "  ..."


def test_a_file_that_cannot_be_read_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, lambda: Path("/nowhere/at/all").read_text())
    assert _cli.run(["plugins"]) == 2
    assert capsys.readouterr().err == (
        "shootdown: error: [Errno 2] No such file or directory: '/nowhere/at/all'\n"
    )


def test_a_command_may_end_with_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, lambda: click.get_current_context().exit(1))
    assert _cli.run(["plugins"]) == 1


def test_a_defect_of_the_project_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        _cli.run(["plugins"])


def test_ctrl_c_ends_with_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    use(monkeypatch, body)
    assert _cli.run(["plugins"]) == 130
    assert capsys.readouterr().err == "shootdown: interrupted\n"


def test_ctrl_c_blames_no_plugin_that_was_interrupted_before_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(name: str) -> None:
        exec("raise KeyboardInterrupt", {"__name__": name})

    with pytest.raises(KeyboardInterrupt), patience("plugin slow"):
        interrupt("plugged_slow")
    use(monkeypatch, lambda: interrupt("shootdown"))
    assert _cli.run(["plugins"]) == 130
    assert capsys.readouterr().err == "shootdown: interrupted\n"


def test_a_real_sigint_while_a_plugin_loads_ends_with_one_line_and_status_130(site: Path, plug: Plug) -> None:
    plug("slow", "import pathlib, time\npathlib.Path(__file__ + '.started').touch()\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [*MAIN, "plugins"], env={**os.environ, "PYTHONPATH": str(site)}, stderr=subprocess.PIPE, text=True
    )
    while not (site / "plugged_slow.py.started").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors.startswith("shootdown: interrupted in plugin slow (shootdown-slow 9.9), ")
    assert errors.endswith("plugged_slow.py, line 3\n")
    assert process.returncode == 130


LOOP = """
    import pathlib
    pathlib.Path(__file__ + '.started').touch()
    while True:
        pass
"""


@pytest.mark.parametrize(
    "arguments", [RUN, (*RUN, "--arch", "arm64", "--platform", "intel-server,neoverse-n1")]
)
def test_ctrl_c_names_the_plugin_whose_code_loops_during_a_run(
    site: Path, plug: Plug, arguments: tuple[str, ...]
) -> None:
    plug("loops", WORKLOADS.format(code=LOOP))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    process = subprocess.Popen([*MAIN, *arguments], env=environment, stderr=subprocess.PIPE, text=True)
    while not (site / "plugged_loops.py.started").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "shootdown: interrupted in plugin loops (shootdown-loops 9.9), " in errors
    assert process.returncode == 130


LOWERING = """
import attrs, pathlib, time
import shootdown_x86
from shootdown import hookimpl
from shootdown.porting import PlainLowering
from shootdown_x86._flush import X86Lowering

class Loops(X86Lowering):
    def no_thp(self):
        if pathlib.Path(__file__ + ".loaded").exists():
            pathlib.Path(__file__ + ".started").touch()
            while True: pass

@hookimpl
def shootdown_architectures():
    (x86,) = shootdown_x86.shootdown_architectures()
    return [attrs.evolve(x86, name="loops", aliases=(), aliases_imply={}, formats=(), lower=Loops)]
"""


def test_ctrl_c_names_a_method_of_a_lowering_that_loops(site: Path, plug: Plug) -> None:
    plug("loops", LOWERING)
    (site / "plugged_loops.py.loaded").touch()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    asked = [*MAIN, "compare", "thp-collapse", "--arch", "loops", "--kernel", "7.0"]
    process = subprocess.Popen(asked, env=environment, stderr=subprocess.PIPE, text=True)
    while not (site / "plugged_loops.py.started").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "shootdown: interrupted in plugin loops (shootdown-loops 9.9), " in errors


def test_a_plugins_code_that_loops_ends_by_a_time_out_that_names_it(shell: Shell, plug: Plug) -> None:
    plug("loops", WORKLOADS.format(code=LOOP))
    done = shell(*RUN, environment={"SHOOTDOWN_PLUGIN_SECONDS": "0.5"})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "shootdown: error: plugin loops (shootdown-loops 9.9): workload w: refuse() runs for 0.5 s without"
    )
    assert "plugged_loops.py, line " in line


@pytest.mark.parametrize(("code", "status"), [("1 // 0", 1), ("", 1), (WORKLOADS.format(code="pass"), 0)])
def test_plugins_ends_with_1_where_one_was_refused(shell: Shell, plug: Plug, code: str, status: int) -> None:
    plug("some", code)
    assert shell("plugins").returncode == status
    assert shell("plugins", "--json").returncode == status
    disabled = {"SHOOTDOWN_DISABLE": "some"}
    assert shell("plugins", environment=disabled).returncode == 0


STUB = """
from shootdown import Architecture, hookimpl

@hookimpl
def shootdown_architectures():
    return [Architecture(api=1, name="vax", summary="{0}")]
"""


def test_what_a_stub_lacks_is_told_with_the_plugin_that_lost_the_name_to_it(shell: Shell, plug: Plug) -> None:
    plug("aaa", STUB.format("a stub"))
    plug("vax", STUB.format("the real one"))
    done = shell("compare", "anonymous", "--arch", "vax")
    assert done.returncode == 2
    assert "architecture vax has no platform" in done.stderr
    assert (
        "not loaded: vax (shootdown-vax 9.9): provides architecture 'vax', which aaa (shootdown-aaa 9.9) provides"
        in done.stderr
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [*MAIN, "list", "switches", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert [line for line in errors.splitlines() if "not loaded: see" not in line] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*MAIN, "plugins", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "shootdown: error: the report can't be written: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("validate", "-"), "standard input has no row"),
        (("tlb", "-"), "trace -: it is empty"),
        (("explore", "--replay", "-"), "standard input: no JSON, or cut off"),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(words: tuple[str, ...], says: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *MAIN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_no_part_of_the_report_where_standard_error_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *MAIN, "list", "nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_standard_stream_is_no_traceback(closed: str) -> None:
    script = f'exec "$@" {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *MAIN, "plugins", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert done.stdout == "" if closed == "1" else json.loads(done.stdout)["schema"] == 1


NOISY = """
import os, subprocess, sys
print("from Python")
sys.stdout.flush()
os.write(1, b"from C\\n")
subprocess.run(["echo", "from a child"])
"""


def test_nothing_that_a_plugin_writes_while_imported_gets_into_json(shell: Shell, plug: Plug) -> None:
    plug("noisy", NOISY)
    done = shell("plugins", "--json")
    assert json.loads(done.stdout)["schema"] == 1
    for source in ("from Python", "from C", "from a child"):
        assert source in done.stderr


def test_nothing_that_a_plugin_writes_during_a_run_gets_into_json(shell: Shell, plug: Plug) -> None:
    plug("noisy", WORKLOADS.format(code="print('during a run')"))
    done = shell(*RUN, "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["supported"], row["reason"], row["counts"]) == (False, "it never runs", {})
    assert "during a run" in done.stderr


@pytest.mark.parametrize("code", ["1 // 0", "raise SystemExit(0)", "open('/nowhere/at/all')"])
def test_an_error_in_a_plugin_during_a_run_names_the_plugin(shell: Shell, plug: Plug, code: str) -> None:
    plug("bad", WORKLOADS.format(code=code))
    done = shell(*RUN)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("shootdown: error: plugin bad (shootdown-bad 9.9) failed: ")
    assert "plugged_bad.py:6; SHOOTDOWN_TRACEBACK=1 shows the traceback" in lines[1]
    assert len(lines) == 2


def test_a_plugins_author_can_see_the_traceback(shell: Shell, plug: Plug) -> None:
    plug("bad", WORKLOADS.format(code="1 // 0"))
    done = shell(*RUN, environment={"SHOOTDOWN_TRACEBACK": "1"})
    assert "Traceback" in done.stderr
    assert done.stderr.rstrip().endswith("ZeroDivisionError: integer division or modulo by zero")


def test_asking_for_what_a_broken_plugin_would_provide_says_so_in_a_few_lines(
    shell: Shell, plug: Plug
) -> None:
    plug("riscv", "import nowhere_at_all")
    done = shell("list", "platforms", "--arch", "riscv")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("shootdown: error: there is no architecture 'riscv'; ")
    assert lines[1] == (
        "  not loaded: riscv (shootdown-riscv 9.9): ModuleNotFoundError: No module named 'nowhere_at_all'"
    )
    assert len(lines) <= 10


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_needs_to_complete_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["completion", shell]) == 0
    assert f"{_cli.COMPLETE}={shell}_complete" in capsys.readouterr().out


def test_commands_options_and_programs_are_completed_and_what_is_no_command_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(words: str, at: int) -> str:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(at))
        monkeypatch.setenv(_cli.COMPLETE, "bash_complete")
        monkeypatch.setattr("sys.argv", ["shootdown"])
        with pytest.raises(SystemExit) as end:
            _cli.main()
        assert end.value.code == 0
        return capsys.readouterr().out

    assert "plain,compare" in asked("shootdown comp", 1)
    assert "plain,--kernel" in asked("shootdown compare --ker", 2)
    assert asked("shootdown nothing --ker", 2) == ""
    assert "plain,hugetlb-munmap" in asked("shootdown compare huge", 2)
    assert asked("shootdown explore unshare-g", 2) == "plain,unshare-gup\n"
    assert {"plain,fork-storm", "plain,unshare-gup"} <= set(asked("shootdown history ", 2).splitlines())
    assert asked("shootdown compare drop.t", 2) == "file,drop.t\n"
