"""Headers of dumps that are unusual, damaged or promise more than there is: what is read, and what is refused."""

from __future__ import annotations

import struct

import pytest
from twins.dumps import elf_core, lime, note

import shootdown
from shootdown._questions.image import opened_image

X86, PPC64 = 62, 21


def core_of(parts, *, wide=True, order="<", phnum=None, data=b"") -> bytes:
    """Write an ELF core by hand: rows of type, offset, physical address and size."""
    head, row = (64, 56) if wide else (52, 32)
    rows = b""
    for kind, offset, address, size in parts:
        rows += (
            struct.pack(f"{order}IIQQQQQQ", kind, 0, offset, 0, address, size, size, 1)
            if wide
            else struct.pack(f"{order}IIIIIIII", kind, offset, 0, address, size, size, 0, 1)
        )
    ident = b"\x7fELF" + bytes((1 + wide, 1 + (order == ">"), 1)) + bytes(9)
    words = f"{order}HHI{'QQQ' if wide else 'III'}IHHHHHH"
    count = len(parts) if phnum is None else phnum
    return ident + struct.pack(words, 4, PPC64, 1, 0, head, 0, 0, head, row, count, 0, 0, 0) + rows + data


FRAME = bytes(range(256)) * 16


@pytest.mark.parametrize(("wide", "order"), [(True, "<"), (True, ">"), (False, "<"), (False, ">")])
def test_cores_of_both_sizes_and_byte_orders_are_read(tmp_path, wide, order):
    told = b"PAGESIZE=65536\nSYMBOL(swapper_pg_dir)=c000000002b40000\nNUMBER(RADIX_MMU)=1\n"
    text = note("VMCOREINFO", 0, told)
    if order == ">":
        text = struct.pack(">III", *struct.unpack_from("<III", text)) + text[12:]
    rows = 3 * (56 if wide else 32) + (64 if wide else 52)
    nowhere = (1 << (64 if wide else 32)) - 1
    parts = [(4, rows, 0, len(text)), (1, rows + len(text), 0x2B4_0000, 4096), (1, rows, nowhere, 8192)]
    path = tmp_path / "core"
    path.write_bytes(core_of(parts, wide=wide, order=order, data=text + FRAME))
    image = opened_image(path)
    assert image.memory.read(0x2B4_0000, 4096) == FRAME
    assert not image.lacks
    assert image.memory.extent == "0x2b40000 to 0x2b41000"
    assert [(root.name, root.address) for root in image.roots] == [("kernel", 0x2B4_0000)]


@pytest.mark.parametrize(
    ("parts", "phnum", "held", "lacks"),
    [
        ([(1, 1 << 63, 0x1000, 4096)], None, "", ""),
        ([(1, 64, 0x1000, 1 << 63)], None, "0x1000 to 0x2038", "bytes of its segments are missing"),
        ([(1, 64, 0x1000, 4096), (1, 1 << 40, 0x8000, 4096)], None, "0x1000 to 0x2000", "4,096 bytes"),
        ([(1, 64, 0x1000, 4096), (1, 64, 0x1800, 4096)], None, "0x1000 to 0x2000, 0x2000 to 0x2800", ""),
        ([(1, 64, 0x1000, 64), (1, 64, 0x1000, 4096)], None, "0x1000 to 0x1040, 0x1040 to 0x2000", ""),
        ([(1, 64, 0x1000, 4096), (1, 64, 0x9000, 0)], None, "0x1000 to 0x2000", ""),
        ([(1, 64, 0x1000, 4096)], 65534, None, "one of its segments is damaged"),
        ([(1, 64, 0x1000, 4096)], 65535, "", ""),
        ([(4, 64, 0, 1 << 25)], None, None, "its notes have 33,554,432 bytes"),
        ([(4, 64, 0, 1 << 23)] * 3, None, None, "its notes have 25,165,824 bytes"),
        ([(1, 64, (1 << 64) - 1, 4096)], None, None, "none of its segments has a physical address"),
    ],
)
def test_headers_of_a_core_that_promise_more_than_there_is(tmp_path, parts, phnum, held, lacks):
    path = tmp_path / "core"
    path.write_bytes(core_of(parts, phnum=phnum, data=FRAME))
    if not held:
        with pytest.raises(shootdown.ShootdownError, match=lacks or "without memory in it"):
            opened_image(path)
        return
    image = opened_image(path)
    assert image.memory.extent == held
    assert lacks in image.lacks if lacks else not image.lacks


def test_a_core_of_more_segments_than_are_read_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("shootdown._images.elf.MOST_RANGES", 2)
    path = tmp_path / "core"
    path.write_bytes(core_of([(1, 64, address << 12, 4096) for address in (1, 2, 3)], data=FRAME))
    with pytest.raises(shootdown.ShootdownError, match="it has 3 segments, and at most 2 are read"):
        opened_image(path)


def test_a_file_that_does_not_say_its_size_is_read(tmp_path, monkeypatch):
    """As old kernels' /proc/kcore."""
    monkeypatch.setattr("shootdown._images.elf._size", lambda _: 0)
    path = tmp_path / "core"
    path.write_bytes(core_of([(1, 176, 0x1000, 4096), (1, 1 << 40, 0x8000, 4096)], data=FRAME))
    image = opened_image(path)
    assert image.memory.read(0x1000, 4096) == FRAME
    assert not image.memory.holds(0x8000)
    assert not image.lacks


def test_a_frame_in_two_ranges_is_read_from_both(tmp_path):
    path = tmp_path / "image"
    halves = [struct.pack("<4sIQQ8x", b"EMiL", 1, at, at + 2047) + FRAME[:2048] for at in (0x1000, 0x1800)]
    path.write_bytes(b"".join(halves))
    assert opened_image(path).memory.read(0x1000, 4096) == FRAME


def test_a_dump_is_read_and_its_copy_written(tmp_path):
    path = lime(tmp_path / "image", {0x1000: FRAME})
    memory = opened_image(path).memory
    memory.write(0x1008, b"changed!")
    assert memory.read(0x1000, 24) == FRAME[:8] + b"changed!" + FRAME[16:24]
    assert memory.reaches(0x1FFF)
    assert path.read_bytes()[32:] == FRAME
    with pytest.raises(shootdown.ShootdownError, match="a LiME image has no free frames"):
        memory.allocate()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\x1f\x8b\x08", "packed with gzip: unpack it first"),
        (b"\xfd7zXZ\0", "packed with xz"),
        (b"\x28\xb5\x2f\xfd", "packed with zstd"),
        (b"AVML\x02", "compressed by AVML: `avml-convert` makes a LiME image"),
        (b"QFI\xfb", "a disk image of QEMU"),
    ],
)
def test_what_is_no_image_is_not_walked_as_raw_memory(tmp_path, start, said):
    path = tmp_path / "image"
    path.write_bytes(start + bytes(8192))
    with pytest.raises(shootdown.ShootdownError, match=said):
        opened_image(path)


def test_a_number_of_a_damaged_vmcoreinfo_is_no_address(tmp_path):
    told = f"SYMBOL(swapper_pg_dir)={'f' * 5000}\nNUMBER(phys_base)=0\n".encode()
    core = elf_core(tmp_path / "core", {0: bytes(4096)}, machine=X86, notes=[note("VMCOREINFO", 0, told)])
    assert opened_image(core).roots == ()
