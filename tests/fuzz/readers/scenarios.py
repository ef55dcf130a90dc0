"""Files of Python that define a scenario: read, and explored."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

from fuzz.mutations import TEXTS, damaged
from fuzz.readers.reader import INPUTS, Reader, Use, written

from shootdown._questions.explore import scenario_named


@cache
def _scenario() -> str:
    return (INPUTS / "message.py").read_text()


def scenario_file(rng: random.Random) -> bytes:
    """Make a Python file that may define a scenario; what it says runs when it is built, not here."""
    text = _scenario()
    lines = text.splitlines(keepends=True)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, rng.choice(lines))
        elif kind == 2:
            lines[at] = lines[at].replace(
                rng.choice(("model", '"', "0", "1", "True", "(", "=")), rng.choice(TEXTS[:40])
            )
        else:
            lines.insert(
                at, rng.choice(("raise SystemExit\n", "1/0\n", "SCENARIO = 5\n", "import nothing\n", "\0\n"))
            )
    data = "".join(lines).encode("utf-8", "surrogatepass")
    return (
        damaged(rng, data, (b"SCENARIO", b"Scenario(", b"\n\t", b"import ", b"\xff"))
        if rng.random() < 0.3
        else data
    )


def _use_scenario(folder: Path) -> Use:
    def use(data: bytes) -> str:
        scenario_named(str(written(folder, "scenario.py", data)))
        return "read"

    return use


_STATEMENTS = (
    "model.asm.v_store({n}, {n}, text='x')", "model.asm.v_load({n}, {n}, text='x')", "model.asm.set({n}, {n})",
    "model.asm.fence(text='x')", "model.asm.halt()", "model.spin()", "model.sleep()", "model.signal({n})",
    "model.wait({n})", "model.asm.jump(down)", "model.asm.jump_zero({n}, down)",
    "model.asm.place(down)", "model.move({n})",
    "model.populate({n}, {n})", "model.asm.emit({n}, {n}, {n}, {n}, {n})", "model.asm.lock({n})",
    "model.asm.unlock({n})",
    "model.starts({n})", "model.starts(model.task(mm={n}, cpu={n}, ready=True))", "model.fail_if({n}, 0, 1, 'x')",
    "model.variable({n}, 'z')", "model.entry({n}, {n})", "down = model.label()", "model.asm.spawn({n})",
    "model.keep_lazy({n}, {n})", "model.preempt({n})", "model.concern({n})", "model.free_table()", "scene[{n}]",
)  # fmt: skip
_OPERANDS = ("0", "1", "2", "3", "-1", "9", "64", "9999", "2**31", "2**63", "1.5", "None", "'x'", "flag", "data",
             "ops.SCRATCH", "True", "down", "[]", "float('nan')")  # fmt: skip


def scenario_that_runs(rng: random.Random) -> bytes:
    """Make a scenario with mistakes in what it builds."""
    lines = _scenario().splitlines()
    first = next(n for n, line in enumerate(lines) if "flag, data" in line) + 1
    last = next(n for n, line in enumerate(lines) if "return Problem" in line)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(first, last)
        kind = rng.randrange(5)
        if kind == 0:
            lines[at] = (
                "    pass" if lines[at].startswith("    ") and not lines[at].endswith(":") else lines[at]
            )
        elif kind == 1:
            lines[at] = lines[at].replace(
                rng.choice(("0", "1", "2", "True", "flag", "data")), rng.choice(_OPERANDS), 1
            )
        else:
            statement = rng.choice(_STATEMENTS)
            while "{n}" in statement:
                statement = statement.replace("{n}", rng.choice(_OPERANDS), 1)
            lines.insert(at, f"    {statement}")
    if rng.random() < 0.2:
        at, old = rng.randrange(last, len(lines)), rng.choice(('"', "(", "16", "2", "walk", "build", "False"))
        lines[at] = lines[at].replace(old, rng.choice(_OPERANDS), 1)
    return "\n".join(lines).encode()


def _explore(folder: Path) -> Use:
    from shootdown._questions.explore import explorations, explore_case

    def use(data: bytes) -> str:
        scenario = scenario_named(str(written(folder, "scenario.py", data)))
        (case,) = explorations(scenario, arch=["x86"], kernels=["7.0"])
        found = explore_case(case, stories=True, most_states=300)
        json.dumps(found.to_dict())
        return found.verdict

    return use


READERS = (
    Reader("scenario files", scenario_file, _use_scenario),
    Reader("scenarios explored", scenario_that_runs, _explore, heavy=True),
)
