"""`shootdown compare`: what one workload costs, a row for each combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click

from shootdown._cli import _common, _lore, _progress
from shootdown._questions.case import Case
from shootdown._questions.compare import HEADLINE_WORKLOAD, cases, headline_kernels, run_cases
from shootdown._questions.simulate import RUNS
from shootdown._values.result import SCHEMA, Result
from shootdown._values.workload import Workload


@_common.command("compare")
@click.argument("workload", default=HEADLINE_WORKLOAD)
@_common.parameter_option
@_common.arch_option
@_common.platform_option
@_common.kernel_option
@_common.cpus_option
@_common.set_option
@_common.patch_option
@_lore.option
@_common.json_option
def command(
    workload: str,
    parameters: Mapping[str, str],
    arch: tuple[str, ...],
    platform: tuple[str, ...],
    kernel: tuple[str, ...],
    cpus: tuple[int, ...],
    settings: tuple[str, ...],
    patch: str | None,
    lore: bool,
    as_json: bool,
) -> None:
    """Compare what one workload costs, a row for each combination.

    Without arguments: the bug report of 1000 children over 1200 GiB of shared hugetlb memory, on kernels before,
    with and after the changes that it is about. `shootdown list` names what there is to choose from.
    """
    _lore.refuse_json(lore, as_json)
    chosen: list[Case[Workload]] = []
    done: list[Result] = []
    interrupted = False
    try:
        chosen = cases(
            workload,
            arch=arch,
            platforms=platform,
            kernels=kernel,
            cpus=cpus,
            parameters=parameters,
            settings=settings,
            patch=patch,
        )
        with _progress.progress(_what(workload, len(chosen)), len(chosen) * len(RUNS)) as advance:
            besides = () if as_json else _told_of(chosen)
            done.extend(run_cases(chosen, advance, besides))  # what was done before an interrupt stays
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        _common.write_json({"schema": SCHEMA, "rows": [row.to_dict() for row in done]})
    elif done and lore:
        again = _lore.command_line(
            "compare",
            workload,
            parameters=parameters,
            arch=arch,
            platform=platform,
            kernel=kernel or headline_kernels(),
            cpus=cpus,
            settings=settings,
            flags={"--patch": patch},
        )
        _lore.write(_lines(chosen, done, _lore.WIDTH), again)
    elif done:
        for line in _lines(chosen, done, _common.width()):
            _common.write_line(line)
    if interrupted:
        if chosen:
            click.echo(f"{len(done)} of {len(chosen)} rows are done", err=True)
        raise KeyboardInterrupt


def _what(workload: str, rows: int) -> str:
    """Return the label of the progress bar."""
    return f"{workload}: {rows} row{'s' if rows > 1 else ''}"


def _told_of(chosen: list[Case[Workload]]) -> Sequence[Callable[[], object]]:
    """Return what the lines below the table need to know besides the rows."""
    from shootdown._report.headline import searches

    return searches(chosen)


def _lines(chosen: list[Case[Workload]], done: list[Result], width: int) -> list[str]:
    from shootdown._report.comparison import comparison
    from shootdown._report.headline import always_shown, story

    pairs = list(zip(chosen, done, strict=False))
    defaults = chosen[0].program.read({})
    table = comparison(done, width, defaults=defaults, shown_always=always_shown(pairs))
    return [*table, *story(pairs, width)]
