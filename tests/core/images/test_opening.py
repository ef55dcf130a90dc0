"""Memory images of every form: what is walked in them, the roots that they name, and what is said of damaged ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.dumps import Frames, elf_core, kdump, lime, note, qemu_cpu
from twins.images import space_at

import shootdown
from shootdown import _cli
from shootdown._plugins.registry import registry
from shootdown._questions.image import OUTSIDE, opened_image, page_tables
from shootdown.formats import Walker
from shootdown_x86._formats import X86_64_4LEVEL, X86_64_5LEVEL, X86_PAE

WALKS = Path(__file__).parents[2] / "oracle" / "walks"
ROOT, VA, VA_32 = 0x406_2000, 0x2C0_D57F_1005, 0x4000_0000
X86, I386, ARM64, PPC64, RISCV = 62, 3, 183, 21, 243
PG, PAE, LA57 = 1 << 31, 1 << 5, 1 << 12
KERNEL = (
    "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82000000\n"
    "NUMBER(phys_base)=-{}\nNUMBER(pgtable_l5_enabled)=0\n"
)
TOLD = KERNEL.format(0).replace("82000000", "84062000")  # where the measured image has its root


@pytest.fixture(scope="module")
def frames() -> Frames:
    with np.load(WALKS / "amd64-4l.npz") as kept:
        return {int(pfn) << 12: bytes(data) for pfn, data in zip(kept["pfn"], kept["data"], strict=True)}


@pytest.fixture(scope="module")
def images(frames, tmp_path_factory) -> dict[str, Path]:
    """Page tables of a booted kernel, in each form."""
    folder = tmp_path_factory.mktemp("images")
    cpus = [note("QEMU", 0, qemu_cpu(PG, ROOT | 5, PAE))]
    return {
        "npz": WALKS / "amd64-4l.npz",
        "elf": elf_core(
            folder / "core", frames, machine=X86, notes=[*cpus, note("VMCOREINFO", 0, TOLD.encode())]
        ),
        "lime": lime(folder / "memory.lime", frames),
        "kdump": kdump(folder / "vmcore", frames, machine="x86_64", vmcoreinfo=TOLD),
    }


@pytest.mark.parametrize("form", ["elf", "lime", "kdump"])
def test_the_page_tables_of_a_booted_kernel_are_the_same_in_each_form(images, form):
    where = {"format": "x86_64-4level", "root": ROOT}
    rows = json.loads((WALKS / "amd64-4l.json").read_text())["translations"]
    addresses = [int(row["va"], 16) for row in rows]
    assert shootdown.walk(images[form], addresses, **where) == shootdown.walk(
        images["npz"], addresses, **where
    )
    assert list(shootdown.mapped(images[form], **where)) == list(shootdown.mapped(images["npz"], **where))


@pytest.mark.parametrize(("form", "root"), [("elf", "cpu0"), ("elf", "kernel"), ("kdump", None)])
def test_an_image_that_names_its_root_needs_neither_root_nor_format(images, form, root):
    (found,) = shootdown.walk(images[form], VA, root=root)
    assert found.pa == 0x2BF_3005


def test_roots_that_are_alike_are_one(images):
    """CPU 0 runs on the kernel's own tables here."""
    (found,) = shootdown.walk(images["elf"], VA)
    assert found.pa == 0x2BF_3005


def found(path: Path) -> list[tuple[str, int, str, bool]]:
    return [(root.name, root.address, root.format, root.upper_half) for root in opened_image(path).roots]


@pytest.mark.parametrize(
    ("machine", "cr4", "cr3", "root", "form"),
    [
        (X86, PAE, 0x1234_5FFF, 0x1234_5000, "x86_64-4level"),
        (X86, PAE | LA57, 0x1234_5001, 0x1234_5000, "x86_64-5level"),
        (I386, PAE, 0x1234_5028, 0x1234_5020, "x86-pae"),
        (I386, 0, 0x1234_5018, 0x1234_5000, "x86-32bit"),
    ],
)
def test_cr3_is_the_root_of_a_cpu_and_its_mode_the_format(tmp_path, machine, cr4, cr3, root, form):
    cpus = [qemu_cpu(PG, cr3, cr4), qemu_cpu(0, 0x7000, 0), qemu_cpu(PG, cr3 + 0x1000, cr4)]
    core = elf_core(
        tmp_path / "core", {0: bytes(4096)}, machine=machine, notes=[note("QEMU", 0, cpu) for cpu in cpus]
    )
    assert found(core) == [("cpu0", root, form, False), ("cpu2", root + 0x1000, form, False)]


@pytest.mark.parametrize(
    ("machine", "told", "root"),
    [
        (
            ARM64,
            "PAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffc08cc9058000\nNUMBER(kimage_voffset)=0xffffc08c87800000\n"
            "NUMBER(VA_BITS)=52\nNUMBER(TCR_EL1_T1SZ)=0x10\n",
            ("kernel", 0x4185_8000, "arm64-4k-48", True),
        ),
        (
            PPC64,
            "PAGESIZE=65536\nSYMBOL(swapper_pg_dir)=c000000002b40000\nNUMBER(RADIX_MMU)=1\n",
            ("kernel", 0x2B4_0000, "ppc64-radix-64k", False),
        ),
        (
            RISCV,
            "PAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff81600000\nNUMBER(VA_BITS)=48\n"
            "NUMBER(va_kernel_pa_offset)=0xfffffffeffe00000\n",
            ("kernel", 0x8180_0000, "riscv-sv48", False),
        ),
        (
            X86,
            KERNEL.format(905_969_664).replace("82000000", "bd210000"),
            ("kernel", 0x721_0000, "x86_64-4level", False),
        ),
    ],
)  # fmt: skip
def test_vmcoreinfo_tells_the_kernels_root(tmp_path, machine, told, root):
    """The values of arm64 and x86 are those of Debian's 6.1.192, as QEMU dumped it."""
    core = elf_core(
        tmp_path / "core", {0: bytes(4096)}, machine=machine, notes=[note("VMCOREINFO", 0, told.encode())]
    )
    assert found(core) == [root]


def test_hashed_page_tables_have_no_root_to_name(tmp_path):
    told = b"PAGESIZE=65536\nSYMBOL(swapper_pg_dir)=c000000002b40000\nNUMBER(RADIX_MMU)=0\n"
    core = elf_core(tmp_path / "core", {0: bytes(4096)}, machine=PPC64, notes=[note("VMCOREINFO", 0, told)])
    assert found(core) == []


def test_a_root_of_the_upper_half_lists_addresses_that_begin_with_ones(tmp_path):
    space = space_at(registry().format("arm64-4k-48"), 0x4000_0000)
    space.map(0xFFFF_8000_0000_0000, 0x1234_5000, 4096, "rw")
    kept = {a: space.memory.read(a, 4096) for a in space.memory.held_frames(0x4000_0000, 1 << 24)}
    told = (
        f"PAGESIZE=4096\nSYMBOL(swapper_pg_dir)={space.root + (1 << 63):x}\n"
        f"NUMBER(kimage_voffset)={1 << 63:#x}\nNUMBER(TCR_EL1_T1SZ)=0x10\n"
    )
    core = elf_core(tmp_path / "core", kept, machine=ARM64, notes=[note("VMCOREINFO", 0, told.encode())])
    assert [(each.va, each.pa) for each in shootdown.mapped(core)] == [(0xFFFF_8000_0000_0000, 0x1234_5000)]


def test_the_example_of_the_docs_is_as_a_dump_of_the_measured_image_would_be(tmp_path, frames):
    example = Path(__file__).parents[3] / "docs" / "examples" / "vmcore.elf"
    (answer,) = shootdown.walk(example, VA)
    kept = {step.table: frames[step.table] for step in answer.steps}
    cpu = note("QEMU", 0, qemu_cpu(PG, ROOT, PAE))
    assert example.read_bytes() == elf_core(tmp_path / "core", kept, machine=X86, notes=[cpu]).read_bytes()


# --- what a person types


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = _cli.run(["walk", *map(str, words)])
    told = capsys.readouterr()
    return status, told.out + told.err


def test_roots_are_listed(capsys, images):
    status, text = typed(capsys, "--memory", images["elf"], "--roots")
    assert status == 0
    assert "cpu0    0x4062000  x86_64-4level  CR3 of CPU 0, in QEMU's note" in text
    assert "kernel  0x4062000  x86_64-4level  swapper_pg_dir, in VMCOREINFO" in text
    status, text = typed(capsys, "--memory", images["kdump"], "--roots", "--json")
    assert [row["name"] for row in json.loads(text)["roots"]] == ["kernel"]
    assert "names no root" in typed(capsys, "--memory", images["lime"], "--roots")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("{elf}", "--root", "cpu7", VA),
            "names no root 'cpu7'; those that it names: cpu0 (0x4062000), kernel",
        ),
        (("{lime}", VA), "is a LiME image and names none: give --root"),
        (("{npz}", VA), "is an image that says nothing of its machine and names none"),
        (("{lime}", "--root", ROOT, VA), "--format: which?"),
        (("{elf}", "--roots", VA), "--roots walks nothing"),
        (("{elf}",), "which address?"),
    ],
)
def test_a_wrong_question_gets_one_line(capsys, images, words, said):
    status, text = typed(capsys, "--memory", *(str(word).format(**images) for word in words))
    assert status == 2
    assert said in text
    assert len(text.splitlines()) == 1


def test_several_roots_ask_which(capsys, tmp_path):
    cpus = [note("QEMU", 0, qemu_cpu(PG, cr3, PAE)) for cr3 in (0x1000, 0x2000)]
    core = elf_core(tmp_path / "core", {0x1000: bytes(4096), 0x2000: bytes(4096)}, machine=X86, notes=cpus)
    assert "which root?" in typed(capsys, "--memory", core, 0)[1]
    assert "names cpu0 (0x1000), cpu1 (0x2000)" in typed(capsys, "--memory", core, 0)[1]


# --- damaged images


def test_what_a_cut_image_lacks_is_said_and_the_rest_is_walked(capsys, tmp_path, frames):
    for name, write in (
        ("core", lambda path: elf_core(path, frames, machine=X86)),
        ("lime", lambda p: lime(p, frames)),
    ):
        image = write(tmp_path / name)
        image.write_bytes(image.read_bytes()[:-6000])
        status, text = typed(capsys, "--memory", image, "--root", ROOT, "--format", "x86_64-4level", hex(VA))
        assert status == 0, text
        assert "6,000 bytes of its" in text
        assert "= 0x2bf3005" in text


def test_a_table_that_is_not_in_the_dump_is_outside_of_the_image(tmp_path, frames):
    kept = {address: content for address, content in frames.items() if address != 0xAF6_F000}
    for image in (elf_core(tmp_path / "core", kept, machine=X86), lime(tmp_path / "lime", kept),
                  kdump(tmp_path / "kdump", kept, machine="x86_64", vmcoreinfo=TOLD)):  # fmt: skip
        (answer,) = shootdown.walk(image, VA, format="x86_64-4level", root=ROOT)
        assert answer.fault == OUTSIDE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF", "its ELF header or one of its segments is damaged"),
        (b"EMiL", "ends in its first header"),
        (struct.pack("<4sIQQ8x", b"EMiL", 2, 0, 4095), "no header of version 1 at byte 0"),
        (
            struct.pack("<4sIQQ8x", b"EMiL", 1, 0, 7) + b"12345678" + b"x" * 32,
            "at byte 40, where range 2 begins",
        ),
        (b"KDUMP   " + bytes(64), "drgn does not read this kdump"),
        (b"makedumpfile\0\0\0\0" + bytes(64), "drgn does not read this kdump"),
    ],
)
def test_a_damaged_image_gets_one_line(capsys, tmp_path, content, said):
    image = tmp_path / "image"
    image.write_bytes(content)
    status, text = typed(capsys, "--memory", image, "--root", 0, "--format", "x86_64-4level", 0)
    assert status == 2
    assert said in text


def test_the_core_of_a_process_is_refused(capsys, tmp_path):
    core = elf_core(
        tmp_path / "core", {0x1000: bytes(4096), 0x8000: bytes(4096)}, machine=X86, physical=False
    )
    assert "it is the core of a process" in typed(capsys, "--memory", core, "--root", 0, 0)[1]


@given(st.data())
def test_no_damage_to_a_dump_ends_in_a_traceback(data):
    import tempfile

    space = space_at(X86_PAE, 0x1000)
    space.map(VA_32, 0x8000, 4096, "rw")
    kept = {address: space.memory.read(address, 4096) for address in space.memory.held_frames(0, 1 << 20)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        cpu = note("QEMU", 0, qemu_cpu(PG, space.root, PAE))
        image = data.draw(st.sampled_from([
            lambda: elf_core(path, kept, machine=I386, notes=[cpu]), lambda: lime(path, kept),
        ]))()  # fmt: skip
        content = bytearray(image.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, min(len(content), 600) - 1))] = data.draw(st.integers(0, 255))
        image.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        assert _cli.run(
            ["walk", "--memory", str(image), "--root", hex(space.root), "--format", "x86-pae", hex(VA_32)]
        ) in (0, 2)


def test_compiled_walks_refuse_memory_that_is_read_frame_by_frame(images):
    tables = page_tables(images["lime"], format=X86_64_4LEVEL, root=ROOT)
    with pytest.raises(shootdown.ShootdownError, match="compiled walks need all frames in memory"):
        Walker(X86_64_4LEVEL, tables.memory).walk(ROOT, VA)


def test_five_levels_of_a_dump_are_walked(tmp_path):
    space = space_at(X86_64_5LEVEL, 0x10_0000)
    space.map(0x7F00_0000_0000, 0x1234_5000, 4096, "rx")
    kept = {address: space.memory.read(address, 4096) for address in space.memory.held_frames(0, 1 << 24)}
    core = elf_core(
        tmp_path / "core",
        kept,
        machine=X86,
        notes=[note("QEMU", 0, qemu_cpu(PG, space.root | 7, PAE | LA57))],
    )
    (answer,) = shootdown.walk(core, 0x7F00_0000_0123)
    assert (answer.pa, answer.user) == (0x1234_5123, "r-x")


def test_the_ranges_of_an_image_fit_the_terminal(capsys, monkeypatch, images):
    monkeypatch.setenv("COLUMNS", "60")
    _, text = typed(capsys, "--memory", images["elf"], "--roots")
    assert "0x" in text.splitlines()[0] + text.splitlines()[1]
    assert len(max(text.splitlines()[1:], key=len)) <= 60
