"""`shootdown walk`: page tables in a memory image, step by step or all at once."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from shootdown._cli import _common, _progress, _writing
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shootdown._images.opening import Image
    from shootdown._pagetables.mappings import Mapping
    from shootdown._questions.image import PageTables, Translation

#: The version of the JSON that `--json` prints.
SCHEMA = 1
_ADDRESS, _SIZE, _PAGE, _RIGHTS = 18, 9, 4, 7
_LEFT = 2 * _ADDRESS + _SIZE + _PAGE + _RIGHTS + 5  # columns before the flags of a range


@_common.command("walk")
@click.argument("addresses", nargs=-1, metavar="[VA]...")
@click.option(
    "--format",
    "form",
    metavar="NAME",
    help="See `shootdown list formats`; what the image says of the root if not given.",
)
@click.option(
    "--memory",
    "image",
    metavar="IMAGE",
    required=True,
    type=click.Path(),
    help="An ELF core, a LiME image, a kdump; raw memory, which may be sparse; or an .npz with pfn and data.",
)
@click.option(
    "--base",
    metavar="ADDR",
    default="0",
    help="Physical address of a raw image's first byte; other images carry their own addresses.",
)
@click.option(
    "--root",
    metavar="ADDR|NAME",
    help="Physical address of the top-level table, or a root that the image names; its only one if not given.",
)
@click.option("--roots", "only_roots", is_flag=True, help="List the roots that the image names.")
@click.option("--all", "everything", is_flag=True, help="List all that is mapped, as ranges.")
@click.option(
    "--access",
    type=click.Choice(["read", "write", "execute"]),
    help="What is asked; a data read if not given.",
)
@click.option("--supervisor", is_flag=True, help="Supervisor mode asks; user mode if not given.")
@click.option(
    "--upper-half",
    is_flag=True,
    help="With --all: the root is that of addresses that begin with ones (TTBR1).",
)
@click.option(
    "--set",
    "settings",
    metavar="format.NAME=VALUE",
    multiple=True,
    help="A setting of the CPU, see `shootdown list settings`; may be repeated.",
)
@_common.json_option
def command(
    addresses: tuple[str, ...],
    form: str | None,
    image: str,
    base: str,
    root: str | None,
    only_roots: bool,
    everything: bool,
    access: str | None,
    supervisor: bool,
    upper_half: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Walk page tables in a memory image, step by step.

    Each VA is walked as a user-mode data read unless told otherwise. Numbers are decimal, or begin with 0x.
    """
    from shootdown._plugins.registry import registry
    from shootdown._questions.image import opened_image, page_tables, read_settings
    from shootdown._values.reading import read_address
    from shootdown._values.whatif import parse_settings

    if everything and (addresses or access or supervisor):
        raise ShootdownError(
            "--all lists what is mapped for any access: leave addresses, --access and --supervisor"
        )
    if only_roots and (everything or addresses):
        raise ShootdownError("--roots walks nothing: leave addresses and --all")
    if not everything and not addresses and not only_roots:
        raise ShootdownError("which address? Name one or more, or --all")
    if upper_half and not everything:
        raise ShootdownError("--upper-half goes with --all: a VA says itself in which half it lies")
    _refuse_recording(image)
    numbers = [read_address("VA", text) for text in addresses]
    first = read_address("--base", base)
    opened = opened_image(image, base=first)
    if first and (image.endswith(".npz") or opened.dumped is not None):
        click.echo(f"{image} carries its own addresses: --base is not looked at", err=True)
    if opened.lacks:
        click.echo(f"{image}: {opened.lacks}", err=True)
    if only_roots:
        _roots(opened, as_json)
        return
    named = root is None or (bool(opened.roots) and not root[:1].isdigit())
    where = root if root is None or named else read_address("--root", root)
    found = opened.root(where) if not isinstance(where, int) else None
    if form is None and found is not None:
        form = found.format
    if not form:
        raise ShootdownError(f"--format: which? {image} does not say; `shootdown list formats` names them")
    chosen = registry().format(form)
    texts = {name.partition(".")[2]: v for name, v in parse_settings(settings, ("format",)).items()}
    tables = page_tables(
        opened,
        format=chosen,
        root=where,
        settings=read_settings(chosen, texts),
    )
    if everything:
        _list(tables, upper_half or None, as_json)
    else:
        _walk(tables, numbers, access or "read", supervisor, as_json)


def _refuse_recording(image: str) -> None:
    """Refuse a text that a walk would take for page tables."""
    from shootdown._questions.files import taken_by

    found = taken_by(image)
    if found is not None and "shootdown read" in found[1]:
        raise ShootdownError(f"image {image}: it is no memory")


# --- roots


def _roots(image: Image, as_json: bool) -> None:
    """List the roots that an image names."""
    from shootdown._report.text import Column, lay_out, widths

    if as_json:
        rows = [{"name": root.name, "address": root.address, "format": root.format, "source": root.source,
                 "upper_half": root.upper_half} for root in image.roots]  # fmt: skip
        _writing.write_json({"schema": SCHEMA, "roots": rows})
        return
    _writing.write_wrapped(f"{image.name}: {image.kind}, {image.memory.extent}", rest="  ")
    if not image.roots:
        _writing.write_line("it names no root: --root takes a physical address")
        return
    columns = [Column("root"), Column("at", right=True), Column("format"), Column("from", wraps=True)]
    cells = [[root.name, f"{root.address:#x}", root.format or "-", root.source] for root in image.roots]
    sizes = widths(columns, cells, _writing.width()) or widths(columns, cells, 10_000)
    assert sizes is not None
    for line in lay_out(columns, cells, sizes):
        _writing.write_line(line)


# --- some addresses


def _walk(tables: PageTables, addresses: list[int], access: Any, supervisor: bool, as_json: bool) -> None:
    from shootdown._pagetables.format import Access
    from shootdown._questions.image import OUTSIDE

    asked = Access(access, not supervisor)
    done: list[Translation] = []
    interrupted = False
    if not as_json:
        who = "supervisor" if supervisor else "user"
        what = {"read": "data read", "write": "data write", "execute": "instruction fetch"}[access]
        named = f" ({tables.named.name})" if tables.named is not None else ""
        _writing.write_line(f"{tables.format.name}, root {tables.root:#x}{named}, {who}-mode {what}")
    try:
        for va in addresses:
            found = tables.translate(va, asked)
            done.append(found)
            if not as_json:
                for line in _story(tables, found, asked):
                    _writing.write_line(line)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        _writing.write_json({"schema": SCHEMA, "walks": [found.to_dict() for found in done]})
    if interrupted:
        raise KeyboardInterrupt
    if outside := sum(found.fault == OUTSIDE for found in done):
        _incomplete(tables, f"{outside} of {len(done)} walks need a table that is not in the image")


def _incomplete(tables: PageTables, what: str) -> None:
    """Report walks that needed tables outside of the image.

    For a raw image that is an error: it is cut off, or its base is wrong. An `.npz` may leave frames out.
    """
    message = f"{what} {tables.name}, which has {tables.memory.extent}"
    if not tables.memory.has_gaps:
        raise ShootdownError(f"{message}: is it whole, and --base right?")
    click.echo(message, err=True)


def _story(tables: PageTables, found: Translation, asked: Any) -> Iterator[str]:
    """Write one walk: a line for each entry, and what came of it."""
    from shootdown._report.text import Column, lay_out, widths

    yield ""
    yield f"{found.va:#x}"
    columns = [
        Column("level"),
        Column("entry at", right=True),
        Column("entry", right=True),
        Column("bits", wraps=True),
        Column("leads to", right=True),
    ]
    digits = 2 * getattr(tables.format, "entry_bytes", 8)
    rows = [
        [
            f"{step.level} {step.linux} {step.name}[{step.index}]",
            f"{step.address:#x}",
            "none" if step.entry is None else f"{step.entry:0{digits}x}",
            " ".join(step.flags) or "-",
            "" if step.target is None else f"{step.target:#x}",
        ]
        for step in found.steps
    ]
    if rows:
        sizes = widths(columns, rows, _writing.width()) or widths(columns, rows, 10_000)
        assert sizes is not None
        yield from lay_out(columns, rows, sizes)
    yield from (f"{step.name}: {step.note}" for step in found.steps if step.note)
    rights = f"user {found.user}, supervisor {found.supervisor}"
    if found.pa is not None:
        yield f"= {found.pa:#x}, page of {_bytes(found.page_size or 0)}; {rights}"
        return
    code = "" if found.fault_code is None else f", {found.fault_code_name} {found.fault_code:#x}"
    page = f"; {rights}" if found.user is not None else ""
    yield f"{found.fault}{code}: {found.reason}{page}"
    if hint := _hint(tables, found):
        yield f"({hint})"


def _hint(tables: PageTables, found: Translation) -> str:
    """Name the setting that would have made hardware write the flag for whose absence the walk faulted."""
    from shootdown._pagetables.format import Reason

    used = getattr(tables.format, "used", None)
    if found.reason == Reason.ACCESS_FLAG.text and used is not None and used.hardware:
        return f"--set format.{used.hardware}=on if hardware writes the flag"
    return ""


# --- all ranges


def _list(tables: PageTables, upper_half: bool | None, as_json: bool) -> None:
    """List ranges as they are found, so that memory stays small and a reader may stop early."""
    listing = tables.listing(upper_half=upper_half)
    rights: dict[frozenset[str], tuple[str, str]] = {}
    tails: dict[tuple[int, frozenset[str], tuple[str, ...]], str] = {}
    count, separator = 0, f'{{\n  "schema": {SCHEMA},\n  "ranges": [\n    '
    width = _writing.line_width()
    if not as_json:
        _writing.write_line(
            f"{'VA':<{_ADDRESS}} {'PA':<{_ADDRESS}} {'size':>{_SIZE}} {'page':>{_PAGE}} {'usr/sup':<{_RIGHTS}} flags"
        )
    try:
        with _progress.share_done(lambda: (listing.done, f"{count:,} ranges")):
            for found in listing:
                count += 1
                may = rights.get(found.attributes)
                if may is None:
                    may = rights[found.attributes] = tables.rights(found.attributes)
                if as_json:
                    _writing.write_part(separator + json.dumps(_row(tables, found, may)))
                    separator = ",\n    "
                    continue
                alike = (found.page_size, found.attributes, found.flags)
                tail = tails.get(alike)
                if tail is None:
                    tail = tails[alike] = _tail(found, may, width)
                size = _common.short_size(found.size)
                _writing.write_line(
                    f"{found.va:#0{_ADDRESS}x} {found.pa:#0{_ADDRESS}x} {size:>{_SIZE}} {tail}"
                )
    finally:  # what was printed stays JSON, whatever ends the list
        if as_json:
            _writing.write_line(
                (separator.rstrip() if not count else "\n  ") + "]" + _writing.asked_at_the_end()
            )
    if listing.outside:
        _incomplete(tables, f"{listing.outside:,} tables, and what they map, are not in the image")


def _row(tables: PageTables, found: Mapping, may: tuple[str, str]) -> dict[str, Any]:
    return {
        "va": found.va,
        "pa": found.pa,
        "size": found.size,
        "page_size": found.page_size,
        "level": tables.format.level_number(found.level),
        "flags": list(found.flags),
        "user": may[0],
        "supervisor": may[1],
    }


def _tail(found: Mapping, may: tuple[str, str], width: int | None) -> str:
    """Write page size, rights and flags of a range, wrapped if there is a width."""
    left = f"{_common.short_size(found.page_size):>{_PAGE}} {may[0]}/{may[1]} "
    flags = [" ".join(found.flags)]
    if width is not None:
        room = max(width - _LEFT, 12)
        flags = textwrap.wrap(flags[0], room, break_long_words=False, break_on_hyphens=False) or [""]
    return (left + f"\n{'':{_LEFT}}".join(flags)).rstrip()


def _bytes(size: int) -> str:
    short = _common.short_size(size)
    return f"{short[:-1]} {short[-1]}iB"
