"""`shootdown compare`: what one workload costs, a row for each combination."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from shootdown._cli import _about, _common, _forms, _here, _lore, _offered, _progress, _writing
from shootdown._questions.case import Case
from shootdown._questions.compare import HEADLINE_WORKLOAD, cases, headline_kernels, run_cases
from shootdown._questions.simulate import RUNS
from shootdown._values.errors import ShootdownError
from shootdown._values.result import SCHEMA, Result
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._report.plotting import Picture


@_common.command("compare")
@click.argument("workload", default=HEADLINE_WORKLOAD, shell_complete=_offered.workloads)
@_about.options("parameters", "arch", "platform", "kernel", "cpus", "here", "settings", "patch")
@click.option(
    "--draws",
    type=_common.Whole(0, 10_000),
    default=0,
    metavar="N",
    help="Run each row N more times with costs drawn from their ranges; a remark has what 80 % of them lie within.",
)
@click.option(
    "--why-range", is_flag=True, help="A remark on each row names the costs that make its range wide."
)
@_forms.plot_option
@click.option(
    "--baseline",
    metavar="TIME=VALUE,...",
    help="Times of the first row that were measured, such as elapsed=2.475s,system=2.5s: a remark on each other row "
    "adds to them what is predicted.",
)
@_lore.option
@_forms.options("csv", "jsonl", "markdown")
@_common.json_option
def command(
    workload: str,
    about: _about.About,
    draws: int,
    why_range: bool,
    baseline: str | None,
    plot: Path | None,
    lore: bool,
    form: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Compare what one workload costs, a row for each combination.

    Without arguments: the bug report of 1000 children over 1200 GiB of shared hugetlb memory, on kernels before,
    with and after the changes that it is about. Without --arch: this machine's architecture; `--arch all` takes every
    one. `shootdown list` names what there is to choose from.
    """
    _forms.refuse_two(form, as_json, lore, report)
    own = _forms.asked(report, "compare")
    base = None if baseline is None else _base(baseline)
    about = _here.filled(about)
    chosen: list[Case[Workload]] = []
    done: list[Result] = []
    interrupted = False
    try:
        chosen = cases(
            workload,
            cpus=about.cpus,
            **about.named(),
        )
        sooner = _sooner(chosen, about.parameters)
        with _progress.progress(_what(workload, len(chosen)), len(chosen) * len(RUNS), sooner) as advance:
            besides = () if as_json or form or own else _told_of(chosen)
            done.extend(run_cases(chosen, advance, besides))  # what was done before an interrupt stays
        if draws or why_range:
            _add_ranges(chosen, done, draws, why_range)
        if base is not None:
            _add_base(done, base)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        _writing.write_result({"schema": SCHEMA, "rows": [row.to_dict() for row in done]})
    elif own is not None:
        _forms.write_report(own, (row.to_dict() for row in done))
    elif form == "markdown" and done:
        for line in _markdown(chosen, done):
            _writing.write_line(line)
    elif form in ("csv", "jsonl"):
        _forms.write(form, (row.to_dict() for row in done))
    elif done and lore:
        again = about.command_line(
            "compare",
            workload,
            kernel=headline_kernels(),
            flags={"--draws": draws or None, "--why-range": why_range or None, "--baseline": baseline},
        )
        _lore.write(_lines(chosen, done, _lore.WIDTH), again)
    elif done:
        for line in _lines(chosen, done, _writing.width()):
            _writing.write_line(line)
    if done and not interrupted:
        _forms.draw(functools.partial(_picture, done), plot)
    if interrupted:
        if chosen:
            click.echo(f"{len(done)} of {len(chosen)} rows are done", err=True)
        raise KeyboardInterrupt


def _add_ranges(chosen: list[Case[Workload]], done: list[Result], draws: int, why: bool) -> None:
    """Add remarks on how sure the times of rows are, row by row."""
    from shootdown._questions.ranges import drawn, widths
    from shootdown._report.ranges import of_draws, of_widths
    from shootdown._values.platform import COST_NAMES

    runs = len(done) * (draws + (len(COST_NAMES) if why else 0))
    with _progress.progress("costs within their ranges", runs) as advance:
        for n, (case, row) in enumerate(zip(chosen, done, strict=False)):
            if not row.supported:
                continue
            remarks = list(row.remarks)
            if draws:
                remarks.append(of_draws(drawn(case, draws, lambda: advance(1))))
            if why:
                remarks.append(of_widths(widths(case, lambda: advance(1))))
            done[n] = attrs.evolve(row, remarks=tuple(remarks))


def _base(text: str) -> Mapping[str, float]:
    from shootdown._questions.baseline import read_baseline

    return read_baseline(text)


def _add_base(done: list[Result], base: Mapping[str, float]) -> None:
    """Add a remark to each row: the first one's times were measured, and others stand on them.

    Raises:
        ShootdownError: the first row can't be run, so that nothing is added to it.
    """
    from shootdown._questions.baseline import on_base
    from shootdown._report.baseline import of_base, of_row

    if not done:
        return
    first = done[0]
    if not first.supported:
        raise ShootdownError(
            f"--baseline: the first row is the measured one, and it can't be run: {first.reason}"
        )
    for n, row in enumerate(done):
        if row.supported:
            remark = of_row(first, on_base(first, row, base)) if n else of_base(first, base)
            done[n] = attrs.evolve(row, remarks=(*row.remarks, remark))


def _what(workload: str, rows: int) -> str:
    """Return the label of the progress bar."""
    return f"{workload}: {rows} row{'s' if rows > 1 else ''}"


def _sooner(chosen: list[Case[Workload]], given: Mapping[str, Any]) -> str:
    """Return what to say to whoever waits for a large workload; empty where nothing is smaller."""
    from shootdown._questions.trials import sizes

    less = sizes(chosen[0].program, given).items() - dict(given).items() if chosen else ()
    if not less:
        return ""
    words = " ".join(f"-p {name}={value}" for name, value in sorted(less))
    return f"a smaller one is answered at once and still shows what kernels do differently: {words}"


def _told_of(chosen: list[Case[Workload]]) -> Sequence[Callable[[], object]]:
    """Return what the lines below the table need to know besides the rows."""
    from shootdown._report.headline import searches

    return searches(chosen)


def _picture(done: Sequence[Result]) -> Picture:
    from shootdown._report.plot_rows import picture_of_rows
    from shootdown._values.frames import flat

    return picture_of_rows(flat(row.to_dict()) for row in done)


def _markdown(chosen: list[Case[Workload]], done: list[Result]) -> list[str]:
    from shootdown._report.comparison import markdown
    from shootdown._report.headline import always_shown

    pairs = list(zip(chosen, done, strict=False))
    return markdown(done, defaults=chosen[0].program.read({}), shown_always=always_shown(pairs))


def _lines(chosen: list[Case[Workload]], done: list[Result], width: int) -> list[str]:
    from shootdown._report.comparison import comparison
    from shootdown._report.headline import always_shown, story

    pairs = list(zip(chosen, done, strict=False))
    defaults = chosen[0].program.read({})
    table = comparison(done, width, defaults=defaults, shown_always=always_shown(pairs))
    return [*table, *story(pairs, width)]
