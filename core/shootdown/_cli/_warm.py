"""`shootdown warm`: compile all kernels now, so that no later command has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _progress, _writing

if TYPE_CHECKING:
    from shootdown._questions.warm import Warmed


@_common.command("warm")
@click.argument("parts", metavar="[PART]...", nargs=-1)
@_common.json_option
def command(parts: tuple[str, ...], as_json: bool) -> None:
    """Compile all kernels ahead, once for all later runs.

    A PART is walks, tlb, engine or explorer; without any, all are compiled, which takes some minutes. What is
    compiled already, from the present sources, stays. An edited plugin needs its own kernels again and no other.
    """
    from shootdown._questions.warm import jobs, warm

    waiting = jobs(parts)
    done: list[Warmed] = []
    interrupted = False
    try:
        with _progress.progress("compiling", len(waiting)) as advance:
            for job in waiting:
                advance(0, f"compiling {job.name}")
                done.append(warm(job))
                advance()
    except KeyboardInterrupt:
        interrupted = True
    new = [job for job in done if job.kernels]
    if as_json:
        names = ("part", "name", "kernels", "seconds")
        rows = [{name: getattr(job, name) for name in names} for job in done]
        _writing.write_json({"schema": 1, "rows": rows})
    elif new:
        _writing.write_table(
            ("compiled", "kernels", "seconds"),
            [(job.name, job.kernels, f"{job.seconds:.1f}") for job in new],
            right=("kernels", "seconds"),
        )
    elif not interrupted:
        _writing.write_line("nothing to do: all kernels are compiled")
    if interrupted:
        click.echo(f"{len(done)} of {len(waiting)} parts are done; what was compiled is kept", err=True)
        raise KeyboardInterrupt
