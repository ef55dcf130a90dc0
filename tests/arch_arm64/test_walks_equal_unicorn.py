"""The walk kernel gives, for random tables, what the MMU of unicorn (QEMU's) gives, with all three granules.

unicorn translates or refuses and says no reason. It has no 52-bit addresses, no hardware flags, no EPAN and no
check of output addresses, takes blocks at every level above the last and bits below a block's address for
part of it: what shows that is left out here. It
starts at EL1 with SCR_EL3.RW and HCR_EL2.RW clear, and would walk as AArch32 does.
"""

import ctypes
from collections import Counter

import numpy as np
import pytest
from twins import arm64_cases
from twins.at_length import AT_LENGTH, Run
from unicorn import (
    UC_ARCH_ARM64,
    UC_MODE_ARM,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
)
from unicorn import arm64_const as reg
from unicorn.unicorn_py3.unicorn import uclib

from shootdown.formats import EVERY_ACCESS, PhysicalMemory, Reason, Walker
from shootdown_arm64._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
NAMES = [name for name in arm64_cases.NAMES if not name.endswith("52")]
PROT = {"read": UC_PROT_READ, "write": UC_PROT_WRITE, "execute": UC_PROT_EXEC}
BATCHES, SIZE = 60, 1700  # for each format: 102,000 cases
TG0, TG1 = {12: 0, 14: 2, 16: 1}, {12: 2, 14: 1, 16: 3}
SIZES = {12: {12, 21, 30}, 14: {14, 25}, 16: {16, 29}}
# op0, op1, CRn, CRm, op2
SCR_EL3, HCR_EL2 = (3, 6, 1, 1, 0), (3, 4, 1, 1, 0)
TTBR0, TTBR1, TCR = (3, 0, 2, 0, 0), (3, 0, 2, 0, 1), (3, 0, 2, 0, 2)
SCTLR, MAIR, ELR, SPSR = (3, 0, 1, 0, 0), (3, 0, 10, 2, 0), (3, 0, 4, 0, 1), (3, 0, 4, 0, 0)
RES1, WXN, M = 0xC50838, 1 << 19, 1
ERET, NOP, MSR_PAN_1 = 0xD69F03E0, 0xD503201F, 0xD500419F
CODE = 0x1000


class Machine:
    """A CPU at EL0 or EL1 whose two table bases hold the same root."""

    def __init__(self, name, *, user, settings):
        granule, va_bits = arm64_cases.NAMES[name]
        self.uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(reg.UC_CPU_ARM64_MAX)
        self.uc.mem_map(0, 1 << 24)
        self.granule = granule
        self.set(SCR_EL3, 0x401)  # RW and NS
        self.set(HCR_EL2, 1 << 31)  # RW
        size = 64 - va_bits
        granules = TG0[granule] << 14 | TG1[granule] << 30
        self.set(TCR, size | size << 16 | granules | 5 << 32)  # IPS: 48 bits
        self.set(MAIR, 0xFF)
        if user:
            self.set(ELR, CODE + 0x100)
            self.set(SPSR, 0)
            self.run(ERET)
            assert self.uc.reg_read(reg.UC_ARM64_REG_PSTATE) & 0xF == 0
        elif settings["pan"]:
            self.run(MSR_PAN_1)
        self.set(SCTLR, RES1 | M | WXN * settings["wxn"])

    def set(self, register, value):
        op0, op1, crn, crm, op2 = register
        self.uc.reg_write(reg.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def run(self, instruction):
        self.uc.mem_write(CODE, instruction.to_bytes(4, "little"))
        self.uc.mem_write(CODE + 0x100, NOP.to_bytes(4, "little"))
        self.uc.emu_start(CODE, CODE + 4, count=1)

    def load(self, pages):
        for number, words in pages.items():
            at = number << self.granule
            if at >= 1 << 24:
                self.uc.mem_map(at, 1 << self.granule)
            self.uc.mem_write(at, words.tobytes())

    def translate(self, root, va, kind):
        """Give the physical address, or None."""
        pa = ctypes.c_uint64(0)
        refused = uclib.uc_vmem_translate(
            self.uc._uch, ctypes.c_uint64(va), ctypes.c_uint32(PROT[kind]), ctypes.byref(pa)
        )
        return None if refused else pa.value


@AT_LENGTH
@pytest.mark.parametrize("name", NAMES)
def test_translations_and_refusals_are_unicorns(name, at_length, record_property):
    run = Run(record_property, name, "unicorn", NAMES.index(name) + 301, at_length)
    rng = np.random.default_rng(run.seed)
    format_, granule = FORMAT[name], arm64_cases.NAMES[name][0]
    seen = Counter()
    for batch in run.batches(BATCHES, lambda: compared(seen)):
        settings = arm64_cases.control(rng, name) | {
            "ha": False,
            "hd": False,
            "epan": False,
            "output_bits": 48,
        }
        pages, roots = arm64_cases.tables(rng, name, 48, reach=40, res0=False)
        access = EVERY_ACCESS[batch % len(EVERY_ACCESS)]
        root = int(rng.choice(roots))
        vas = arm64_cases.addresses(rng, name, SIZE)
        machine = Machine(name, user=access.user, settings=settings)
        machine.load(pages)
        machine.set(TTBR0, root)
        machine.set(TTBR1, root)
        memory = PhysicalMemory()
        for page, words in pages.items():
            memory.write(page << granule, words.tobytes())
        found = Walker(format_, memory, format_.settings(**settings)).walk_many(root, vas, access)
        for i, va in enumerate(vas.tolist()):
            reason, level = Reason(int(found.reason[i])), int(found.level[i])
            if (
                reason is Reason.NOT_PRESENT
                and int(found.entry[i]) & 3 == 1
                and level + 1 < len(format_.levels)
            ):
                seen["block where there are none"] += 1
                continue
            if reason is Reason.NO_MEMORY:
                continue
            expected = machine.translate(root, va, access.kind)
            ours = int(found.pa[i]) if reason is Reason.OK else None
            assert ours == expected, (settings, access, hex(va), reason, level, hex(int(found.entry[i])))
            seen[access, expected is None] += 1
            if ours is not None:
                seen[format_.shifts[level]] += 1
    assert all(seen[access, refused] > 100 for access in EVERY_ACCESS for refused in (True, False))
    assert {size for size in seen if isinstance(size, int)} == SIZES[granule]
    run.ended(compared(seen))


def compared(seen):
    return sum(count for key, count in seen.items() if isinstance(key, tuple))
