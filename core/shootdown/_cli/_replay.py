"""`shootdown replay`: a recording as a program, where it came from and elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from shootdown._cli import _about, _common, _progress, _writing

_WIDTH = 80


@_common.command("replay")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--recorded-on",
    metavar="PLATFORM@KERNEL",
    help="Where it was recorded, or a part of that: PLATFORM, @KERNEL, ARCH/PLATFORM@KERNEL.",
)
@click.option(
    "--write",
    metavar="PROGRAM.toml",
    type=click.Path(path_type=Path),
    help="Write the program, which compare, explain and history take.",
)
@click.option("--grow", is_flag=True, help="With --cpus: reach as large a part of more CPUs.")
@_about.options("parameters", "arch", "platform", "kernel", "cpus", "settings", "patch")
@_common.json_option
def command(
    files: tuple[str, ...],
    recorded_on: str | None,
    write: Path | None,
    grow: bool,
    about: _about.About,
    as_json: bool,
) -> None:
    """Replay a recording on other kernels and machines.

    FILE is what `shootdown read` reads. What was recorded becomes a program; it is run where it came from, and
    compared with what was recorded; then on what is asked for: releases, platforms, numbers of CPUs, what-ifs, a
    patch. (A story that explore found is replayed by explore --replay.)
    """
    from shootdown._cli._read import reading
    from shootdown._questions.replay import prepare, run
    from shootdown._questions.simulate import RUNS
    from shootdown._records.file_reading import INTERRUPTED
    from shootdown._report.replay import lines, to_dict
    from shootdown._values.errors import ShootdownError
    from shootdown._values.outputs import check_place, replacing

    if write is not None:
        if write.suffix != ".toml":
            raise ShootdownError(f"--write {write}: a program's name ends in .toml")
        check_place("--write", write)
        if write.exists():  # perhaps edited since
            raise ShootdownError(
                f"--write {write}: there is such a file already; remove it, or name another one"
            )
    if grow and not about.cpus:
        raise ShootdownError("--grow goes with --cpus: to how many CPUs?")
    with reading(files) as progress:
        prepared = prepare(
            files,
            recorded_on=recorded_on,
            cpus=about.cpus,
            **about.named(),
            grow=grow,
            progress=progress,
        )
    if prepared.recording.files[-1].fault == INTERRUPTED:
        raise KeyboardInterrupt
    if write is not None:
        with replacing(write) as out:
            out.write(prepared.plan.text)
    with _progress.progress("replay", len(prepared.cases) * len(RUNS)) as advance:
        rows = run(prepared, advance)
    if as_json:
        _writing.write_json(to_dict(prepared, rows))
        return
    for line in lines(prepared, rows, min(_writing.width(), _WIDTH)):
        _writing.write_line(line)
    if write is not None:
        _writing.write_line(f"\nThe program is in {write}: shootdown compare {write}")
