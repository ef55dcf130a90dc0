"""Hashed page tables: what the manual, Linux and a real machine's SLB say of single addresses."""

import numpy as np
import pytest

from shootdown import ShootdownError
from shootdown.formats import Access, PhysicalMemory, Reason, Walker, trace
from shootdown_powerpc._formats import HASH_4K, HASH_64K
from shootdown_powerpc._hash import SHIFT_1T, SHIFT_256M
from shootdown_powerpc._segments import LINUX_64K, scramble, segment_of, unscramble

by_name = pytest.mark.parametrize("format_", [HASH_4K, HASH_64K], ids=lambda f: f.name)
TABLE = 0x10_0000  # 256 KiB: the least, HTABSIZE 0
EA = 0x1234_5678
LINEAR = 0xC000_0000_0100_0000


def put(memory, place, first, second):
    for address, word in ((place, first), (place + 8, second)):
        memory.write_entry(address, word, big_endian=True)


def with_entry(format_, first, second, *, group=None, slot=0, ea=EA, **settings):
    """Give a memory with one entry in the group that the walk of `ea` names first."""
    memory = PhysicalMemory()
    memory.write(TABLE, bytes(1 << 18))
    if group is None:
        group = trace(format_, memory, TABLE, ea, settings=format_.settings(**settings)).steps[0].target
    put(memory, group + 16 * slot, first, second)
    return memory


def both(format_, memory, ea, access=None, root=TABLE, **settings):
    """Walk step by step, check that the compiled walk agrees, and give the trace."""
    under = format_.settings(**settings)
    asked = access or Access()
    stepped = trace(format_, memory, root, ea, asked, under)
    walked = Walker(format_, memory, under).walk(root, ea, asked)
    assert (walked.reason, walked.level, walked.pa) == (stepped.reason, stepped.level, stepped.pa or 0)
    assert format_.held(walked.rights) == stepped.attributes
    return stepped


# --- Linux's VSIDs


def test_vsids_are_those_that_a_machine_had_in_its_slb():
    """From the log of "Fix sharing context ids between kernel & userspace", linuxppc-dev, 2020-01-08."""
    under = HASH_64K.settings(context=7)
    memory = PhysicalMemory()
    assert scramble(7, 0x0, SHIFT_256M, under) == 0x66B_DE00_0A7
    small = HASH_64K.settings(context=7, segments_1t=False, vmemmap_page_shift=16)
    vmemmap = segment_of(LINUX_64K, memory, 0xC00C_0000_0000_0000, small)
    assert vmemmap.word == 0x0006_6BDE_000A_7510
    user = segment_of(LINUX_64K, memory, 0, small)
    assert user.word | 0x80 == 0x0006_6BDE_000A_7D90  # C, the class, is of no interest to a walk
    narrow = HASH_64K.settings(context=7, va_68=False)
    for ea in (0xC00D_B500_0000_0000, 0x1_B500_0000_0000):
        assert segment_of(LINUX_64K, memory, ea, narrow).vsid == 0x100_E64B


@pytest.mark.parametrize("va_68", [True, False])
@pytest.mark.parametrize("shift", [SHIFT_256M, SHIFT_1T])
def test_a_vsid_gives_its_context_and_segment_back(shift, va_68):
    under = HASH_4K.settings(va_68=va_68)
    rng = np.random.default_rng(3)
    for context in rng.integers(1, 1 << 15, 200).tolist():
        ea = int(rng.integers(0, 1 << 46))
        mask = (1 << {SHIFT_256M: 21, SHIFT_1T: 9}[shift]) - 1
        assert unscramble(scramble(context, ea, shift, under), shift, under) == (context, ea >> shift & mask)


# --- groups and entries


@by_name
def test_an_entry_in_either_group_translates_and_the_story_is_told(format_):
    page = format_.settings()["base_page_shift"]
    memory = PhysicalMemory()
    memory.write(TABLE, bytes(1 << 18))
    missing = both(format_, memory, EA)
    assert (missing.reason, missing.fault, missing.fault_code) == (
        Reason.NOT_PRESENT,
        "data storage interrupt",
        0x4000_0000,
    )
    segment, primary, secondary = missing.steps
    assert segment.note == f"Linux, context {6 if page == 12 else 9}"
    assert primary.note == "primary group: no valid entry"
    assert secondary.note == "secondary group: no valid entry"
    # Groups are each other's complements.
    assert (primary.address ^ secondary.address) == (1 << 18) - 128
    vsid = segment.entry >> 12 & (1 << 50) - 1
    avpn = vsid << 5 | (EA & (1 << 28) - 1) >> 23
    large, lp = (0, 0) if page == 12 else (4, 1 << 12)
    for group, h in ((primary.address, 0), (secondary.address, 2)):
        filled = with_entry(
            format_, avpn << 7 | large | h | 1, 0x7_7770_0000 | lp | 0x112, group=group, slot=5
        )
        found = both(format_, filled, EA)
        assert found.pa == 0x7_7770_0000 | EA & (1 << page) - 1
        assert found.page_size == 1 << page
        first, second = found.steps[-2:]
        assert first.address == group + 80
        assert first.index == (group - TABLE) // 16 + 5
        assert ("H" in first.flags) == bool(h)
        assert second.flags == ("R", "M", "pp=0b010")
        assert second.entry == 0x7_7770_0000 | lp | 0x112
        without = both(format_, filled, EA, tc=True)
        assert (without.pa is None) == bool(h)


def test_a_valid_entry_that_does_not_match_says_why():
    memory = PhysicalMemory()
    memory.write(TABLE, bytes(1 << 18))
    group = trace(HASH_4K, memory, TABLE, EA).steps[0].target
    vsid = trace(HASH_4K, memory, TABLE, EA).steps[0].entry >> 12 & (1 << 50) - 1
    first = vsid << 12 | (EA & (1 << 28) - 1) >> 23 << 7 | 1
    put(memory, group, first ^ 1 << 7, 0)
    put(memory, group + 16, first | 2, 0)
    put(memory, group + 32, first | 4, 0)
    put(memory, group + 48, first & ~1, 0)
    notes = [step.note for step in both(HASH_4K, memory, EA).steps[1:]]
    assert notes == [
        "primary group: another page's",
        "primary group: hashed the other way",
        "primary group: no page in a segment of 4K pages",
        "secondary group: no valid entry",
    ]


@pytest.mark.parametrize(
    ("base", "actual", "lp"),
    [(12, 12, None), (12, 16, 7), (12, 24, 0x38), (16, 16, 1), (16, 24, 8), (24, 24, 0)],
)
def test_mixed_page_sizes_share_a_segment(base, actual, lp):
    number = 0x12_3456_789A_B000 >> actual << actual
    vsid, ea = 0x12345, 0xABC_DEF0
    page = ea >> base << base
    first = vsid << 12 | page >> 23 << 7 | (lp is not None) << 2 | 1
    settings = {"vsid": vsid, "base_page_shift": base}
    memory = with_entry(HASH_4K, first, number | (lp or 0) << 12 | 2, ea=ea, **settings)
    found = both(HASH_4K, memory, ea, **settings)
    assert (found.pa, found.page_shift) == (number | ea & (1 << actual) - 1, actual)
    others = {12, 16, 24} - {base}
    assert all(both(HASH_4K, memory, ea, **settings | {"base_page_shift": b}).pa is None for b in others)


def test_terabyte_segments_are_hashed_twice_and_b_lies_where_the_isa_has_it():
    vsid, ea = 0x12_3456, 0x7F_1234_5678
    settings = {"vsid": vsid, "vsid_1t": True}
    avpn = vsid << 17 | (ea & (1 << 40) - 1) >> 23
    hashed = vsid ^ vsid << 25 ^ (ea & (1 << 40) - 1) >> 12
    group = TABLE + (hashed & 0x7FF) * 128
    old = with_entry(HASH_4K, 1 << 62 | avpn << 7 | 1, 0x5_0002, group=group)
    new = with_entry(HASH_4K, avpn << 7 | 1, 1 << 58 | 0x5_0002, group=group)
    for memory, since_3_0 in ((old, False), (new, True)):
        assert both(HASH_4K, memory, ea, hpte_3_0=since_3_0, **settings).pa == 0x5_0678
        assert both(HASH_4K, memory, ea, hpte_3_0=not since_3_0, **settings).pa is None


def test_the_root_or_a_setting_says_how_large_the_table_is():
    memory = PhysicalMemory()
    for size, root, settings in (
        (18, TABLE, {}),
        (20, TABLE | 2, {}),
        (24, TABLE * 16 | 6, {}),
        (22, TABLE * 4, {"htab_shift": 22}),
        (22, TABLE * 4 | 9, {"htab_shift": 22}),
    ):
        steps = both(HASH_4K, memory, EA, root=root, **settings).steps
        assert (steps[1].address ^ steps[2].address) == (1 << size) - 128
    found = both(HASH_4K, memory, EA, root=TABLE | 29)
    assert (found.reason, found.fault) == (Reason.MALFORMED, "machine check")


# --- rights


@pytest.mark.parametrize(
    ("pp", "user", "kernel"),
    [
        (0, "", "rwx"),
        (1, "rx", "rwx"),
        (2, "rwx", "rwx"),
        (3, "rx", "rx"),
        (6, "", "rx"),
        (4, "", ""),
        (7, "", ""),
    ],
)
def test_protection_is_that_of_the_manual_for_either_key(pp, user, kernel):
    """Ks=0, Kp=1, as in the kernel's segments."""
    memory = PhysicalMemory()
    segment = trace(HASH_4K, memory, TABLE, LINEAR).steps[0]
    vsid = segment.entry >> 24 & (1 << 38) - 1
    first = vsid << 24 | (LINEAR & (1 << 40) - 1) >> 23 << 7 | 4 | 1
    second = 1 << 58 | 0x300_0000 | (pp >> 2) << 63 | pp & 3
    filled = with_entry(HASH_4K, first, second, ea=LINEAR)
    for kind, letter in (("read", "r"), ("write", "w"), ("execute", "x")):
        for is_user, allowed in ((True, user), (False, kernel)):
            found = both(HASH_4K, filled, LINEAR + 5, Access(kind, is_user))
            assert (found.pa == 0x300_0005) == (letter in allowed), (kind, is_user)
            if letter not in allowed:
                assert found.fault_code == 0x0800_0000 | (kind == "write") << 25
    guarded = with_entry(HASH_4K, first, second | 8, ea=LINEAR)
    found = both(HASH_4K, guarded, LINEAR, Access("execute", False))
    assert (found.pa, found.fault_code) == (None, 0x1000_0000)


def test_a_key_takes_away_what_pp_grants():
    vsid = 0x777
    for key in range(32):
        second = 0x5_0000 | (key >> 3) << 60 | (key & 7) << 9 | 2
        first = vsid << 12 | (EA & (1 << 28) - 1) >> 23 << 7 | 1
        memory = with_entry(HASH_4K, first, second, vsid=vsid)
        no_load, no_store = 1 << 63 - (2 * key + 1), 1 << 63 - 2 * key
        codes = [
            both(HASH_4K, memory, EA, Access(kind), vsid=vsid, amr=amr, iamr=iamr).fault_code
            for kind in ("read", "write", "execute")
            for amr, iamr in ((no_load, 0), (no_store, 0), (0, no_load), (0, no_store))
        ]
        assert codes == [0x20_0000, 0, 0, 0, 0, 0x220_0000, 0, 0, 0, 0, 0x20_0000, 0]


# --- segments


def test_segments_come_from_an_image_of_the_slb():
    memory = PhysicalMemory()
    memory.write(TABLE, bytes(1 << 18))
    # As in Linux's struct slb_shadow: ESID, V and the index; B, VSID, keys and sizes.
    put(memory, 0x9000, 0xC000_0000_0800_0000, 1 << 62 | 0xABC << 24 | 0x500)
    put(memory, 0x9010, 0x1000_0000 | 0x0800_0001, 0x123 << 12 | 0xC00 | 0x200)
    put(memory, 0x9020, 0x2000_0000 | 2, 0x124 << 12)
    slb = {"slb": 0x9000, "slb_entries": 3}
    kernel = both(HASH_4K, memory, LINEAR, **slb).steps[0]
    assert kernel.flags == ("VSID=0xabc", "B=1T", "base=16M", "Kp")
    assert (kernel.address, kernel.note) == (0x9000, "SLBE 0")
    fetched = both(HASH_4K, memory, EA, Access("execute"), **slb)
    assert (fetched.reason, fetched.level, fetched.fault_code) == (Reason.PERMISSION, 0, 0x1000_0000)
    assert both(HASH_4K, memory, EA, **slb).steps[0].flags == (
        "VSID=0x123",
        "B=256M",
        "base=4K",
        "Ks",
        "Kp",
        "N",
    )
    for ea, kind in ((0x2000_0000, "data"), (0x3000_0000, "data"), (0x3000_0000, "instruction")):
        asked = Access("read" if kind == "data" else "execute")
        found = both(HASH_4K, memory, ea, asked, **slb)
        assert (found.reason, found.fault) == (Reason.NONCANONICAL, f"{kind} segment interrupt")


def test_segments_come_from_a_segment_table_by_either_group():
    memory = PhysicalMemory()
    for place, esid in ((0x9000 + 128 * 1, 0x1000_0000), (0x9000 + 128 * 29, 0x2000_0000)):
        put(memory, place + 16 * 7, esid | 0x0800_0000, 0x123 << 12)
    for ea in (0x1234_5678, 0x2234_5678):
        found = both(HASH_4K, memory, ea, segment_table=0x9000)
        assert found.steps[0].flags == ("VSID=0x123", "B=256M", "base=4K")
    assert both(HASH_4K, memory, 0x3234_5678, segment_table=0x9000).reason is Reason.NONCANONICAL


@by_name
def test_addresses_that_linux_gives_no_segment_have_none(format_):
    memory = PhysicalMemory()
    limit = 46 if format_ is HASH_4K else 49
    for ea in (1 << limit, 1 << 60, 0xB000 << 48, 0xD000 << 48, 0xC00E << 48, 0xFFFF << 48):
        found = both(format_, memory, ea)
        assert (found.reason, found.steps[0].note) == (
            Reason.NONCANONICAL,
            "Linux gives this address no segment",
        )
    for ea in ((1 << limit) - 1, 0xC000 << 48):
        assert both(format_, memory, ea).reason is not Reason.NONCANONICAL


def test_tables_and_segments_outside_of_memory_are_a_machine_check():
    memory = PhysicalMemory(base=1 << 32, window_bytes=1 << 27)
    for root, settings in (
        (1 << 40, {}),
        ((1 << 32) + TABLE, {"slb": 0x9000}),
        (0, {"segment_table": 1 << 44}),
    ):
        found = both(HASH_4K, memory, EA, root=root, **settings)
        assert (found.reason, found.fault) == (Reason.NO_MEMORY, "machine check")
        assert found.steps[-1].entry is None


def test_r_and_c_are_written_where_the_walk_may_write():
    vsid = 0x777
    memory = with_entry(HASH_4K, vsid << 12 | (EA & (1 << 28) - 1) >> 23 << 7 | 1, 0x5_0002, vsid=vsid)
    group = trace(HASH_4K, memory, TABLE, EA, settings=HASH_4K.settings(vsid=vsid)).steps[0].target
    walker = Walker(HASH_4K, memory, HASH_4K.settings(vsid=vsid))
    for kind, added in (("read", 0x100), ("write", 0x180)):
        assert walker.walk(TABLE, EA, Access(kind)).pa == 0x5_0678
        walker.walk(TABLE, EA, Access(kind), hardware_sets_flags=True)
        assert memory.read_entry(group + 8, big_endian=True) == 0x5_0002 | added


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vsid": 5, "slb": 4096}, "hashed page tables: vsid and slb each say what the segments are"),
        ({"base_page_shift": 13}, "hashed page tables: base_page_shift is one of 12, 16, 24, 34, not 13"),
        ({"va_68": False, "context": 70000}, "with 65-bit virtual addresses context is at most 65534"),
        ({"htab_shift": 5}, "hashed page tables: htab_shift is 0, or at least 18"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    under = HASH_4K.settings(**settings)
    with pytest.raises(ShootdownError, match=message):
        trace(HASH_4K, PhysicalMemory(), TABLE, EA, settings=under)
    with pytest.raises(ShootdownError, match=message):
        Walker(HASH_4K, PhysicalMemory(), under).walk(TABLE, EA)
