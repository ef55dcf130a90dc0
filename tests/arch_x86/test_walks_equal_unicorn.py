"""The walk kernel gives, for random tables, what the MMU of unicorn (QEMU's) gives, in all four modes.

unicorn translates or refuses and says no reason; MAXPHYADDR is 40 and 1 GiB pages exist. It reads PAE's
PDPTEs with the walk and does not look at their reserved bits 1, 2 and 5 to 8, so those stay clear here.
"""

import ctypes
from collections import Counter

import numpy as np
import pytest
from twins import x86_cases
from twins.at_length import AT_LENGTH, Run
from unicorn import (
    UC_ARCH_X86,
    UC_MODE_32,
    UC_MODE_64,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
)
from unicorn import x86_const as reg
from unicorn.unicorn_py3.unicorn import uclib

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Walker
from shootdown_x86._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
PROT = {"read": UC_PROT_READ, "write": UC_PROT_WRITE, "execute": UC_PROT_EXEC}
BATCHES, SIZE = 100, 250  # times four modes: 100,000 cases
EFER, STAR, SYSENTER_CS = 0xC0000080, 0xC0000081, 0x174
PG_WP_PE, PSE, PAE, LA57, SMEP, SMAP = 0x80010033, 1 << 4, 1 << 5, 1 << 12, 1 << 20, 1 << 21
AC = 1 << 18
A, PS = np.uint64(1 << 5), np.uint64(1 << 7)
CODE = 0x6000  # a page of its own, mapped to itself while the mode is entered


class Machine:
    """A CPU in one paging mode, in user or supervisor mode."""

    def __init__(self, mode, *, user, settings):
        long_mode = mode in ("4level", "5level")
        self.uc = Uc(UC_ARCH_X86, UC_MODE_64 if long_mode else UC_MODE_32)
        self.uc.ctl_set_cpu_model(reg.UC_CPU_X86_ICELAKE_SERVER)  # the default model ignores SMAP
        self.uc.mem_map(0, 4096 * 4096)
        self.mapped = set(range(4096))
        cr4 = {"32bit": PSE * settings.get("pse", False), "pae": PAE, "4level": PAE, "5level": PAE | LA57}[
            mode
        ]
        self.uc.reg_write(reg.UC_X86_REG_CR3, 0x1000)
        self.uc.reg_write(reg.UC_X86_REG_CR4, cr4)
        self.uc.msr_write(EFER, (0x501 if long_mode else 0) | 0x800 * settings.get("nxe", False))
        if user:
            self.enter_user_mode(mode)
        self.uc.reg_write(reg.UC_X86_REG_CR0, PG_WP_PE if settings["wp"] else PG_WP_PE & ~(1 << 16))
        self.uc.reg_write(reg.UC_X86_REG_CR4, cr4 | SMEP * settings["smep"] | SMAP * settings["smap"])
        self.uc.reg_write(reg.UC_X86_REG_EFLAGS, 2 | AC * settings["ac"])

    def enter_user_mode(self, mode):
        """Leave supervisor mode as a kernel does: SYSRET in long mode, SYSEXIT otherwise."""
        size = 4 if mode == "32bit" else 8
        levels = {"32bit": 2, "pae": 3, "4level": 4, "5level": 5}[mode]
        for level in range(levels):
            table = 0x1000 * (level + 1)
            target = table + 0x1000 if level + 1 < levels else CODE
            index = CODE >> 12 if level + 1 == levels else 0
            flags = 1 if mode == "pae" and level == 0 else 7
            self.uc.mem_write(table + index * size, (target | flags).to_bytes(size, "little"))
        self.uc.reg_write(reg.UC_X86_REG_CR0, PG_WP_PE)
        if size == 8 and mode != "pae":
            self.uc.mem_write(CODE, b"\x48\x0f\x07")
            self.uc.msr_write(STAR, 0x13 << 48)
            self.uc.reg_write(reg.UC_X86_REG_R11, 2)
        else:
            self.uc.mem_write(CODE, b"\x0f\x35")
            self.uc.msr_write(SYSENTER_CS, 8)
            self.uc.reg_write(reg.UC_X86_REG_EDX, CODE + 16)
        self.uc.reg_write(
            reg.UC_X86_REG_RCX if size == 8 and mode != "pae" else reg.UC_X86_REG_ECX, CODE + 16
        )
        self.uc.mem_write(CODE + 16, b"\x90" * 16)
        self.uc.emu_start(CODE, CODE + 20, count=2)
        assert self.uc.reg_read(reg.UC_X86_REG_CS) & 3 == 3

    def load(self, frames):
        for number, data in frames.items():
            if number not in self.mapped:
                self.uc.mem_map(number << 12, 4096)
                self.mapped.add(number)
            self.uc.mem_write(number << 12, data)

    def translate(self, root, va, kind):
        """Give the physical address, or None; writing CR3 empties the TLB."""
        self.uc.reg_write(reg.UC_X86_REG_CR3, root)
        pa = ctypes.c_uint64(0)
        refused = uclib.uc_vmem_translate(
            self.uc._uch, ctypes.c_uint64(va), ctypes.c_uint32(PROT[kind]), ctypes.byref(pa)
        )
        return None if refused else pa.value


@AT_LENGTH
@pytest.mark.parametrize("mode", x86_cases.NAMES)
def test_translations_refusals_and_flags_in_memory_are_unicorns(mode, at_length, record_property):
    format_ = FORMAT[x86_cases.NAMES[mode]]
    seed = ["32bit", "pae", "4level", "5level"].index(mode) + 31
    run = Run(record_property, format_.name, "unicorn", seed, at_length)
    rng = np.random.default_rng(run.seed)
    seen = Counter()
    for batch in run.batches(BATCHES, lambda: sum(seen.values())):
        settings = x86_cases.control(rng, mode, maxphyaddr=40)
        if "pages_1g" in settings:
            settings["pages_1g"] = True
        tables = x86_cases.tables(rng, mode, 40)
        if mode == "pae":
            pdpt = np.frombuffer(tables.frames[8], dtype=np.uint64) & ~np.uint64(0b1_1110_0110)
            tables.frames[8] = pdpt.tobytes()
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        root = int(rng.choice(tables.roots))
        vas = x86_cases.addresses(rng, mode, SIZE)
        machine = Machine(mode, user=access.user, settings=settings)
        machine.load(tables.frames)
        memory = PhysicalMemory()
        for number, data in tables.frames.items():
            memory.write(number << 12, data)
        walker = Walker(format_, memory, format_.settings(**settings))
        found = walker.walk_many(root, vas, access, hardware_sets_flags=True)
        for i, va in enumerate(vas.tolist()):
            expected = machine.translate(root, va, access.kind)
            ours = int(found.pa[i]) if found.reason[i] == 0 else None
            assert ours == expected, (settings, access, hex(va), found.reason[i], found.level[i])
            seen[access, expected is None, int(found.shift[i]) if ours is not None else 0] += 1
        for number in tables.frames:
            ours = memory.table(number << 12, 512)
            theirs = np.frombuffer(machine.uc.mem_read(number << 12, 4096), dtype=np.uint64)
            if "pages_1g" in settings:
                # QEMU sets A in a PDPTE before it looks whether it maps a page and whether that may be used.
                ours = np.where(ours & PS != 0, ours | theirs & A, ours)
            assert np.array_equal(ours, theirs)
    sizes = {"32bit": {12, 22}, "pae": {12, 21}, "4level": {12, 21, 30}, "5level": {12, 21, 30}}[mode]
    for access in EVERY_ACCESS:
        assert {size for a, refused, size in seen if a == access and not refused} == sizes
        assert seen[access, True, 0] > 50
    run.ended(sum(seen.values()))
