"""`shootdown explore FILE.py`: what a scenario of one's own with mistakes in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.cli.explored import rows, run

ROOT = Path(__file__).parents[3]

TRAPPED = """
from shootdown.scenarios import Model, Parameter, Problem, Scenario, ops


def build(scene):
    model = Model(scene.kernel, scene.lowering, cpus=1, mms=1)
    asm, flag, again, over = model.asm, model.variable(0, "flag"), model.label(), model.label()
    model.starts(model.task(mm=0, cpu=0, ready=True))
    with asm.function("poll", "mine.c"):
        asm.jump_zero(ops.INDEX, over) if scene["how"] != "trapped" else None
        asm.place(again)
        asm.v_load(ops.SCRATCH, flag, text="read the flag")
        asm.jump_zero(ops.SCRATCH, again)
        asm.reached(0)
    asm.place(over)
    asm.set(99 if scene["how"] == "mistaken" else ops.INDEX, 1)
    model.spin()
    return Problem(machine=model.build(bits=16), invariants=("walk-cache",), places=("told",), lanes=("polls",))


SCENARIO = Scenario(
    name="trapped", summary="a flag that nobody raises", source="an example", build=build, window=("told",),
    parameters=(Parameter("how", "trapped", "what is wrong", choices=("trapped", "skipped", "mistaken")),),
    flushes=False,
)
"""


MISTAKEN = """
from shootdown.scenarios import Model, Problem, Scenario, ops


def build(scene):
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    first, second = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    asm, lock, label, names = model.asm, model.lock(), model.label(), ("walk-cache",)
    model.starts(first)
    MISTAKE
    model.spin()
    model.starts(second)
    asm.reached(0)
    model.spin()
    return Problem(machine=model.build(bits=16), invariants=names, places=("there", "nowhere"))


SCENARIO = Scenario(name="mine", summary="mine", source="mine", build=build, window=WINDOW)
"""
_LINE = 10
ONE_LINE = {
    "a register of two billion": ("asm.set(2_000_000_000, 7)", "SET: register 2000000000: there are 0 to 6"),
    "an operation": ("asm.emit(9999)", "there is no operation 9999"),
    "a register": ("asm.set(99, 7)", "SET: register 99"),
    "a CPU": ("model.task(mm=0, cpu=9)", "CPU 9: there are 0 to 1"),
    "an mm": ("model.task(mm=9, cpu=0)", "mm 9"),
    "a place": ("asm.reached(7)", "REACHED: place 7: there are 0 to 1 (there, nowhere)"),
    "a label placed twice": ("asm.place(label); asm.place(label)", "a label is placed twice"),
    "a label that is never placed": ("asm.jump(label)", "never placed"),
    "a label of another model": (
        "other = Model(scene.kernel, scene.lowering, cpus=1, mms=1).asm; other.place(label); asm.jump(label)",
        "placed in another model",
    ),
    "an unlock": ("asm.unlock_write(lock)", "UNLOCK_WRITE: task 0 cannot hold lock"),
    "an unlock that only a run can tell": (
        "asm.lock_write(lock); asm.unlock_write(lock); asm.unlock_write(lock)", "nobody holds the lock",
    ),
    "an error of Python of two lines": ("raise ValueError('one\\ntwo')", "build(): ValueError: one two"),
    "an exit": ("raise SystemExit(0)", "build(): SystemExit: 0"),
    "an exception of one's own": ("raise type('Own', (BaseException,), {})('x')", "build(): Own: x"),
    "a parameter that there is not": ("scene['no']", "scene['no']: there is no such parameter or switch"),
    "a label for a parameter": ("scene[model.label()]", "scene[a Label]: there is no such parameter or switch"),
    "a loop of no turns": ("asm.loop(0).__enter__()", "loop(): the steps within are taken once at least"),
    "too little memory": ("raise MemoryError", "build(): it does not fit into memory"),
    "words that raise": (
        "names = ('it',); asm.v_store(model.variable(0, 'v', words=lambda _: 1 // 0), 1); asm.fail(0)",
        "the words of variable 'v' for 0: ZeroDivisionError",
    ),
}  # fmt: skip
IN_ANOTHER_LINE = {
    "recursion": ("return build(scene)", "RecursionError"),
    "two tasks on a CPU": ("model.starts(model.task(mm=0, cpu=0, ready=True))", "tasks 0 and 2 are on CPU 0"),
    "no invariants": ("names = ()", "at least one of the invariants"),
    "a build that returns nothing": ("return", "build() returned None; it is to return Problem"),
    "too many steps": ("[asm.set(0, 1) for _ in range(65_536)]", "steps are too many"),
}


def mistaken(tmp_path: Path, mistake: str, window: str = '("there",)') -> str:
    own = tmp_path / "mine.py"
    own.write_text(MISTAKEN.replace("MISTAKE", mistake).replace("WINDOW", window))
    return str(own)


@pytest.mark.parametrize("name", [*ONE_LINE, *IN_ANOTHER_LINE])
def test_a_mistake_in_a_scenario_of_ones_own_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    mistake, message = ONE_LINE.get(name) or IN_ANOTHER_LINE[name]
    text, errors = run(capsys, "explore", mistaken(tmp_path, mistake), "--arch", "x86", status=2)
    assert text == ""
    (line,) = [line for line in errors.splitlines() if line.startswith("shootdown: error: ")]
    assert errors.endswith(line + "\n")
    assert message in line
    assert f"mine.py, line {_LINE if name in ONE_LINE else ''}" in line


@pytest.mark.parametrize(
    ("mistake", "window", "word", "status"),
    [
        ("pass", '("there",)', "SAFE", 0),
        ("pass", '("nowhere",)', "VACUOUS", 3),
        ("asm.place(label); asm.jump(label)", '("there",)', "LIVELOCK", 0),
        ("asm.place(label); asm.add(0, 1); asm.jump(label)", '("there",)', "LIVELOCK", 0),
        ("exec('with asm.loop(9): asm.set(ops.INDEX, 1)')", '("there",)', "LIVELOCK", 0),
    ],
)
def test_nothing_that_gets_nowhere_is_safe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, mistake: str, window: str, word: str, status: int
) -> None:
    own = mistaken(tmp_path, mistake, window)
    text, _ = run(capsys, "explore", own, "--arch", "x86", "--kernel", "7.0", status=status)
    assert text.splitlines()[0] == f"mine on x86 intel-server, kernel 7.0: {word}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('name=None, summary="", source="", build=print', "name is a NoneType, not a str"),
        ('name="s", summary=None, source="", build=print', "summary is a NoneType, not a str"),
        ('name="s", summary="", source="", build="x"', "build is a str, not a function"),
        ('name="s", summary="", source="", build=print, window="there"', "window is a str, not a list or tuple"),
        ('name="s", summary="", source="", build=print, expected=(Expect("sfe"),)', "the verdict 'sfe'; nearest: safe"),
        (
            'name="s", summary="", source="", build=print, sentences={1: ""}',
            "sentences has the key 1, which is an int, not a str",
        ),
        ('name="s", summary="", source="", build=print, flushes="no"', "flushes is a str, not a bool"),
        (
            'name="s", summary="", source="", build=print, parameters=(Parameter("n", 1, ""), Parameter("n", 2, ""))',
            "two parameters 'n'",
        ),
        (
            'name="s", summary="", source="", build=print, parameters=(Parameter("n", 1.5, ""),)',
            "default is a float, not an int",
        ),
        (
            'name="s", summary="", source="", build=print, parameters=(Parameter("n", "a", "", choices=(1,)),)',
            "choices has an int where a str belongs",
        ),
    ],
)  # fmt: skip
def test_what_a_scenario_of_ones_own_says_of_itself_is_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, written: str, message: str
) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        f"from shootdown.scenarios import Expect, Parameter, Scenario\nSCENARIO = Scenario({written})\n"
    )
    _, errors = run(capsys, "explore", str(own), "--arch", "x86", status=2)
    assert len(errors.splitlines()) == 1
    assert str(own) in errors
    assert message in errors


def test_livelocks_are_answers_and_empty_windows_are_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = tmp_path / "trapped.py"
    own.write_text(TRAPPED)
    command = ("explore", str(own), "--arch", "arm64")
    text, _ = run(capsys, *command)
    assert "LIVELOCK" in text
    assert "CPU 0 goes round for ever in poll(), whatever the others do: read the flag" in " ".join(
        text.split()
    )
    (row,) = rows(capsys, *command)
    assert (row["verdict"], row["invariant"], row["reached"]) == ("livelock", "livelock", [])
    assert row["story"][-1]["ending"]
    (row,) = rows(capsys, *command, "-p", "how=skipped", status=3)
    assert (row["verdict"], row["story"]) == ("vacuous", [])
    assert "no state reaches told" in row["reason"]
    matrix = ("matrix", str(own), "--arch", "arm64", "--kernel", "7.0")
    assert "LIVELOCK" in run(capsys, *matrix)[0]
    assert "vacuous" in run(capsys, *matrix, "-p", "how=skipped", status=3)[0]
    _, errors = run(capsys, *command, "-p", "how=mistaken", status=2)
    assert "trapped.py, line 16: SET: register 99: there are 0 to 6" in errors


def test_a_scenario_of_ones_own_runs_and_replays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = ROOT / "tests" / "outputs" / "inputs" / "message.py"
    command = ("explore", str(own), "--arch", "arm64", "--set", "scenario.barrier=false")
    assert rows(capsys, "explore", str(own), "--arch", "arm64")[0]["verdict"] == "safe"
    (row,) = rows(capsys, *command)
    assert (row["verdict"], row["invariant"]) == ("bug", "message")
    assert rows(capsys, *command, "--set", "memory_model=tso")[0]["verdict"] == "safe"
    text, _ = run(capsys, *command)
    assert "Who sees the flag sees the data." in text
    assert "flag = 1 waits in CPU 0's store buffer" in " ".join(text.replace("│", " ").split())
    saved = tmp_path / "story.json"
    saved.write_text(run(capsys, *command, "--json")[0])
    replayed, _ = run(capsys, "explore", str(own), "--replay", str(saved))
    assert "replayed, and message does not hold at the end" in " ".join(replayed.split())
    assert "message-passing" in run(capsys, "matrix", str(own), "--arch", "arm64")[0]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "it defines no SCENARIO"),
        ("SCENARIO = 3", "it defines no SCENARIO"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def", "SyntaxError"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_file_that_defines_no_scenario_is_refused_in_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, code: str, says: str
) -> None:
    own = tmp_path / "mine.py"
    own.write_text(code)
    for command in ("explore", "matrix"):
        _, errors = run(capsys, command, str(own), status=2)
        assert says in errors
        assert len(errors.splitlines()) == 1


def test_a_scenario_of_thousands_of_cpus_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    example = ROOT / "docs" / "examples" / "late_flush.py"
    path = tmp_path / "large.py"
    path.write_text(example.read_text().replace("cpus=2", "cpus=9999"))
    _, errors = run(capsys, "explore", str(path), status=2)
    assert "a scenario of 9999 CPUs: exploration takes up to 64" in errors
