"""`shootdown walk`: what it prints for people and programs, and how it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from twins.images import npz_image, raw_image, space_at

from shootdown import _cli
from shootdown.formats import AddressSpace, PhysicalMemory
from shootdown_x86._formats import X86_32BIT, X86_64_4LEVEL, X86_64_5LEVEL

WALKS = Path(__file__).parents[2] / "oracle" / "walks"
IMAGE = str(WALKS / "amd64-4l.npz")
FORMAT_OF = {"amd64-4l": "x86_64-4level", "ppc-radix": "ppc64-radix-4k"}
ORACLES = {name: json.loads((WALKS / f"{name}.json").read_text()) for name in FORMAT_OF}
ORACLE = ORACLES["amd64-4l"]


def real(name: str) -> list[str]:
    image, root = str(WALKS / f"{name}.npz"), ORACLES[name]["root"]
    return ["walk", "--format", FORMAT_OF[name], "--memory", image, "--root", root]


REAL = real("amd64-4l")
MAIN = [sys.executable, "-c", "from shootdown._cli import main; main()"]
BASE = 0x4000_3000
K4, M2 = 4096, 1 << 21
RIGHTS = {
    "anon_rw": "rw-", "stack": "rw-", "bss": "rw-", "anon_ro": "r--", "zero_page_ro": "r--",
    "anon_rx": "r-x", "text": "r-x", "thp": "rw-", "hugetlb": "rw-",
}  # fmt: skip
KEYS = {"va", "pa", "fault", "level", "page_size", "flags", "steps"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process; give status, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = _cli.run(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AddressSpace]:
    """Return a raw image that begins at BASE, and the address space in it."""
    space = space_at(X86_64_4LEVEL, BASE)
    space.map(0x40_0000, 0x1234_5000, 4 * K4, "rw")
    space.map(M2 * 8, M2 * 16, M2, "rx")
    path = raw_image(tmp_path_factory.mktemp("raw") / "memory.raw", space, BASE, 1 << 20)
    return str(path), space


def options(raw: tuple[str, AddressSpace], **changes: str) -> list[str]:
    given = {"format": "x86_64-4level", "memory": raw[0], "base": hex(BASE), "root": hex(raw[1].root)}
    return ["walk", *(word for k, v in (given | changes).items() for word in (f"--{k.replace('_', '-')}", v))]


@pytest.mark.parametrize("name", sorted(FORMAT_OF))
def test_every_translation_of_a_real_kernel(run: Run, name: str) -> None:
    rows = ORACLES[name]["translations"]
    status, out, err = run(*real(name), *(row["va"] for row in rows), "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)["walks"]
    assert [row["va"] for row in found] == [int(row["va"], 16) for row in rows]
    assert [row["pa"] for row in found] == [row["pa"] and int(row["pa"], 16) for row in rows]
    for row, answer in zip(rows, found, strict=True):
        assert set(answer) > KEYS
        assert (answer["fault"] is None) == (answer["pa"] is not None)
        sizes = {"thp": M2, "hugetlb": M2}
        assert answer["page_size"] == (sizes.get(row["kind"], K4) if row["pa"] else None), row
        assert answer["flags"] == list(answer["steps"][-1]["flags"])
        if row["pa"]:
            assert answer["user"] == RIGHTS[row["kind"]], row


@pytest.mark.parametrize("name", sorted(FORMAT_OF))
def test_ranges_of_a_real_kernel_hold_the_same_translations(run: Run, name: str) -> None:
    status, out, _ = run(*real(name), "--all", "--json")
    assert status == 0
    found = json.loads(out)["ranges"]
    ranges = np.array([(row["va"], row["va"] + row["size"] - 1, row["pa"]) for row in found], dtype=np.uint64)
    user = [row["user"][0] == "r" for row in found]
    for row in ORACLES[name]["translations"]:
        va = int(row["va"], 16)
        at = np.flatnonzero((ranges[:, 0] <= va) & (va <= ranges[:, 1]))
        inside = [int(ranges[i, 2]) + va - int(ranges[i, 0]) for i in at if user[i]]
        assert inside == ([int(row["pa"], 16)] if row["pa"] else []), row


def test_a_walk_is_told_step_by_step(run: Run, raw: tuple[str, AddressSpace]) -> None:
    status, out, err = run(*options(raw), "0x401abc", "0x500000")
    assert (status, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    root = raw[1].root
    assert lines[0] == f"x86_64-4level, root {root:#x}, user-mode data read"
    assert lines[2] == "0x401abc"
    steps = [line.split() for line in lines[5:9]]
    assert [step[:3] for step in steps] == [
        ["0", "pgd", "PML4E[0]"], ["1", "pud", "PDPTE[0]"], ["2", "pmd", "PDE[2]"], ["3", "pte", "PTE[1]"],
    ]  # fmt: skip
    assert steps[0][3:] == [hex(root), f"{root + K4 | 0x27:016x}", "P", "RW", "US", "A", hex(root + K4)]
    assert steps[3][4:] == ["8000000012346007", "P", "RW", "US", "XD", "0x12346abc"]
    assert lines[9] == "= 0x12346abc, page of 4 KiB; user rw-, supervisor rw-"
    assert lines[-1] == "#PF, error code 0x4: not present"


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ((), "= 0x2000000, page of 2 MiB; user r-x, supervisor r-x"),
        (("--access", "write"), "#PF, error code 0x7: permission; user r-x, supervisor r-x"),
        (("--access", "write", "--supervisor"), "#PF, error code 0x3: permission; user r-x, supervisor r-x"),
        (("--access", "write", "--supervisor", "--set", "format.wp=off"), "user r-x, supervisor rwx"),
        (("--access", "execute"), "= 0x2000000, page of 2 MiB; user r-x, supervisor r-x"),
        (
            ("--access", "execute", "--supervisor", "--set", "format.smep=on"),
            "#PF, error code 0x11: permission; user r-x, supervisor r--",
        ),
        (("--supervisor", "--set", "format.smap=yes"), "#PF, error code 0x1: permission"),
    ],
)
def test_access_mode_and_settings_decide(
    run: Run, raw: tuple[str, AddressSpace], more: tuple[str, ...], last: str
) -> None:
    status, out, _ = run(*options(raw), "0x1000000", *more)
    assert status == 0
    assert last in out.splitlines()[-1]


def test_a_non_canonical_address_is_a_fault_of_its_own(run: Run, raw: tuple[str, AddressSpace]) -> None:
    status, out, _ = run(*options(raw), "0x800000000000", "--json")
    (row,) = json.loads(out)["walks"]
    assert status == 0
    assert (row["pa"], row["fault"], row["reason"], row["steps"]) == (
        None,
        "#GP",
        "non-canonical address",
        [],
    )


def test_numbers_may_be_decimal_or_have_underscores(run: Run, raw: tuple[str, AddressSpace]) -> None:
    status, out, _ = run(*options(raw), str(0x40_0000), "0x40_0000", "0X400000", "--json")
    assert status == 0
    assert [row["va"] for row in json.loads(out)["walks"]] == [0x40_0000] * 3


def test_all_lists_ranges_for_a_person_and_for_grep(run: Run, raw: tuple[str, AddressSpace]) -> None:
    status, out, _ = run(*options(raw), "--all")
    assert status == 0
    assert out.splitlines() == [
        "VA                 PA                      size page usr/sup flags",
        "0x0000000000400000 0x0000000012345000       16K   4K rw-/rw- P RW US XD",
        "0x0000000001000000 0x0000000002000000        2M   2M r-x/r-x P US PS",
    ]


def test_everything_fits_a_terminal(
    run: Run, raw: tuple[str, AddressSpace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    space = space_at(X86_64_5LEVEL, BASE)
    space.map(0xFF00_1234_5678_9000, 1 << 45, K4, "rw", user=False, extra=0x0600_0000_0000_0F78)
    path = str(raw_image(tmp_path / "five.raw", space, BASE, 1 << 20))
    monkeypatch.setenv("COLUMNS", "80")
    five = options((path, space), format="x86_64-5level")
    for arguments in (
        [*five, "0xff00123456789abc"],
        [*five, "--all"],
        [*options(raw), "0x401abc", "--all"][:-1],
    ):
        status, out, _ = run(*arguments)
        assert status == 0
        assert max(map(len, out.splitlines())) <= 80
        for flag in ("P", "RW"):
            assert flag in out.split()
    monkeypatch.delenv("COLUMNS")
    assert len(run(*five, "--all")[1].splitlines()) == 2


def test_entries_of_4_bytes_are_written_so(run: Run, tmp_path: Path) -> None:
    space = space_at(X86_32BIT, BASE)
    space.map(0x40_0000, 0x1234_5000, K4)
    path = raw_image(tmp_path / "m.raw", space, BASE, 1 << 20)
    _, out, _ = run(*options((str(path), space), format="x86-32bit"), "0x400000")
    assert " 12345007 " in out


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"format": "x86_64-4levels"}, ["0"], "there is no format 'x86_64-4levels'; nearest: x86_64-4level"),
        ({"memory": "/nowhere/at/all"}, ["0"], "memory image /nowhere/at/all: there is no such file"),
        ({"memory": "/dev/null"}, ["0"], "memory image /dev/null: it is a device, and no file"),
        ({"memory": "/"}, ["0"], "memory image /: it is a folder"),
        ({"root": "0x80000000"}, ["0"], "root 0x80000000 lies outside of the image"),
        ({"root": "0x1000"}, ["0"], "which has 0x40003000 to 0x40103000"),
        ({"root": "0x40003801"}, ["0"], "its bits 0x801 must be zero"),
        ({"root": "ffff8880"}, ["0"], "--root 'ffff8880' is no 64-bit address: 0xffff8880?"),
        ({"root": "pgd"}, ["0"], "--root 'pgd' is no 64-bit address\n"),
        ({"base": "0x40003001"}, ["0"], "base 0x40003001 is no multiple of 4096"),
        ({"base": "-4096"}, ["0"], "--base '-4096' is no 64-bit address\n"),
        ({"base": "0xfffffffffff000"}, ["0"], "it would end above 2**56"),
        ({}, ["12f"], "VA '12f' is no 64-bit address: 0x12f?"),
        ({}, ["0x1ffffffffffffffff"], "is no 64-bit address\n"),
        ({}, [""], "VA '' is no 64-bit address\n"),
        ({}, [], "which address? Name one or more, or --all"),
        ({}, ["0", "--all"], "--all lists what is mapped for any access"),
        ({}, ["--all", "--supervisor"], "--all lists what is mapped for any access"),
        ({}, ["0", "--upper-half"], "--upper-half goes with --all"),
        ({}, ["--all", "--upper-half"], "format x86_64-4level has one root for all addresses"),
        ({}, ["0", "--access", "jump"], "'jump' is not one of"),
        ({"set": "format.nx=on"}, ["0"], "format x86_64-4level has no setting 'nx'; nearest: nxe"),
        ({"set": "format.nxe=maybe"}, ["0"], "nxe is on or off, not 'maybe'"),
        ({"set": "format.maxphyaddr=60"}, ["0"], "maxphyaddr lies between 32 and 52, not 60"),
        ({"set": "format.maxphyaddr=wide"}, ["0"], "maxphyaddr lies between 32 and 52, not 'wide'"),
        ({"set": "kernel.nxe=on"}, ["0"], "nothing is called 'kernel'; there is: format"),
        ({"set": "nxe=on"}, ["0"], "write it as format.FIELD=VALUE"),
    ],
)
def test_a_request_that_cannot_be_served_is_one_line_and_status_2(
    run: Run, raw: tuple[str, AddressSpace], changes: dict[str, str], more: list[str], message: str
) -> None:
    status, out, err = run(*options(raw, **changes), *more)
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("shootdown: error: ")
    assert len([line for line in err.splitlines() if not line.strip().startswith("try: ")]) == 1


@pytest.mark.parametrize("missing", ["format", "memory", "root"])
def test_what_a_walk_needs_is_asked_for(run: Run, missing: str) -> None:
    given = {"format": "x86_64-4level", "memory": IMAGE, "root": "0x4062000"}
    words = [word for name, value in given.items() if name != missing for word in (f"--{name}", value)]
    status, _, err = run("walk", *words, "0")
    assert status == 2
    assert f"--{missing}" in err.splitlines()[0]


def test_an_empty_image_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    status, _, err = run(
        "walk", "--format", "x86-pae", "--memory", str(tmp_path / "empty"), "--root", "0", "0"
    )
    assert (status, "it is empty" in err) == (2, True)


def test_a_truncated_image_gives_what_it_has_and_status_2(
    run: Run, raw: tuple[str, AddressSpace], tmp_path: Path
) -> None:
    content = Path(raw[0]).read_bytes()
    last = raw[1].table_of(0x40_0000, "pte")
    assert last is not None
    cut = tmp_path / "cut.raw"
    cut.write_bytes(content[: last - BASE])
    status, out, err = run(*options((str(cut), raw[1])), "0x400000", "0x1000000", "--json")
    assert status == 2
    assert [row["pa"] for row in json.loads(out)["walks"]] == [None, M2 * 16]
    assert json.loads(out)["walks"][0]["fault"] == "outside of the image"
    assert "1 of 2 walks need a table that is not in the image" in err
    assert len(err.splitlines()) == 1
    status, out, err = run(*options((str(cut), raw[1])), "--all", "--json")
    assert status == 2
    assert [row["va"] for row in json.loads(out)["ranges"]] == [0x100_0000]
    assert "1 tables, and what they map, are not in the image" in err


def test_a_table_that_an_npz_leaves_out_is_said_and_no_error(
    run: Run, raw: tuple[str, AddressSpace], tmp_path: Path
) -> None:
    last = raw[1].table_of(0x40_0000, "pte")
    assert last is not None
    path = str(npz_image(tmp_path / "some.npz", raw[1], BASE, last))
    status, out, err = run(*options((path, raw[1]), base="0"), "0x400000", "--json")
    assert (status, json.loads(out)["walks"][0]["fault"]) == (0, "outside of the image")
    assert err.startswith("1 of 1 walks need a table that is not in the image")
    status, out, err = run(*options((path, raw[1]), base="0"), "--all", "--json")
    assert (status, len(json.loads(out)["ranges"])) == (0, 1)
    assert err.startswith("1 tables, and what they map, are not in the image")


def test_a_base_given_for_an_npz_is_said_to_be_of_no_use(run: Run) -> None:
    row = next(row for row in ORACLE["translations"] if row["pa"])
    status, out, err = run(*REAL, "--base", "0x40000000", row["va"], "--json")
    assert status == 0
    assert json.loads(out)["walks"][0]["pa"] == int(row["pa"], 16)
    assert "carries its own addresses" in err


def test_a_walk_needs_no_compiler() -> None:
    code = (
        "import sys; from shootdown._cli import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *REAL, "0"], capture_output=True, text=True, check=True
    )
    assert "shootdown._cli._walk" in done.stderr.split()
    assert "numba" not in done.stderr.split()


@pytest.fixture
def endless(tmp_path: Path) -> list[str]:
    """Return a command line that lists for hours: a root whose every entry points to itself."""
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory(first_free=0x1000))
    entries = np.full(512, space.root | 0x67, dtype=np.uint64)
    entries[1::2] |= np.uint64(1 << 63)
    space.memory.store_table(space.root, entries)
    path = raw_image(tmp_path / "loop.raw", space, 0, 1 << 20)
    return ["walk", "--format", "x86_64-4level", "--memory", str(path), "--root", hex(space.root), "--all"]


def test_an_endless_list_streams_and_stays_json_when_interrupted(endless: list[str], tmp_path: Path) -> None:
    with (tmp_path / "out.json").open("w") as out:
        process = subprocess.Popen([*MAIN, *endless, "--json"], stdout=out, stderr=subprocess.PIPE, text=True)
        while os.path.getsize(out.name) < 1 << 20:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "shootdown: interrupted\n"
    rows = json.loads(Path(out.name).read_text())["ranges"]
    assert len(rows) > 1000
    assert [row["va"] for row in rows] == sorted(row["va"] for row in rows)


def test_a_reader_that_has_seen_enough_ends_the_list(endless: list[str]) -> None:
    process = subprocess.Popen([*MAIN, *endless], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("VA ")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


def test_a_long_list_shows_on_a_terminal_how_far_it_has_come(endless: list[str], tmp_path: Path) -> None:
    parent, child = pty.openpty()
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*MAIN, *endless], stdout=out, stderr=child, env={**os.environ, "TERM": "xterm"}
        )
        os.close(child)
        seen = b""
        while not re.search(rb"\d% [1-9][\d,]* ranges", seen):
            seen += os.read(parent, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while os.read(parent, 4096):
                pass
        assert process.wait(timeout=60) == 130
    os.close(parent)
