"""Emulated physical memory: sparse, exact, and no larger than what is in it."""

import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._pagetables import memory
from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory
from shootdown._values.errors import ShootdownError


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0x1000, 2**34 - 8, 2**34 - 4096, 2**40, 2**52 - 8, 2**56 - 4096]),
            st.integers(0, 4000),
            st.binary(min_size=1, max_size=96),
        ),
        max_size=12,
    )
)
def test_bytes_come_back_wherever_they_lie_and_the_rest_is_zero(writes):
    memory, model = PhysicalMemory(), {}
    for base, offset, content in writes:
        address = min(base + offset, 2**56 - len(content))
        memory.write(address, content)
        model.update({address + i: byte for i, byte in enumerate(content)})
    for base, offset, content in writes:
        address = min(base + offset, 2**56 - len(content))
        start = max(0, address - 8)
        length = min(address + len(content) + 8, 2**56) - start
        assert memory.read(start, length) == bytes(model.get(start + i, 0) for i in range(length))
    assert memory.frames == len({address >> 12 for address in model})


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("entry_bytes", [4, 8])
def test_a_table_larger_than_a_frame_spans_several(entry_bytes, big_endian):
    memory = PhysicalMemory()
    table = memory.allocate(8192 * entry_bytes)
    assert table % (8192 * entry_bytes) == 0
    entries = np.arange(8192, dtype=np.uint64) * np.uint64(12345)
    memory.store_table(table, entries, entry_bytes=entry_bytes, big_endian=big_endian)
    got = memory.table(table, 8192, entry_bytes=entry_bytes, big_endian=big_endian)
    assert np.array_equal(got, entries)
    one = memory.read_entry(table + 5000 * entry_bytes, entry_bytes=entry_bytes, big_endian=big_endian)
    assert one == 5000 * 12345
    assert memory.frames == 8192 * entry_bytes // 4096


def test_allocated_memory_is_zero_distinct_and_reused_after_free():
    memory = PhysicalMemory()
    tables = [memory.allocate() for _ in range(100)]
    assert len(set(tables)) == 100
    memory.write(tables[3], b"\xff" * 4096)
    memory.free(tables[3])
    assert memory.frames == 99
    assert memory.allocate() == tables[3]
    assert memory.read(tables[3], 4096) == bytes(4096)


def test_frames_can_be_allocated_above_the_window():
    memory = PhysicalMemory(window_bytes=SECTION_BYTES, first_free=SECTION_BYTES - 4096)
    low, high = memory.allocate(), memory.allocate()
    assert (low, high) == (SECTION_BYTES - 4096, SECTION_BYTES)
    memory.write(high, b"table")
    assert memory.read(high, 5) == b"table"
    memory.free(high)
    assert not memory.holds(high)


def test_held_frames_are_those_of_the_range_in_order_wherever_they_lie():
    memory = PhysicalMemory(base=SECTION_BYTES, window_bytes=SECTION_BYTES)
    places = [0x5000, SECTION_BYTES - 4096, SECTION_BYTES + 0x3000, 3 * SECTION_BYTES, (1 << 40) + 0x7000]
    for place in reversed(places):
        memory.write(place + 8, b"x")
    assert list(memory.held_frames(0, 1 << 56)) == places
    assert list(memory.held_frames(0x5000, SECTION_BYTES - 0x5000)) == places[:2]
    assert list(memory.held_frames(0x6000, SECTION_BYTES - 0x6000)) == places[1:2]
    assert list(memory.held_frames(SECTION_BYTES, 0x3000)) == []


def test_held_frames_of_an_image_are_all_its_whole_frames(tmp_path):
    (tmp_path / "image").write_bytes(bytes(3 * 4096 + 512))
    memory = PhysicalMemory.load(tmp_path / "image", base=0x8000)
    assert list(memory.held_frames(0, 1 << 40)) == [0x8000, 0x9000, 0xA000]
    assert list(memory.held_frames(0x9000, 4096)) == [0x9000]


def test_freeing_what_was_never_allocated_is_refused():
    with pytest.raises(ShootdownError, match="never allocated"):
        PhysicalMemory().free(0x5000)


def test_a_raw_image_is_mapped_at_its_base_and_never_changed(tmp_path):
    file = tmp_path / "image.bin"
    file.write_bytes(bytes(4096) + b"A" * 4096)
    memory = PhysicalMemory.load(file, base=0x8000_0000)
    assert memory.read(0x8000_1000, 4) == b"AAAA"
    memory.write(0x8000_1000, b"B")
    assert memory.read(0x8000_1000, 2) == b"BA"
    assert file.read_bytes()[4096:4098] == b"AA"
    with pytest.raises(ShootdownError, match="outside of the image"):
        memory.read(0x8000_2000, 1)
    with pytest.raises(ShootdownError, match="no free frames"):
        memory.allocate()


def test_a_sparse_image_larger_than_memory_is_no_burden(tmp_path):
    file = tmp_path / "sparse.bin"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
        sparse.seek((1 << 39) + 4096)
        sparse.write(b"here")
    memory = PhysicalMemory.load(file)
    assert memory.read((1 << 39) + 4096, 4) == b"here"
    assert memory.read(0, 8) == bytes(8)


def test_an_npz_image_carries_its_frame_numbers(tmp_path):
    file = tmp_path / "tables.npz"
    data = np.zeros((2, 4096), dtype=np.uint8)
    data[1, :3] = (1, 2, 3)
    np.savez(file, pfn=np.array([0x2C27, 1 << 36]), data=data)
    memory = PhysicalMemory.load(file)
    assert memory.read(1 << 48, 3) == b"\x01\x02\x03"
    assert (memory.holds(0x2C27 << 12), memory.holds(0x2C28 << 12)) == (True, False)
    assert memory.frames == 2
    assert memory.allocate() > 1 << 48


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.bin", None, "no such file"),
        ("empty.bin", b"", "it is empty"),
        ("text.npz", b"not an archive", "no .npz with pfn and data"),
        ("cut.npz", b"PK\x03\x04 and no more", "no .npz with pfn and data"),
    ],
)
def test_a_file_that_is_no_image_is_refused_in_a_line(tmp_path, name, content, said):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ShootdownError, match=said) as refused:
        PhysicalMemory.load(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "members",
    [
        {"a.txt": b"text"},
        {"pfn": b"text", "data": b"text"},
        {"pfn.npy": b"", "data.npy": b""},
        # As Python that its parser gives up: numpy lets other errors through than for data.
        {"pfn.npy": b"\x93NUMPY\1\0\x10\0{'descr': (((( \n", "data.npy": b""},
        {"pfn.npy": b"\x93NUMPY\1\0\x10\0{'descr': '\xa8\0'\n", "data.npy": b""},
    ],
)
def test_a_zip_that_is_no_npz_is_refused(tmp_path, members):
    file = tmp_path / "other.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ShootdownError, match=r"no \.npz with pfn and data"):
        PhysicalMemory.load(file)


def test_a_plain_array_by_the_name_of_an_npz_is_refused(tmp_path):
    file = tmp_path / "plain.npz"
    with file.open("wb") as opened:
        np.save(opened, np.arange(8))
    with pytest.raises(ShootdownError, match=r"no \.npz with pfn and data"):
        PhysicalMemory.load(file)


def test_a_small_npz_that_would_fill_the_memory_is_refused_by_its_header(tmp_path, monkeypatch):
    file = tmp_path / "bomb.npz"
    np.savez_compressed(file, pfn=np.arange(2000), data=np.zeros((2000, 4096), np.uint8))
    monkeypatch.setattr(memory, "MOST_NPZ_BYTES", 2000 * 8 + 2000 * 4096)
    assert PhysicalMemory.load(file).frames == 2000
    monkeypatch.setattr(memory, "MOST_NPZ_BYTES", 2000 * 4096)
    tracemalloc.start()
    with pytest.raises(ShootdownError, match="its arrays have 8,208,000 bytes"):
        PhysicalMemory.load(file)
    assert tracemalloc.get_traced_memory()[1] < 2000 * 4096
    tracemalloc.stop()


def test_an_npz_of_other_arrays_is_refused(tmp_path):
    file = tmp_path / "other.npz"
    np.savez(file, pfn=np.array([1, 2]), data=np.zeros((2, 100), dtype=np.uint8))
    with pytest.raises(ShootdownError, match="data must be uint8"):
        PhysicalMemory.load(file)


def test_a_base_within_a_frame_is_refused(tmp_path):
    file = tmp_path / "image.bin"
    file.write_bytes(bytes(4096))
    with pytest.raises(ShootdownError, match="no multiple of 4096"):
        PhysicalMemory.load(file, base=0x1001)


PROGRAM = """
from shootdown._pagetables.memory import PhysicalMemory
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096
memory = PhysicalMemory()
memory.write(memory.allocate(), b"x")
before = resident()
for _ in range(30_000):
    memory.write(memory.allocate(), b"x" * 4096)
print((resident() - before) / (30_000 * 4096))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
@pytest.mark.compiled
def test_tables_take_at_most_a_tenth_more_than_their_size():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert 1.0 <= float(ran.stdout) + 0.01 <= 1.1


def test_a_process_that_compiles_is_sent_a_view_of_no_memory():
    import pickle

    from shootdown._compilation.elsewhere import typical

    memory = PhysicalMemory(window_bytes=1 << 28)
    memory.write(0x1000, b"\x01" * 4096)
    sent = typical((memory.view, np.zeros(1 << 20)))
    assert len(pickle.dumps(sent)) < 2048
    assert (sent[0].window_bytes, sent[0].section_count) == (0, 0)
