"""Kernels in what a person has."""

from __future__ import annotations

from pathlib import Path

import pytest

from shootdown._measure.kernels import opened
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError

KNOWN = tuple(registry().architectures().values())


def head(offset: int, magic: bytes) -> bytes:
    return bytes(offset) + magic + bytes(4096 - offset - len(magic))


def found(path: Path, wanted: str | None = None) -> str:
    with opened(path, KNOWN, wanted) as image:
        return image.architecture.name


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (head(0x202, b"HdrS"), "x86"),
        (head(56, b"ARM\x64"), "arm64"),
        (b"\x7fELF\x02\x01" + bytes(12) + (62).to_bytes(2, "little") + bytes(4000), "x86"),
        (b"\x7fELF\x02\x01" + bytes(12) + (183).to_bytes(2, "little") + bytes(4000), "arm64"),
    ],
)
def test_an_image_says_what_it_is_for(tmp_path: Path, content: bytes, name: str) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(content)
    assert found(file) == name


def test_a_person_says_what_no_header_does(tmp_path: Path) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(bytes(100))
    assert found(file, "arm64") == "arm64"


@pytest.mark.parametrize(
    ("content", "wanted", "why"),
    [
        (b"hello", None, "no kernel image that is known"),
        (b"", None, "no kernel image that is known"),
        (
            b"\x7fELF\x02\x01" + bytes(12) + (8).to_bytes(2, "little") + bytes(100),
            None,
            "an ELF file for machine 8",
        ),
        (
            b"\x7fELF\x02\x02" + bytes(12) + (22).to_bytes(2, "big") + bytes(100),
            None,
            "an ELF file for machine 22",
        ),
        (b"hello", "vax", "kernels of vax can't be booted"),
        (b"!<arch>\nno package", None, "can't be unpacked|dpkg-deb is not installed"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    tmp_path: Path, content: bytes, wanted: str | None, why: str
) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(content)
    with pytest.raises(ShootdownError, match=why) as refused:
        found(file, wanted)
    assert not set("\n[") & set(str(refused.value))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match=r"missing can't be read: No such file"):
        found(tmp_path / "missing")
