"""What is listed of a hashed page table is what walks find, and nothing else."""

import json
import random

import numpy as np
import pytest
from twins import powerpc_hash_cases

from shootdown import ShootdownError, _cli, mapped
from shootdown.formats import Access, PhysicalMemory, Reason, Walker, mappings, trace
from shootdown_powerpc._formats import HASH_4K, HASH_64K

BATCHES, SIZE = 40, 150


@pytest.mark.parametrize(("format_", "page"), [(HASH_4K, 12), (HASH_64K, 16)], ids=["4k", "64k"])
def test_random_tables_are_listed_as_walks_find_them(format_, page):
    rng = random.Random(70 + page)
    ranges = 0
    sources = set()
    for _ in range(BATCHES):
        case = powerpc_hash_cases.case(rng, page, SIZE)
        memory = PhysicalMemory()
        for number, data in case.memory.frames.items():
            memory.write(number << 12, bytes(data))
        under = format_.settings(**case.settings)
        walker = Walker(format_, memory, under)
        listed = list(mappings(format_, memory, case.root, under))
        assert [m.va for m in listed] == sorted(m.va for m in listed)
        ends = np.array([m.va + m.size - 1 for m in listed], dtype=np.uint64)
        begins = np.array([m.va for m in listed], dtype=np.uint64)
        for user in (True, False):
            for kind in ("read", "write", "execute"):
                right = f"{'user' if user else 'privileged'}_{kind}"
                for where, at in ((begins, 0), (ends, None)):
                    found = walker.walk_many(case.root, where, Access(kind, user))
                    for i, m in enumerate(listed):
                        allowed = right in m.attributes
                        if kind == "execute" and not allowed:
                            continue  # a segment's N ends the walk before the table
                        assert (found.reason[i] == 0) == allowed, (case.settings, m)
                        if allowed:
                            assert int(found.pa[i]) == m.pa + (m.size - 1 if at is None else 0)
                            assert 1 << int(found.shift[i]) == m.page_size
        # And what walks find is listed.
        walked = walker.walk_many(case.root, np.array(case.addresses, dtype=np.uint64))
        for i, va in enumerate(case.addresses):
            inside = [m for m in listed if m.va <= va < m.va + m.size]
            if case.cpu.source[0] == "vsid":
                continue  # each address is in the segment; the list has its offsets
            if Reason(int(walked.reason[i])) in (Reason.OK, Reason.PERMISSION):
                assert len(inside) == 1, (case.settings, hex(va), inside)
                sources.add(case.cpu.source[0])
            else:
                assert inside == [], (case.settings, hex(va), inside)
        ranges += len(listed)
    assert ranges > 1000
    assert sources == {"linux", "slb", "stab"}


def filled(pages):
    """Map pages of 4 KiB of context 6 at 0x10000000: (number of the page, its frame, second doubleword's flags)."""
    memory = PhysicalMemory()
    table = 0x10_0000
    memory.write(table, bytes(1 << 18))
    for number, frame, flags in pages:
        ea = 0x1000_0000 + number * 4096
        vsid = (6 * 2**21 + (ea >> 28)) * 12538073 % (2**40 - 1)
        group = table + ((vsid ^ (ea & (1 << 28) - 1) >> 12) & 0x7FF) * 128
        slot = next(n for n in range(8) if not memory.read(group + 16 * n, 8)[7] & 1)
        first = vsid << 12 | (ea & (1 << 28) - 1) >> 23 << 7 | 1
        memory.write_entry(group + 16 * slot, first, big_endian=True)
        memory.write_entry(group + 16 * slot + 8, frame << 12 | flags, big_endian=True)
    return memory, table


def test_neighbours_that_continue_one_another_are_joined_whatever_was_used():
    pages = [(n, 0x700 + n, 0x2 | 0x100 * (n % 2) | 0x80 * (n % 3 == 0)) for n in range(600)]
    pages += [(600, 0x700 + 600, 0x3), (700, 0x50, 0x2)]
    memory, table = filled(pages)
    listed = [(m.va, m.pa, m.size, m.flags) for m in mapped(memory, format="ppc64-hash-4k", root=table)]
    assert listed == [
        (0x1000_0000, 0x70_0000, 600 * 4096, ("pp=0b010",)),
        (0x1000_0000 + 600 * 4096, (0x700 + 600) << 12, 4096, ("pp=0b011",)),
        (0x1000_0000 + 700 * 4096, 0x5_0000, 4096, ("pp=0b010",)),
    ]


def test_other_contexts_are_left_out():
    memory, table = filled([(n, 0x700 + n, 0x2) for n in range(20)])
    assert len(list(mappings(HASH_4K, memory, table))) == 1
    assert list(mappings(HASH_4K, memory, table, HASH_4K.settings(context=7))) == []


def test_a_segment_by_its_vsid_alone_lists_offsets():
    memory, table = filled([(3, 0x50, 0x2)])
    vsid = (6 * 2**21 + 1) * 12538073 % (2**40 - 1)
    (only,) = mappings(HASH_4K, memory, table, HASH_4K.settings(vsid=vsid))
    assert (only.va, only.pa) == (0x3000, 0x5_0000)


def test_an_impossible_table_is_refused():
    memory, table = filled([(3, 0x50, 0x2)])
    with pytest.raises(ShootdownError, match="HTABSIZE 0x1d is above 0x1c"):
        list(mappings(HASH_4K, memory, table | 29))
    with pytest.raises(ShootdownError, match="no memory at 0x"):
        list(mappings(HASH_4K, memory, table, HASH_4K.settings(slb=1 << 50)))


def test_the_command_walks_and_lists_a_hashed_table(tmp_path, capsys):
    table, ea = 0x10_0000, 0x1234_5678
    memory = PhysicalMemory()
    memory.write(table, bytes(1 << 18))
    segment, group, _ = trace(HASH_4K, memory, table, ea).steps
    page = segment.entry >> 12 << 5 | (ea & (1 << 28) - 1) >> 23
    memory.write_entry(group.address + 80, page << 7 | 1, big_endian=True)
    memory.write_entry(group.address + 88, 0x7_7770_0112, big_endian=True)
    image = tmp_path / "table.raw"
    image.write_bytes(memory.read(table, 1 << 18))
    words = f"walk --format ppc64-hash-4k --memory {image} --base {table} --root {table}".split()
    assert _cli.run([*words, hex(ea), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["walks"]
    assert (row["pa"], row["page_size"], row["user"]) == (0x7_7770_0678, 4096, "rwx")
    assert _cli.run([*words, "--all", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["ranges"]
    assert (only["va"], only["pa"], only["size"]) == (ea & ~0xFFF, 0x7_7770_0000, 4096)
    assert _cli.run([*words, "0x22345678"]) == 0
    assert "data storage interrupt, DSISR 0x40000000: not present" in capsys.readouterr().out


def test_a_table_that_an_image_cuts_off_is_listed_as_far_as_it_goes_and_refused(tmp_path):
    memory, table = filled([(n, 0x700 + n, 0x2) for n in range(1500)])
    (tmp_path / "image").write_bytes(memory.read(table, 1 << 17))
    image = {"format": "ppc64-hash-4k", "root": table, "base": table}
    ranges = mapped(tmp_path / "image", **image)
    assert next(ranges).pa >= 0x70_0000
    with pytest.raises(
        ShootdownError, match=r"2\*\*18 bytes from 0x100000 on.*the rest of it maps is missing"
    ):
        list(ranges)
    (complete,) = mapped(memory, format="ppc64-hash-4k", root=table)
    assert complete.size == 1500 * 4096
