"""`shootdown validate`: the model beside what real kernels did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _progress, _writing
from shootdown._oracle.rows import read_rows
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._oracle.validate import Comparison, Verdict

#: Collapses by order and outcome are one line of the table.
_ATTEMPTS = "attempts"

#: Differences and rows that can't be run are shown up to so many; --json has all.
_SHOWN = 20
_NAMED = 5


@_common.command("validate")
@click.argument("file", type=click.Path(path_type=Path))
@_common.json_option
def command(file: Path, as_json: bool) -> None:
    """Compare the model with measured rows of a file.

    FILE has one JSON object per line, in the format of tests/oracle/README.md; - is standard input. The exit
    status is 1 if a count disagrees and nobody has written down why, 2 for a file without a row that can be run.
    """
    rows = read_rows(file)
    from shootdown._oracle.validate import summarise, validate

    compared: list[Comparison] = []
    interrupted = False
    with _progress.progress("rows", len(rows)) as advance:
        try:
            for comparison in validate(rows):
                compared.append(comparison)
                advance()
        except KeyboardInterrupt:
            interrupted = True
    if as_json:
        answers = [comparison.to_dict() for comparison in compared]
        _writing.write_json({"schema": 1, "summary": summarise(compared), "rows": answers})
    else:
        _report(compared, len(rows))
    if interrupted:
        raise KeyboardInterrupt
    if not any(c.verdicts for c in compared):
        raise ShootdownError(f"{file}: nothing was compared, as no row with a count can be run")
    if any(v.reason is None for c in compared for v in c.verdicts if not v.agrees):
        click.get_current_context().exit(1)


def _report(compared: list[Comparison], total: int) -> None:
    """Write agreement by kernel and by count, then each disagreement with its reason."""
    judged = [(c, v) for c in compared for v in c.verdicts]
    if judged:
        _tabulate("kernel", judged, lambda c, v: f"{c.row.arch} {c.row.kernel}")
        _writing.write_line("")
        _tabulate("count", judged, lambda c, v: _ATTEMPTS if v.count.startswith(f"{_ATTEMPTS}.") else v.count)
        _writing.write_line("")
    from shootdown._oracle.validate import summarise

    summary = summarise(compared)
    rows = f"{len(compared)} of {total} row{'' if total == 1 else 's'}"
    _writing.write_line(f"{rows}: {summary['agree']} of {summary['compared']} counts agree.")
    if judged:
        _list_exact(summary)
    _list_open(compared)
    _list_unrun([c for c in compared if c.predicted is None])
    _list_differences(compared)


def _tabulate(
    what: str, judged: list[tuple[Comparison, Verdict]], key: Callable[[Comparison, Verdict], str]
) -> None:
    """Write how counts compare, grouped."""
    from shootdown._oracle.validate import KINDS

    tally: dict[str, Counter[str]] = {}
    for comparison, verdict in judged:
        tally.setdefault(key(comparison, verdict), Counter())[verdict.kind] += 1
    _writing.write_table(
        (what, "compared", *KINDS),
        [(name, sum(c.values()), *(c[kind] or None for kind in KINDS)) for name, c in tally.items()],
        right=("compared", *KINDS),
    )


def _list_exact(summary: dict[str, int]) -> None:
    """Write how many counts were predicted as the one number that every run gave, and why not the others."""
    compared, exact = summary["compared"], summary["exact"]
    more = summary["exact_unless_scheduling_interferes"]
    added = f" ({more} of them a number unless scheduling interferes, which it did not)" if more else ""
    _writing.write_wrapped(
        f"{exact} ({_percent(exact, compared)}) are exact: one number was predicted, and every run gave it{added}.",
        rest="  ",
    )
    if (differ := summary["varies"]) + (left := summary["open"]):
        _writing.write_wrapped(
            f"{differ} ({_percent(differ, compared)}) agree where the runs themselves differ; {left} "
            f"({_percent(left, compared)}) are open: every run gave the same number, and a range is predicted. "
            f"Of the counts whose runs agree {_percent(exact, compared - differ)} are exact.",
            rest="  ",
        )


def _percent(part: int, whole: int) -> str:
    """Return a share in per cent, never rounded up to all of it."""
    return f"{1000 * part // whole / 10} %"


def _list_open(comparisons: list[Comparison]) -> None:
    """Write what decides the counts of which only a range is known, or a number with which something interfered."""
    left = [
        v for c in comparisons for v in c.verdicts if v.agrees and v.kind != "exact" and v.open is not None
    ]
    if not left:
        return
    reasons: dict[str, list[Verdict]] = {}
    for verdict in left:
        reasons.setdefault(verdict.open or "", []).append(verdict)
    _writing.write_line(f"\n{len(left)} of these are ranges, decided by what no row says:")
    for reason, verdicts in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        names = Counter(verdict.count for verdict in verdicts)
        still = sum(verdict.kind == "open" for verdict in verdicts)
        listed = ", ".join(f"{times} of {name}" for name, times in names.most_common())
        _writing.write_wrapped(f"  {listed} ({still} open): {reason}", rest="    ")


def _list_unrun(comparisons: list[Comparison]) -> None:
    if not comparisons:
        return
    lines: dict[str | None, list[int]] = {}
    for comparison in comparisons:
        lines.setdefault(comparison.reason, []).append(comparison.row.number)
    _writing.write_line(f"\n{len(comparisons)} row{'' if len(comparisons) == 1 else 's'} can't be run:")
    for reason, numbers in sorted(lines.items(), key=lambda pair: -len(pair[1]))[:_SHOWN]:
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        named = ", ".join(map(str, numbers[:_NAMED]))
        _writing.write_wrapped(
            f"  line{'' if len(numbers) == 1 else 's'} {named}{more}: {reason}", rest="    "
        )
    if len(lines) > _SHOWN:
        _writing.write_line(f"  ... and {len(lines) - _SHOWN} more reasons; --json has all")


def _list_differences(compared: list[Comparison]) -> None:
    differing = [(c, v) for c in compared for v in c.verdicts if not v.agrees]
    if not differing:
        if any(c.verdicts for c in compared):
            _writing.write_line("No count disagrees.")
        return
    known = sum(v.reason is not None for _, v in differing)
    _writing.write_line(f"\n{len(differing)} disagree, {known} of them for a documented reason:")
    for comparison, verdict in differing[:_SHOWN]:
        _writing.write_wrapped(
            f"  line {comparison.row.number}, {comparison.row.arch} {comparison.row.kernel}, "
            f"{_case(comparison)}: {verdict.count} measured {_pair(verdict.measured)}, "
            f"predicted {_pair(verdict.predicted)}",
            rest="    ",
        )
        _writing.write_wrapped(f"    {_why(verdict)}", rest="    ")
    if len(differing) > _SHOWN:
        _writing.write_line(f"  ... and {len(differing) - _SHOWN} more; --json has all")


def _case(comparison: Comparison) -> str:
    fields = comparison.row.fields
    words = [comparison.row.workload]
    words += [
        str(fields[name]) for name in ("mode", "step", "kind", "op", "threads", "populated") if name in fields
    ]
    sizes = ("N", "k", "i", "T", "pages", "M", "conc", "orders", "max_ptes_none", "spinners", "pass")
    words += [f"{name}={fields[name]}" for name in sizes if name in fields]
    return " ".join(words)


def _why(verdict: Verdict) -> str:
    if verdict.reason is not None:
        return verdict.reason
    if verdict.predicted is None:
        return "UNDOCUMENTED: the model predicts no count of this name for this row"
    return "UNDOCUMENTED: the model is wrong until somebody can say why"


def _pair(pair: tuple[int, int] | None) -> str:
    if pair is None:
        return "nothing"
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"
