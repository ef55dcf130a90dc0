"""`shootdown sensitivity`: which cost or parameter decides the answer."""

from __future__ import annotations

import click

from shootdown._cli import _about, _common, _offered, _progress, _writing
from shootdown._values.errors import ShootdownError, nearest

SCHEMA = 1
#: Rows of the table; the others do less.
_SHOWN = 12


@_common.command("sensitivity")
@click.argument("workload", shell_complete=_offered.workloads)
@_about.options("parameters", "arch", "platform", "kernel", "cpus", "settings")
@click.option(
    "--of",
    default="elapsed_ns",
    metavar="NAME",
    help="The count or time that is asked about; elapsed_ns unless given.",
)
@click.option(
    "--vary",
    metavar="NAME[=LOW..HIGH]",
    multiple=True,
    help="What varies: cost.NAME over its platform's range, or another one; a parameter. All costs unless given.",
)
@click.option(
    "--method",
    type=click.Choice(["morris", "sobol"]),
    default="morris",
    help="morris ranks with few runs; sobol divides the variance.",
)
@click.option(
    "--samples",
    metavar="N",
    type=_common.Whole(1, 1 << 20),
    help="Trajectories of morris, 10 unless given; base points of sobol, 64.",
)
@click.option("--seed", metavar="S", type=_common.Whole(0, 2**32 - 1), default=1, help="Of the sample.")
@_common.json_option
def command(
    workload: str,
    about: _about.About,
    of: str,
    vary: tuple[str, ...],
    method: str,
    samples: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Say which cost or parameter decides a count or a time.

    Costs are known as ranges. Many runs with costs drawn from them tell whose range makes the answer uncertain, and
    which parameter matters. It takes one architecture, platform, kernel and number of CPUs.
    """
    from shootdown._batches.sensitivity import MEASURES, read_factors, sensitivity
    from shootdown._plugins.registry import registry
    from shootdown._questions.case import machines, questions
    from shootdown._questions.subjects import workload_named
    from shootdown._values.series import newest_known

    asked = of if of in MEASURES else f"{of}_ns"
    if asked not in MEASURES:
        raise ShootdownError(f"--of {of}: there is no such count or time; {nearest(of, MEASURES)}")
    found = questions(
        workload_named(workload),
        machines(registry(), about.arch, about.platform),
        about.kernel or (newest_known(),),
        parameters=about.parameters,
        settings=about.settings,
        cpus=about.cpus or (None,),
    )
    if len(found) != 1:
        raise ShootdownError(
            f"{len(found)} combinations are asked about: name one platform, kernel and number of CPUs"
        )
    (question,) = found
    factors = read_factors(vary, question)
    with _progress.working() as say:
        total = done = 0

        def begun(runs: int) -> None:
            nonlocal total
            total = runs

        def after_run() -> None:
            nonlocal done
            done += 1
            say(f"{workload}: {done:,} of {total:,} runs")

        result = sensitivity(
            question,
            asked,
            factors,
            method=method,
            samples=samples or 0,
            seed=seed,
            begun=begun,
            after_run=after_run,
        )
    if as_json:
        _writing.write_json({"schema": SCHEMA, **result.to_dict()})
        return
    from shootdown._report.sensitivity import lines

    head, columns, rows, foot = lines(result, _SHOWN)
    for text in head:
        _writing.write_wrapped(text, rest="  ")
    if rows:
        _writing.write_table(columns, rows, right=columns[1:])
    for text in foot:
        _writing.write_wrapped(text, rest="  ")
