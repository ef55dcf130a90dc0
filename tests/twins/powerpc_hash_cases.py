"""Random hashed page tables: every source of segments, every page size, both groups, near misses, crowded groups."""

from __future__ import annotations

from dataclasses import dataclass

from twins import powerpc_hash as twin

LLP = {12: 0x000, 16: 0x110, 24: 0x100, 34: 0x120}
# base page: (actual page, LP) that an entry in such a segment may have
SIZES = {12: [(12, None), (16, 0x7), (24, 0x38)], 16: [(16, 0x1), (24, 0x8)], 24: [(24, 0)], 34: [(34, 3)]}
SLB, STAB, TABLE, FAR_TABLE = 0x80_0000, 0xA0_0000, 0x100_0000, 1 << 47


@dataclass
class Case:
    """Settings for the package, the twin's CPU and memory, the root, and addresses."""

    settings: dict
    cpu: twin.Cpu
    memory: twin.Memory
    root: int
    addresses: list[int]


def base_page(rng, usual):
    return rng.choices([usual, 12, 16, 24, 34], [8, 4, 4, 3, 1])[0]


def random_slbe(rng, usual):
    """Draw the two doublewords of an SLB entry, a few of them invalid or reserved."""
    terabyte = bool(rng.random() < 0.5)
    esid = rng.randrange(0, 1 << 36) << 28
    if terabyte:
        esid = esid >> 40 << 40
    vsid = rng.randrange(1, 1 << (28 if terabyte else 40))
    word = terabyte << 62 | vsid << (24 if terabyte else 12) | LLP[base_page(rng, usual)]
    word |= rng.choice([0xC00, 0x400, 0x800, 0]) | (0x200 if rng.random() < 0.15 else 0)
    if rng.random() < 0.04:
        word ^= rng.choice([1 << 63, 0x10, 0x30, 0x80])
    return esid | (0x800_0000 if rng.random() < 0.95 else 0), word


def segments(rng, page, memory):
    """Draw a source of segments: settings, the twin's source, and where addresses may begin."""
    kind = ["linux", "linux", "vsid", "slb", "stab"][rng.randrange(5)]
    if kind == "vsid":
        terabyte, base = bool(rng.random() < 0.5), base_page(rng, page)
        vsid = rng.randrange(1, 1 << (28 if terabyte else 40))
        settings = {"vsid": vsid, "vsid_1t": terabyte, "base_page_shift": base}
        return settings, ("vsid", twin.Slbe(terabyte, vsid, 1, 1, 0, base)), [0, 0xC000_0000_0000_0000]
    if kind == "linux":
        names = ("user", "linear", "vmalloc", "io", "vmemmap")
        bases = {
            name: base_page(rng, usual) for name, usual in zip(names, (page, 24, page, page, 24), strict=True)
        }
        va_bits = 68 if rng.random() < 0.8 else 65
        most = 20 if rng.random() < 0.5 else (1 << (19 if va_bits == 68 else 16)) - 2
        context = rng.randrange(1, most)
        linux = twin.Linux(page, context, rng.random() < 0.7, va_bits, bases)
        settings = {
            "context": linux.context,
            "segments_1t": linux.segments_1t,
            "va_68": linux.va_bits == 68,
            "base_page_shift": bases["user"],
        } | {f"{name}_page_shift": bases[name] for name in names[1:]}
        start, each = (0xC008 << 48, 1 << 49) if page == 16 else (0xC000_3D << 40, 1 << 40)
        begins = [0x1000_0000, 0x3FFF << 32, 0x7FFF << 32, 0xC000 << 48, (0xC000 << 48) + (1 << 45)]
        begins += [start + n * each + (each >> 1) * rng.randrange(2) for n in range(3)]
        begins += [1 << 50, start + 3 * each, 0xD000 << 48, 0x7000 << 48] if rng.random() < 0.3 else []
        return settings, ("linux", linux), begins
    begins = []
    if kind == "slb":
        count = rng.randrange(1, 33)
        for i in range(count):
            esid, word = random_slbe(rng, page)
            memory.store(SLB + 16 * i, esid | i)
            memory.store(SLB + 16 * i + 8, word)
            begins.append(esid & ~0x800_0000)
        return {"slb": SLB, "slb_entries": count}, ("slb", SLB, count), begins
    q = rng.randrange(12, 15)
    for _ in range(40):
        esid, word = random_slbe(rng, page)
        shift = 40 if word >> 62 & 1 else 28
        index = esid >> shift
        if rng.random() < 0.4:
            index = ~index
        if rng.random() < 0.05:
            index ^= 1
        place = STAB + 128 * (index & (1 << (q - 7)) - 1) + 16 * rng.randrange(8)
        memory.store(place, esid)
        memory.store(place + 8, word)
        begins.append(esid & ~0x800_0000)
    return {"segment_table": STAB, "segment_table_shift": q}, ("stab", STAB, q), begins


def doublewords(rng, new, terabyte, va, base, secondary):
    """Draw an entry for a virtual address, in a few cases with something wrong."""
    actual, lp = SIZES[base][rng.randrange(len(SIZES[base]))]
    offset_bits = min(base, 40 if terabyte else 28)
    page = va >> offset_bits << offset_bits
    first = (page >> 23) << 7 | (lp is not None) << 2 | secondary << 1 | 1
    first |= rng.randrange(16) << 3 if rng.random() < 0.3 else 0
    number = rng.randrange(1 << (48 if rng.random() < 0.3 else 36)) << 12 >> actual << actual
    if new:
        number &= ~(3 << 58)  # B
    second = number | (lp or 0) << 12 | rng.randrange(1 << 12) & 0xFF3
    if rng.random() < 0.3:
        second |= rng.randrange(1, 4) << 2  # N, G
    second = second & ~3 | rng.choices([0, 1, 2, 3], [3, 4, 9, 4])[0]
    if rng.random() < 0.6:
        second &= ~(0xE00)  # key 0
    if rng.random() < 0.2:
        second |= 1 << 63
    if rng.random() < 0.1:
        second |= rng.randrange(4) << 60
    if new:
        second |= terabyte << 58
        if rng.random() < 0.1:
            first |= rng.randrange(1 << 12) << 52  # reserved
    else:
        first |= terabyte << 62
    if rng.random() < 0.12:
        wrong = rng.randrange(8)
        if wrong == 0:
            first ^= 1
        elif wrong == 1:
            first ^= 2
        elif wrong == 2:
            first ^= 4
        elif wrong == 3:
            first ^= 1 << rng.randrange(7, 52)
        elif wrong == 4:
            first, second = (first, second ^ 1 << 58) if new else (first ^ 1 << 62, second)
        else:
            second ^= 1 << rng.randrange(12, 25)
    return first, second


def case(rng, page, count):
    """Draw a case for Linux with pages of 4 KiB (12) or 64 KiB (16)."""
    memory = twin.Memory()
    chosen, source, begins = segments(rng, page, memory)
    table_bits = rng.choice([18, 18, 19, 20]) if rng.random() < 0.94 else rng.randrange(34, 47)
    table = TABLE if table_bits <= 20 else FAR_TABLE  # so large a one is almost all holes
    settings = {
        **chosen,
        "hpte_3_0": bool(rng.random() < 0.6),
        "tc": bool(rng.random() < 0.15),
        "amr": rng.randrange(1 << 64) if rng.random() < 0.4 else 0,
        "iamr": rng.randrange(1 << 64) if rng.random() < 0.4 else 0,
    }
    by_setting = bool(rng.random() < 0.5)
    if by_setting:
        settings["htab_shift"] = table_bits
    root = table | (rng.randrange(32) if by_setting else table_bits - 18)
    cpu = twin.Cpu(
        table, table_bits, source, settings["hpte_3_0"], settings["tc"], settings["amr"], settings["iamr"]
    )
    addresses = []
    while len(addresses) < count:
        spread = (1 << rng.randrange(12, 40)) - 1
        ea = begins[rng.randrange(len(begins))] + (rng.randrange(1 << 40) & spread) & (1 << 64) - 1
        addresses.append(ea)
        slbe = twin.segment(cpu, memory, ea)
        if slbe is None:
            continue
        va = twin.virtual(slbe, ea)
        number = twin.hashed(slbe, va)
        groups = [twin.group_address(cpu, number), twin.group_address(cpu, ~number)]
        for group in groups:
            memory.store(group, memory.doubleword(group))  # there is memory, in the holes too
        if rng.random() < 0.15:
            continue
        for _ in range(1 if rng.random() < 0.9 else 3):
            secondary = int(rng.random() < 0.4)
            place = groups[secondary] + 16 * rng.randrange(8)
            first, second = doublewords(rng, cpu.new, slbe.terabyte, va, slbe.base, secondary)
            memory.store(place, first)
            memory.store(place + 8, second)
        if table == TABLE and rng.random() < 0.2:  # elsewhere in the same page, or just outside
            addresses.append(ea ^ 1 << rng.randrange(0, 26))
    return Case(settings, cpu, memory, root, addresses[:count])
