"""Booting, with a script in place of the emulator that prints what a machine would."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from shootdown._measure.boot import Booted, boot
from shootdown._measure.bytecode import Image
from shootdown._values.errors import ShootdownError
from shootdown.measured import Counted, Emulation, Marks, Pattern

IMAGE = Image((), 0, 0, False)
SAID = """
SeaBIOS
\x1b[2J@version Linux version 6.1.192 (x@y) #1
@absent huge_pmd_share
@program 0
@marked 0
@count 0 tlb_gather_mmu 1 4
@row 0 3 TLB
@window 0 1 0
@program 1
@failed mmap of memory 0: Cannot allocate memory
@marked 1
@done
"""


def emulation(
    folder: Path, said: str, version: str = "QEMU emulator version 7.2.0", more: str = ""
) -> Emulation:
    script = folder / "emulator"
    script.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit; fi\n{more}\ncat <<'END'\n{said}\nEND\n"
    )
    script.chmod(0o755)
    return Emulation(
        "amd64", str(script), "qemu-system-x86", ("-M", "pc"), "qemu64", "ttyS0", "x86_64", "cc", (0, b""), 62,
        counts=(Counted("gathers", ("tlb_gather_mmu",)),),
    )  # fmt: skip


def run(told: Emulation, seconds: float = 20.0, programs: tuple[Image, ...] = (IMAGE, IMAGE)) -> Booted:
    return boot(told, Path("/kernel"), b"", programs, cpus=4, seconds=seconds, ran=lambda: None)


def test_what_the_machine_says_is_read(tmp_path: Path) -> None:
    found = run(emulation(tmp_path, SAID))
    assert found.version == "Linux version 6.1.192 (x@y) #1"
    assert found.absent == {"huge_pmd_share"}
    (once,) = found.runs[0]
    assert (once.calls, once.rows, once.windows) == ({"tlb_gather_mmu": (1, 4)}, {"TLB": 3}, 1)
    assert found.failures == {1: "mmap of memory 0: Cannot allocate memory"}
    assert "the plugin of amd64 names none" in found.remarks[0]


def test_a_kernel_with_other_pages_says_so_and_runs_nothing(tmp_path: Path) -> None:
    found = run(emulation(tmp_path, "@version Linux version 6.1.176\n@pages 65536\n@done"))
    assert (found.page_size, found.runs) == (65536, {})


def test_stale_reads_are_added_up_over_repetitions(tmp_path: Path) -> None:
    said = "@program 0\n@stale 0 120\n@stale 3 80\n@program 1\n@stale 0 0\n@done"
    assert run(emulation(tmp_path, said)).stale == {0: (2, 3, 200), 1: (1, 0, 0)}


def test_each_run_gets_the_line_that_the_emulators_plugin_printed_after_it(tmp_path: Path) -> None:
    # The option is PLUGIN,out=FILE,name=...
    found = 'for one in "$@"; do case "$one" in *,out=*) file=${one#*,out=};; esac; done'
    more = f'{found}; echo "invlpg=2 =7 invlpg=1 open=1" > ${{file%%,*}}'
    told = attrs.evolve(
        emulation(tmp_path, SAID, more=more),
        instructions=(Pattern("invlpg", 1, 255),),
        marks=Marks("nop", 0, 255, 4),
    )
    found = run(told)
    assert found.runs[0][0].instructions == {"invlpg": 3}
    assert found.remarks == []


def test_an_emulator_with_another_interface_counts_no_instructions_and_says_so(tmp_path: Path) -> None:
    told = attrs.evolve(
        emulation(tmp_path, SAID, "QEMU emulator version 10.0.2"),
        instructions=(Pattern("invlpg", 1, 255),),
        marks=Marks("nop", 0, 255, 4),
    )
    found = run(told)
    assert found.runs[0][0].instructions is None
    assert "QEMU up to 8.2, and this is version 10.0" in found.remarks[0]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Kernel panic - not syncing: no init", "ended before its programs had.*Kernel panic"),
        ("@failed there is memory for 3 of 9 huge pages", "the machine failed: there is memory for 3 of 9"),
        ("", "it said last: nothing"),
    ],
)
def test_a_machine_that_does_not_come_to_its_end_says_why(tmp_path: Path, said: str, why: str) -> None:
    with pytest.raises(ShootdownError, match=why):
        run(emulation(tmp_path, said))


def test_a_machine_that_hangs_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="was stopped after 0 s"):
        run(emulation(tmp_path, SAID, more="exec sleep 30"), seconds=0.3)


def test_a_program_that_migrates_gets_two_nodes_of_memory(tmp_path: Path) -> None:
    told = emulation(tmp_path, SAID, more=f'echo "$@" > {tmp_path}/told')
    run(told)
    assert "-numa" not in (tmp_path / "told").read_text()
    run(told, programs=(IMAGE, attrs.evolve(IMAGE, migrates=True)))
    options = (tmp_path / "told").read_text()
    assert "-numa node,nodeid=0,memdev=node0,cpus=0-3" in options
    assert "memory-backend-ram,id=node1,size=512M" in options
    assert "-m 1024" in options


def test_an_emulator_that_is_missing_is_named_with_its_package() -> None:
    told = Emulation("amd64", "qemu-system-none", "none", (), "", "", "", "cc", (0, b""), 62)
    with pytest.raises(ShootdownError, match=r"qemu-system-none is not installed.*apt-get install"):
        run(told)


def test_too_many_huge_pages_are_refused_before_anything_is_booted(tmp_path: Path) -> None:
    with pytest.raises(ShootdownError, match="needs 196 GiB"):
        run(emulation(tmp_path, SAID), programs=(Image((), 100_000, 0, False),))
