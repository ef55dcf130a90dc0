"""Kernels in what a person has."""

from __future__ import annotations

import lzma
import shutil
import subprocess
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
        (b"\x7fELF\x02\x01" + bytes(12) + (21).to_bytes(2, "little") + bytes(4000), "powerpc"),
        (head(56, b"RSC\x05"), "riscv"),
    ],
)
def test_an_image_says_what_it_is_for(tmp_path: Path, content: bytes, name: str) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(content)
    assert found(file) == name


def package(folder: Path, files: dict[str, bytes], **fields: str) -> Path:
    """Make a Debian package."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    told = {
        "Package": "linux-image-x",
        "Version": "1",
        "Architecture": "all",
        "Maintainer": "x",
        "Description": "x",
    }
    lines = [f"{name}: {value}\n" for name, value in (told | fields).items()]
    (tree / "DEBIAN" / "control").write_text("".join(lines))
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    subprocess.run(("dpkg-deb", "-b", tree, folder / "x.deb"), check=True, capture_output=True)
    return folder / "x.deb"


NEEDS_DPKG = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb")


@NEEDS_DPKG
@pytest.mark.parametrize(
    "place", ["boot/vmlinuz-6.1.0-50-rt-amd64", "usr/lib/modules/7.2.13+deb14-amd64/vmlinuz"]
)
def test_a_package_has_its_kernel_in_either_place(tmp_path: Path, place: str) -> None:
    content = head(0x202, b"HdrS")
    file = package(tmp_path, {"boot/System.map": b"x", place: content, "usr/share/doc/x": b"y"})
    with opened(file, KNOWN, None) as image:
        assert image.architecture.name == "x86"
        assert image.path.read_bytes() == content


@NEEDS_DPKG
def test_a_package_gives_the_modules_that_are_asked_for(tmp_path: Path) -> None:
    files = {
        "boot/vmlinuz-6.1": head(0x202, b"HdrS"),
        "lib/modules/6.1/kernel/drivers/block/brd.ko.xz": lzma.compress(b"module"),
        "lib/modules/6.1/kernel/drivers/block/zram.ko": b"other",
    }
    file = package(tmp_path, files)
    for asked, given in (
        ((), {}),
        (("brd.ko",), {"brd.ko": b"module"}),
        (("brd.ko", "no.ko"), {"brd.ko": b"module"}),
    ):
        with opened(file, KNOWN, None, asked) as image:
            assert image.modules == given


@NEEDS_DPKG
def test_a_package_without_a_kernel_says_which_has_it(tmp_path: Path) -> None:
    depends = "linux-base-7.2 (= 1), linux-binary-7.2.13+deb14-amd64 (= 7.2.13-1), linux-modules-7.2 (= 1)"
    file = package(tmp_path, {"usr/share/doc/x": b"y"}, Depends=depends)
    with pytest.raises(ShootdownError, match=r"no kernel: linux-binary-7\.2\.13\+deb14-amd64 has it"):
        found(file)


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
