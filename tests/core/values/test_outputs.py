"""Files that commands write are there whole, or what was there before still is."""

from __future__ import annotations

import gzip
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shootdown import _cli
from shootdown._report.perfetto import write_trace
from shootdown._values.errors import ShootdownError
from shootdown._values.outputs import replacing

LONG = "x" * 100_000


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let files grow to 4,096 bytes only, as if the disk were full then."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_file_that_was_there_and_names_it(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "page.html"
    path.write_text("what was there")
    text = os.urandom(50_000).hex()
    with (
        pytest.raises(ShootdownError, match=r"page\.html can't be written: File too large"),
        replacing(path, packed=packed) as stream,
    ):
        stream.write(text)
    assert path.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["page.html"]


@pytest.mark.usefixtures("full_disk")
def test_a_timeline_on_a_full_disk_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "timeline.json"
    path.write_text("what was there")
    with pytest.raises(ShootdownError, match=r"timeline\.json can't be written"):
        write_trace(path, [], cpus=4, process="a test", about={"long": LONG})
    assert path.read_text() == "what was there"


def test_an_error_in_the_middle_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("what was there")
    with pytest.raises(KeyboardInterrupt), replacing(path):
        raise KeyboardInterrupt
    assert path.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_replaced_file_keeps_its_mode_and_the_link_that_names_it(tmp_path: Path) -> None:
    path, link = tmp_path / "page.html", tmp_path / "link.html"
    path.write_text("what was there")
    path.chmod(0o640)
    link.symlink_to(path)
    with replacing(link) as stream:
        stream.write("new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_that_names_itself_is_refused_and_stays(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with (
        pytest.raises(ShootdownError, match=r"loop can't be written: Too many levels of symbolic links"),
        replacing(loop),
    ):
        pass
    assert loop.is_symlink()


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replacing(tmp_path / "new.gz", packed=True) as stream:
        stream.write("new")
    assert gzip.decompress((tmp_path / "new.gz").read_bytes()) == b"new"
    assert (tmp_path / "new.gz").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("packed", [False, True])
def test_a_name_that_is_no_utf_8_is_written_with_its_bytes(tmp_path: Path, packed: bool) -> None:
    """The command that a page shows may name such a file."""
    path = tmp_path / os.fsdecode(b"\xed\xb3.html")
    with replacing(path, packed=packed) as stream:
        stream.write(path.name)
    read = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    assert read == rb"\udced\udcb3.html"


def test_a_device_is_written_and_not_replaced() -> None:
    with replacing(Path("/dev/null")) as stream:
        stream.write(LONG)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "fork-storm", "--perfetto"),
        ("explore", "unshare-gup", "--perfetto"),
        ("explore", "unshare-gup", "--html"),
    ],
)
def test_a_hyphen_is_no_name_of_a_file(
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _cli.run([*arguments, "-"]) == 2
    assert f"{arguments[-1]} -: standard output has the report" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder", ["file", "file/finds", "/dev/null"])
def test_finds_that_can_not_be_kept_are_not_looked_for(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert _cli.run(["hunt", "--size", "1", "--keep", folder]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"shootdown: error: --keep {folder}: ")
    assert error.endswith(" is no folder\n")
