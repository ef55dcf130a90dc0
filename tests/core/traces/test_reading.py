"""Every format gives the addresses that its file holds, and says where a file breaks off."""

import gzip
import io
import lzma
import struct
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import traces as twin

from shootdown._traces.formats import open_trace
from shootdown._traces.source import TraceError
from shootdown._values.errors import ShootdownError

U = np.uint64
SOME = [0x1000, 0x7FFF_FFFF_F123, 2**64 - 1, 0, 0x1008]
MANY = np.random.default_rng(1).integers(0, 2**64, 300_000, dtype=U)


def read(path, **options):
    """Give all addresses, and the fault or None."""
    trace = open_trace(path, **options)
    parts, fault = [], None
    try:
        parts.extend(columns.address.copy() for columns in trace.blocks())
    except TraceError as problem:
        fault = problem
    return np.concatenate(parts) if parts else np.empty(0, U), fault


PACK = {"": lambda data: data, ".gz": gzip.compress, ".xz": lambda data: lzma.compress(data, preset=0)}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize(
    ("name", "data"), [("t.bin", MANY.tobytes()), ("t.npy", npy(MANY)), ("t.npy", npy(MANY.astype(">u8")))]
)
def test_binary_addresses_come_back_packed_or_not(tmp_path, name, data, packing):
    file = tmp_path / (name + packing)
    file.write_bytes(PACK[packing](data))
    addresses, fault = read(file)
    assert fault is None
    assert addresses.dtype == U
    assert np.array_equal(addresses, MANY)


def test_narrower_numbers_are_addresses_too(tmp_path):
    np.save(tmp_path / "t.npy", np.array([1, 2, 3], np.uint32))
    assert read(tmp_path / "t.npy")[0].tolist() == [1, 2, 3]


def test_two_packed_files_in_one_are_both_read(tmp_path):
    for packing in (".gz", ".xz"):
        file = tmp_path / ("t.bin" + packing)
        file.write_bytes(PACK[packing](MANY[:10].tobytes()) + PACK[packing](MANY[10:20].tobytes()))
        assert np.array_equal(read(file)[0], MANY[:20])


@pytest.mark.parametrize(
    ("cut", "good", "place", "problem"),
    [
        (8 * 1000, 1000, "byte 8,000, address 1,000", None),
        (
            8 * 1000 + 3,
            1000,
            "byte 8,003, address 1,000",
            "the file ends after 3 of the 8 bytes of address 1,000",
        ),
    ],
)
def test_raw_addresses_end_where_the_file_does(tmp_path, cut, good, place, problem):
    file = tmp_path / "t.bin"
    file.write_bytes(MANY.tobytes()[:cut])
    addresses, fault = read(file)
    assert np.array_equal(addresses, MANY[:good])
    assert (fault and (fault.place, fault.problem)) == (problem and (place, problem))


def test_a_cut_numpy_file_says_what_its_header_promised(tmp_path):
    file = tmp_path / "t.npy"
    file.write_bytes(npy(MANY)[: 128 + 8 * 777])
    addresses, fault = read(file)
    assert np.array_equal(addresses, MANY[:777])
    assert str(fault) == "byte 6,344, address 777: the file ends; its header promises 300,000"
    file.write_bytes(npy(MANY[:5]) + b"more")
    addresses, fault = read(file)
    assert np.array_equal(addresses, MANY[:5])
    assert str(fault) == "byte 168: bytes follow the 5 addresses that the header promises"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x93NUMPY", "byte 6: no .npy header"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "byte 6: an .npy file of version 9.0"),
        (npy(np.zeros((2, 2), U)), "byte 128: an array of 2 dimensions; a trace has one"),
        (npy(np.zeros(2)), "byte 128: an array of float64; addresses are uint64"),
        (npy(np.zeros(2, [("cpu", "u1")])), "byte 128: records have no field 'address'"),
        (npy(np.zeros(2, [("address", "u8"), ("adress", "u1")])), "records have a field 'adress'; nearest: address"),
        (npy(MANY[:2]).replace(b"'descr'", b"'desc\0'"), "byte 128: no .npy header: "),
        (npy(MANY[:2]).replace(b"'<u8'", b"(((((" ), "byte 128: no .npy header: "),
        (npy(np.zeros(2, [("address", "f8")])), "the field 'address' holds float64; it must hold integers"),
        (b"", "byte 0: no .npy header"),
    ],
)  # fmt: skip
def test_a_numpy_file_that_is_no_trace_says_why(tmp_path, data, message):
    file = tmp_path / "t.npy"
    file.write_bytes(data)
    addresses, fault = read(file)
    assert addresses.size == 0
    assert message in str(fault)


@pytest.mark.parametrize("packing", [".gz", ".xz"])
def test_a_packed_file_is_read_up_to_where_it_breaks(tmp_path, packing):
    whole = PACK[packing](MANY.tobytes())
    file = tmp_path / ("t.bin" + packing)
    file.write_bytes(whole[: len(whole) // 2])
    addresses, fault = read(file)
    assert 100_000 < addresses.size < 200_000
    assert np.array_equal(addresses, MANY[: addresses.size])
    assert fault.problem == "the packed file ends too early"
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 64] = bytes(64)
    file.write_bytes(damaged)
    addresses, fault = read(file)
    assert addresses.size < MANY.size or fault is not None  # a checksum at the end finds it at the latest
    assert "the packed file is damaged" in fault.problem


def champsim(ip, destinations=(), sources=()):
    addresses = (*(*destinations, 0, 0)[:2], *(*sources, 0, 0, 0, 0)[:4])
    return struct.pack("<QBB2B4B2Q4Q", ip, 0, 0, 1, 0, 2, 3, 0, 0, *addresses)


def test_champsim_records_give_sources_then_destinations(tmp_path):
    data = champsim(0x400000, [0x10], [0x20, 0x30]) + champsim(0x400004) + champsim(0x400008, [0x40, 0x50])
    for name in ("600.x-1B.champsimtrace.xz", "old.trace.gz", "t.trace"):
        file = tmp_path / name
        file.write_bytes(PACK[file.suffix if file.suffix in PACK else ""](data))
        addresses, fault = read(file)
        assert fault is None
        assert addresses.tolist() == [0x20, 0x30, 0x10, 0x40, 0x50]
    addresses, _ = read(file, instructions=True)
    assert addresses.tolist() == [0x400000, 0x20, 0x30, 0x10, 0x400004, 0x400008, 0x40, 0x50]
    file.write_bytes(data[:150])
    addresses, fault = read(file)
    assert addresses.tolist() == [0x20, 0x30, 0x10]
    assert str(fault) == "byte 150, record 2: the file ends after 22 of the 64 bytes of record 2"


LACKEY = """==123== Lackey, an example Valgrind tool
==123==
I  04000c30,3
 L 1ffefff7e0,8
 S 1ffefff7d8,8
I  04000C33,5
 M 00421af0,4

==123== Counted 1 call to main()
"""


def test_lackey_lines_are_loads_stores_and_modifications(tmp_path):
    file = tmp_path / "out.txt"
    file.write_text(LACKEY)
    assert read(file)[0].tolist() == [0x1FFEFFF7E0, 0x1FFEFFF7D8, 0x421AF0]
    assert read(file, instructions=True)[0].size == 5
    trace = open_trace(file)
    assert trace.name == "lackey"
    assert len(list(trace.blocks())) == 1
    assert trace.fetches_left_out == 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (" L zzz,8", "no line of lackey text: ' L zzz,8'"),
        (" L 10,", "no line of lackey text: ' L 10,'"),
        (" X 10,8", "no line of lackey text: ' X 10,8'"),
        (" L 12345678901234567,8", "no line of lackey text"),
        (" L 10,8 and more", "no line of lackey text"),
        (" S 10,\xff", "no line of lackey text: ' S 10,\\xff'"),
    ],
)
def test_a_line_that_can_not_be_read_is_named(tmp_path, line, shown):
    file = tmp_path / "out.txt"
    file.write_bytes(b" L 1000,8\n L 2000,8\n" + line.encode("latin1") + b"\n L 3000,8\n")
    addresses, fault = read(file)
    assert addresses.tolist() == [0x1000, 0x2000]
    assert fault.place == "line 3, byte 20"
    assert fault.problem.startswith(shown)


def test_a_text_that_ends_within_a_line_says_so(tmp_path):
    file = tmp_path / "out.txt"
    file.write_text(" L 1000,8\n L 20")
    addresses, fault = read(file)
    assert addresses.tolist() == [0x1000]
    assert str(fault) == "line 2, byte 10: no line of lackey text: ' L 20'; the file ends in it"
    file.write_text(" L 1000,8\n L 2000,8")
    assert read(file)[0].tolist() == [0x1000, 0x2000]


VIEW = """Hello, world!
Output format:
<--record#-> <--instr#->: <---tid---> <record details>
------------------------------------------------------------
           1           0:     3264 <marker: version 6>
           2           0:     3264 <marker: timestamp 13300>
           3           0:     3264 <marker: tid 3264 on core 5>
           4           1:     3264 ifetch       3 byte(s) @ 0x00007f8a0e5e0c30 48 89 e7  mov %rsp, %rdi
           5           2:     3264 ifetch       5 byte(s) @ 0x00007f8a0e5e0c33 e8 98 0e  call
           6           2:     3264 write        8 byte(s) @ 0x00007ffd3cf5ef18 by PC 0x00007f8a0e5e0c33
           7           2:     3265 <marker: tid 3265 on core 2>
           8           3:     3265 read         8 byte(s) @ 0x00007f8a0e5f0b38 by PC 0x00007f8a0e5e1ad0
View tool results:
               8 : total instructions
"""


def test_drmemtrace_lines_tell_address_core_and_workload(tmp_path):
    file = tmp_path / "view.txt"
    file.write_text(VIEW)
    assert read(file)[0].tolist() == [0x7FFD3CF5EF18, 0x7F8A0E5F0B38]
    assert read(file, instructions=True)[0].size == 4
    (columns,) = open_trace(file, cores=True).blocks()
    assert columns.cpu.tolist() == [5, 2]
    file.write_text(VIEW.replace("     3265 ", " W1.T3265 ").replace("     3264 ", " W0.T3264 "))
    (columns,) = open_trace(file, cores=True).blocks()
    assert columns.process.tolist() == [0, 1]
    file.write_text("1: T3264 <marker: version 3>\n2: T3264 read  8 byte(s) @ 0x1234 by PC 0x1\n")
    assert read(file)[0].tolist() == [0x1234]
    file.write_text(VIEW.replace("read         8 byte(s) @", "read"))
    addresses, fault = read(file)
    assert addresses.tolist() == [0x7FFD3CF5EF18]
    assert fault.place.startswith("line 12, byte ")


lines = st.one_of(
    st.builds("{}  {:08x},{}".format, st.sampled_from("ILSM"), st.integers(0, 2**64 - 1), st.integers(1, 64)),
    st.sampled_from([" L 1,1", "\tS  AbC,16 ", "", "==1== x", "--1-- y", "I 5,1\r"]),
    st.text("ILSM 0aFx,=-", max_size=12),
)


@settings(max_examples=200)
@given(text=st.lists(lines, min_size=1, max_size=30).map("\n".join), fetches=st.booleans())
def test_lackey_text_is_read_as_the_twin_reads_it(text, fetches, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "lackey.txt"
    file.write_bytes(text.encode())
    addresses, fault = read(file, format="lackey", instructions=fetches)
    expected, line = twin.lackey(text, fetches)
    assert addresses.tolist() == expected
    assert (fault and fault.place.split(",")[0]) == (line and f"line {line}")


view_lines = st.one_of(
    st.builds(
        "{:12d} {:11d}: {} {} {:>4} byte(s) @ 0x{:016x} by PC 0x1".format,
        st.integers(1, 10**6),
        st.integers(0, 10**6),
        st.sampled_from(["12", "W0.T12", "W3.T4", "T9"]),
        st.sampled_from(["ifetch", "read ", "write", "prefetch"]),
        st.sampled_from([1, 8, 64]),
        st.integers(0, 2**64 - 1),
    ),
    st.sampled_from(
        [
            "",
            "1 1: 7 <marker: tid 7 on core 3>",
            "1: T7 <marker: tid 7 on core 11>",
            "1 2: 3 read 8 byte(s)",
            "1 2: 3 read 8 byte(s) @ 12",
            "hello",
            "1 2",
            "View tool results:",
            "  2 3: W.T2 read 8 byte(s) @ 0x12",
        ]
    ),
)


@settings(max_examples=200)
@given(text=st.lists(view_lines, min_size=1, max_size=30).map("\n".join), fetches=st.booleans())
def test_drmemtrace_text_is_read_as_the_twin_reads_it(text, fetches, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "view.txt"
    file.write_bytes(text.encode())
    trace = open_trace(file, format="drmemtrace", instructions=fetches, cores=True)
    found, fault = [], None
    try:
        for c in trace.blocks():
            found += zip(c.address.tolist(), c.cpu.tolist(), c.process.tolist(), strict=True)
    except TraceError as problem:
        fault = problem
    expected, line = twin.view(text, fetches)
    assert found == expected
    assert (fault and fault.place.split(",")[0]) == (line and f"line {line}")


@pytest.mark.compiled
def test_a_text_of_many_blocks_loses_no_line(tmp_path):
    file = tmp_path / "long.txt"
    addresses = MANY[:200_000]
    file.write_text("".join(f" L {address:x},8\n" for address in addresses.tolist()))
    assert file.stat().st_size > 3 << 20
    assert np.array_equal(read(file)[0], addresses)
    with file.open("a") as more:
        more.write("oops\n")
    found, fault = read(file)
    assert np.array_equal(found, addresses)
    assert fault.place.startswith("line 200,001, byte ")


def test_a_line_without_end_is_no_reason_to_fill_the_memory(tmp_path):
    file = tmp_path / "long.txt"
    file.write_text(" L 10,8\n" + " " * (3 << 20))
    addresses, fault = read(file)
    assert fault.problem == "a line of more than 1 MiB"
    assert addresses.tolist() == [0x10]


def test_records_with_flushes_come_as_columns(tmp_path):
    fields = {"address": "u8", "kind": "u1", "cpu": "u2", "process": "u4", "page_shift": "u1", "pages": "u4"}
    rows = [(0x1000, 0, 1, 2, 0, 0), (0x2000, 17, 0, 2, 12, 33), (0x3000, 4, 0, 2, 12, 1)]
    records = np.array(rows, list(fields.items()))
    np.save(tmp_path / "t.npy", records)
    trace = open_trace(tmp_path / "t.npy")
    assert not trace.is_plain
    blocks = trace.blocks()
    columns = next(blocks)
    assert columns.kind.tolist() == [0, 17]
    assert columns.pages.tolist() == [0, 33]
    with pytest.raises(TraceError, match=r"record 2: no record \(address 12288, kind 4, .*kind is one of"):
        next(blocks)
    np.save(tmp_path / "t.npy", records[["address"]].astype([("address", "u8")]))
    trace = open_trace(tmp_path / "t.npy")
    assert trace.is_plain
    assert len(list(trace.blocks())) == 1


def test_standard_input_is_a_trace_too(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(VIEW.encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert read("-")[0].size == 2


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("no.txt", None, "there is no such file"),
        (
            "t.dat",
            b"\x01\x02\x03\x04" * 9,
            "neither its name nor its content tells the format; give --format",
        ),
        ("t.txt", b"", "it is empty"),
        ("t.txt", b"hello\nworld\n", "neither its name nor its content tells the format"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_at_once(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ShootdownError, match=message):
        open_trace(tmp_path / name)
    with pytest.raises(ShootdownError, match="it is a directory"):
        open_trace(tmp_path)
    with pytest.raises(ShootdownError, match="no trace format 'lacky'; nearest: lackey"):
        open_trace(tmp_path / name, format="lacky")


def test_a_damaged_length_of_an_npy_header_takes_no_memory(tmp_path):
    file = tmp_path / "t.npy"
    file.write_bytes(b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + b"{'descr': '<u8'")
    tracemalloc.start()
    try:
        read(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
