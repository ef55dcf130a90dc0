"""`shootdown measure`: programs on a real kernel under an emulator, and the model beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shootdown._cli import _common, _progress, _writing
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._oracle.validate import Comparison, Verdict

_FILE = click.Path(path_type=Path)


@_common.command("measure")
@click.argument("kernel", type=_FILE)
@click.option(
    "--program",
    "programs",
    multiple=True,
    type=_FILE,
    help="A program's file; may be repeated. The shipped ones unless given.",
)
@_common.parameter_option
@click.option("--arch", help="The architecture, where the file does not say.")
@click.option("--release", help="The kernel's release, where it does not say itself, such as 6.12.74.")
@click.option("--cpus", type=_common.Whole(1, 64), default=4, show_default=True, help="CPUs of the machine.")
@click.option(
    "--cpu-model", help="The emulator's CPU, as its `-cpu help` names them, such as power10 or max."
)
@click.option(
    "--repetitions",
    type=_common.Whole(1, 100),
    default=3,
    show_default=True,
    help="How often each program is run.",
)
@click.option(
    "--stale",
    type=_common.Whole(0, 1000),
    default=0,
    help="Run each program so often besides, while threads that spin read what it takes away; count stale reads.",
)
@click.option("--out", type=_FILE, help="Add the rows to this file, which `shootdown validate` reads.")
@_common.json_option
def command(
    kernel: Path,
    programs: tuple[Path, ...],
    parameters: Mapping[str, str],
    arch: str | None,
    release: str | None,
    cpus: int,
    cpu_model: str | None,
    repetitions: int,
    stale: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Boot a kernel under an emulator, run programs on it, and compare the model with it.

    KERNEL is a bzImage, Image or vmlinux, or Debian's package of one. The machine has nothing else: a small runner is
    its only process, and counts calls by ftrace and rows of /proc/interrupts while a program measures. The exit status
    is 1 if a count disagrees with the model. Needed: qemu-system, a C compiler for the architecture, and dpkg-deb for
    a package.
    """
    from shootdown._measure.measuring import measure, plan
    from shootdown._measure.shipped import shipped
    from shootdown._oracle.rows import parse_rows
    from shootdown._oracle.validate import validate

    files = list(programs) or shipped()
    planned = plan(
        files, parameters, cpus=cpus, repetitions=repetitions, all_of_them=bool(programs), watched=stale
    )
    if out is not None:
        _append(out, [])  # before the minute that the machine takes
    known = registry().architectures().values()
    with _progress.progress("booting, then runs", len(planned.images) * (repetitions + stale)) as advance:
        found = measure(kernel, known, planned, arch=arch, release=release, cpu_model=cpu_model, ran=advance)
    lines = [json.dumps(row) for row in found.rows]
    if out is not None:
        _append(out, lines)
    compared = list(validate(parse_rows("\n".join(lines)))) if lines else []
    if as_json:
        rows: list[Any] = [one.to_dict() for one in compared]
        _writing.write_json({"schema": 1, "rows": rows, "remarks": list(found.remarks)})
    else:
        _report(compared)
        for remark in found.remarks:
            _writing.write_wrapped(f"* {remark}", rest="  ")
    if not compared:
        raise ShootdownError("nothing was measured")
    if not any(one.verdicts for one in compared):
        raise ShootdownError("nothing was compared: the model predicts none of these programs")
    if any(not v.agrees and v.reason is None for c in compared for v in c.verdicts):
        click.get_current_context().exit(1)


def _append(out: Path, lines: list[str]) -> None:
    """Add rows to a file; what is in it stays."""
    try:
        with out.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise ShootdownError(f"{out} can't be written: {error.strerror or error}") from None


def _report(compared: list[Comparison]) -> None:
    """Write each count of each program, measured and predicted."""
    rows, remarks = [], []
    for comparison in compared:
        name = str(comparison.row.fields.get("name", ""))
        for verdict in comparison.verdicts:
            rows.append(
                (name, verdict.count, _range(verdict.measured), _range(verdict.predicted), _word(verdict))
            )
            name = ""
        if not comparison.verdicts:
            rows.append((name, "", "", "", "not predicted"))
            remarks.append(f"{name} is not predicted: {comparison.reason or 'the model lacks the kernel'}")
    if not compared:
        return
    row = compared[0].row
    title = f"{row.arch} {row.kernel}, {row.cpus} CPUs, {_times(row.fields.get('repetitions'))}"
    _writing.write_table(
        ("program", "count", "measured", "model", ""), rows, title=title, right=("measured", "model")
    )
    verdicts = [v for c in compared for v in c.verdicts]
    agree = sum(v.agrees for v in verdicts)
    _writing.write_line(f"\n{agree} of {len(verdicts)} counts agree.")
    remarks += dict.fromkeys(v.reason for v in verdicts if not v.agrees and v.reason)
    for remark in remarks:
        _writing.write_wrapped(f"* {remark}", rest="  ")


def _times(count: object) -> str:
    return "1 run of each program" if count == 1 else f"{count} runs of each program"


def _range(ends: tuple[int, int] | None) -> str:
    if ends is None:
        return "unknown"
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _word(verdict: Verdict) -> str:
    if verdict.agrees:
        return "" if verdict.kind == "exact" else verdict.kind
    return "differs" if verdict.reason is None else "differs, known"
