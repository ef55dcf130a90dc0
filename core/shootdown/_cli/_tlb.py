"""`shootdown tlb`: what the TLBs of traces do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _progress, _writing
from shootdown._values.errors import ShootdownError
from shootdown._values.reading import read_integer, read_size, write_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shootdown._tlb.geometry import TlbGeometry
    from shootdown._traces.simulation import Region, TraceResult
    from shootdown._values.platform import Platform

#: CPUs and processes are shown up to so many; --json has all.
_SHOWN = 16
_REGION = re.compile(r"(0x[0-9a-f]+|\d+)-(0x[0-9a-f]+|\d+)=(\w+)", re.IGNORECASE)


@_common.command("tlb")
@click.argument("traces", metavar="TRACE...", nargs=-1, required=True)
@click.option("--arch", metavar="NAME", help="The architecture whose platform it is.")
@click.option("--platform", metavar="NAME", help="The TLBs of this CPU model.")
@click.option(
    "-p",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=lambda _context, _option, texts: _common.read_assignments(texts),
    help="The geometry: l1.entries=64, l2.ways=12, l1.2m.entries=32, walk.2m.entries=32, l2.policy=tree-plru,"
    " l2.index=xor7, inclusion=exclusive...; may be repeated.",
)
@click.option(
    "--walk-cache",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Paging-structure caches.",
)
@click.option("--page-size", metavar="SIZE", default="4k", show_default=True, help="Of pages, such as 2m.")
@click.option(
    "--map",
    "regions",
    metavar="START-END=SIZE",
    multiple=True,
    help="Pages of another size in a part of the address space; may be repeated.",
)
@click.option("--format", metavar="NAME", help="npy, bin, champsim, lackey or drmemtrace.")
@click.option("--instructions", is_flag=True, help="Instruction fetches are accesses too.")
@click.option(
    "--itlb", is_flag=True, help="Use the platform's instruction TLBs: each address of the trace is a fetch."
)
@click.option("--cores", is_flag=True, help="A TLB for each core that a drmemtrace trace names.")
@click.option(
    "--seed", type=_common.Whole(0, (1 << 63) - 1), default=0, help="Where random replacement starts."
)
@_common.json_option
def command(
    traces: tuple[str, ...],
    arch: str | None,
    platform: str | None,
    parameters: Mapping[str, str],
    walk_cache: str,
    page_size: str,
    regions: tuple[str, ...],
    format: str | None,
    instructions: bool,
    itlb: bool,
    cores: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Count what the TLBs of a trace do: hits, walks, references.

    A TRACE is a file of addresses (.npy, .bin), lackey's or drmemtrace's text, or ChampSim's records, packed
    with gzip or xz or not; - is standard input. An address is one access.
    """
    from shootdown._tlb.parameters import geometry_of
    from shootdown._traces.formats import open_trace
    from shootdown._traces.simulation import PageSizes, run

    geometry = geometry_of(
        parameters,
        _platform(arch, platform, read_size(page_size), fetches=itlb),
        walk_cache=walk_cache == "on",
    )
    sizes = PageSizes(read_size(page_size), [_region(text) for text in regions])
    if itlb and (instructions or format not in (None, "npy", "bin")):
        raise ShootdownError(
            "--itlb takes addresses of fetches (.npy, .bin): other formats mix them with data"
        )
    opened = [open_trace(t, format=format, instructions=instructions, cores=cores) for t in traces]
    results: list[TraceResult] = []
    with _progress.progress("traces", sum(trace.source.size for trace in opened)) as advance:
        try:
            for trace in opened:
                results.append(run(trace, geometry, sizes, seed=seed, progress=advance, keep=results.append))
        except KeyboardInterrupt:
            _report(results, as_json)
            raise
        except MemoryError:
            raise ShootdownError("the trace has more CPUs than there is memory for") from None
    _report(results, as_json)
    broken = [f"trace {r.trace}: {r.fault}\n(counted up to there)" for r in results if r.fault]
    if broken:
        raise ShootdownError("\n".join(broken))


def _platform(arch: str | None, name: str | None, page_size: int, *, fetches: bool) -> TlbGeometry | None:
    if name is None:
        if fetches:
            raise ShootdownError("--itlb without --platform: give the geometry with -p, or a platform")
        if arch is not None:
            raise ShootdownError("--arch without --platform: a TLB is a platform's")
        return None
    from shootdown._plugins.registry import registry
    from shootdown._questions.platform_file import is_file, platform_of_file

    installed = registry()
    if is_file(name):
        _, platform = platform_of_file(installed, () if arch is None else (arch,), name)
        return _tlb_of(platform.with_pages(page_size), fetches)
    if arch is None:
        owners = [owner for owner in installed.architectures() if name in installed.platforms(owner)]
        if len(owners) > 1:
            raise ShootdownError(
                f"several architectures have a platform {name!r}: give --arch " + " or ".join(owners)
            )
        if not owners:
            from shootdown._values.errors import nearest

            names = [n for owner in installed.architectures() for n in installed.platforms(owner)]
            raise ShootdownError(f"there is no platform {name!r}; {nearest(name, names)}")
        arch = owners[0]
    return _tlb_of(installed.platform(arch, name).with_pages(page_size), fetches)


def _tlb_of(platform: Platform, fetches: bool) -> TlbGeometry:
    geometry: TlbGeometry | None = platform.itlb if fetches else platform.tlb
    if geometry is None:
        which = "instruction TLBs" if fetches else "TLBs"
        raise ShootdownError(f"platform {platform.name!r} says nothing about its {which}; give them with -p")
    return geometry


def _region(text: str) -> Region:
    from shootdown._traces.simulation import Region

    found = _REGION.fullmatch(text.strip())
    if not found:
        raise ShootdownError(
            f"--map {text!r}: write START-END=SIZE, such as 0x7f0000000000-0x7f8000000000=2m"
        )
    return Region(read_integer(found[1]), read_integer(found[2]), read_size(found[3]))


def _report(results: list[TraceResult], as_json: bool) -> None:
    if as_json:
        _writing.write_json({"schema": 1, "rows": [result.to_dict() for result in results]})
        return
    if not results:
        return
    columns = ("trace", "accesses", "L1 hits", "L2 hits", "walks", "references", "% L1, L2, walks")
    _writing.write_table(columns, [_row(result) for result in results], right=columns[1:], whole=columns[1:])
    for result in results:
        _details(result)


def _row(result: TraceResult) -> tuple[str, ...]:
    totals = result.totals()
    counts = ("accesses", "l1_hits", "l2_hits", "walks", "walk_references")
    accesses = max(totals["accesses"], 1)
    return (
        result.trace,
        *(f"{totals[name]:,}" for name in counts),
        " ".join(f"{100 * totals[name] / accesses:.1f}" for name in ("l1_hits", "l2_hits", "walks")),
    )


def _details(result: TraceResult) -> None:
    totals = result.totals()
    if result.fetches_left_out:
        _writing.write_wrapped(
            f"{result.trace}: {result.fetches_left_out:,} instruction fetches left out (--instructions)",
            rest="  ",
        )
    sizes = result.by_page_size()
    if len(sizes) > 1:
        names = ("accesses", "l1_hits", "l1_misses", "l2_hits", "l2_misses")
        _part(
            result.trace,
            "page size",
            names,
            [(write_size(size), *(f"{row[name]:,}" for name in names)) for size, row in sizes.items()],
        )
    for what, tallies in (("CPU", result.by_cpu), ("process", result.by_process)):
        if len(tallies) < 2:
            continue
        always = ("accesses", "l1_hits", "l2_hits", "walks")
        shown = (*always, *(n for n in ("flushes", "shootdowns", "interrupts") if totals[n]))
        rows = [
            (str(number), *(f"{getattr(tally, name):,}" for name in shown))
            for number, tally in list(tallies.items())[:_SHOWN]
        ]
        _part(result.trace, what, shown, rows)
        if len(tallies) > _SHOWN:
            _writing.write_line(f"... and {len(tallies) - _SHOWN} more; --json has all")


def _part(trace: str, what: str, counts: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Write the counts of a trace apart: by page size, CPU or process."""
    headings = tuple(re.sub(r"^l(\d)", r"L\1", name).replace("_", " ") for name in counts)
    _writing.write_line("")
    _writing.write_table((what, *headings), rows, title=f"{trace} by {what}", right=headings)
