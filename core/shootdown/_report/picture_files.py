"""Files of pictures: SVG, PNG, or a page with the numbers as a table below."""

from __future__ import annotations

from pathlib import Path

from shootdown._report.document import Drawing, Table
from shootdown._report.document_html import fragment, whole
from shootdown._report.plotting import Picture, png, required, svg
from shootdown._values.errors import ShootdownError
from shootdown._values.outputs import check_place, replacing, replacing_bytes

#: What a picture's file can be.
SUFFIXES = (".svg", ".png", ".html")


def check_picture(path: Path) -> None:
    """Refuse a file to which no picture can be written, before a command begins.

    Raises:
        ShootdownError: its name says no known form, its folder is missing, or matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ShootdownError(f"--plot {path}: a picture is a file that ends in {', '.join(SUFFIXES)}")
    check_place("--plot", path)
    required()


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture to a file, in the form that its suffix names.

    Raises:
        ShootdownError: it can't be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        data = png(picture)
        with replacing_bytes(path) as stream:
            stream.write(data)
        return
    text = picture_page(picture) if suffix == ".html" else svg(picture)
    with replacing(path) as file:
        file.write(text)


def picture_page(picture: Picture) -> str:
    """Return a self-contained page of a picture, and of its numbers as a table."""
    right = frozenset(
        n
        for n in range(len(picture.headings))
        if picture.table and all(row[n][:1] in "~0123456789" for row in picture.table)
    )
    parts = [fragment(Drawing(picture))]
    if picture.table:
        parts.append(fragment(Table(picture.headings, picture.table, right)))
    return whole(picture.title, "\n".join(parts))
