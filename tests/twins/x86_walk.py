"""A slow, obvious x86 page walk, written from the Intel SDM (vol. 3A, chapter 4) mode by mode.

It shares nothing with the package: plain integers, a dictionary of frames, a function per step of the manual.
"""

from __future__ import annotations

from dataclasses import dataclass, field

P, RW, US, A, D, PS, XD = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 63


@dataclass
class Memory:
    """Frames by number; what is missing reads as zero."""

    frames: dict[int, bytearray] = field(default_factory=dict)

    def read(self, address, size):
        frame = self.frames.get(address >> 12)
        if frame is None:
            return 0
        return int.from_bytes(frame[address & 4095 : (address & 4095) + size], "little")

    def write(self, address, size, value):
        frame = self.frames.setdefault(address >> 12, bytearray(4096))
        frame[address & 4095 : (address & 4095) + size] = value.to_bytes(size, "little")


@dataclass(frozen=True)
class Cpu:
    """The control bits that section 4.6 and the reserved-bit rules of 4.3 to 4.5 look at."""

    mode: str  # 32bit, pae, 4level, 5level
    maxphyaddr: int = 46
    nxe: bool = True
    pages_1g: bool = True
    pse: bool = True
    wp: bool = True
    smep: bool = False
    smap: bool = False
    ac: bool = False


@dataclass(frozen=True)
class Outcome:
    reason: str  # ok, not-present, reserved, permission, noncanonical
    pa: int | None = None
    page_bits: int = 0
    exception: str = ""
    code: int = 0
    where: str = ""


class PageFaultError(Exception):
    def __init__(self, reason, where):
        self.reason = reason
        self.where = where


def translate(cpu, memory, cr3, va, kind="read", user=True, set_flags=False):
    """Translate one linear address as the processor would."""
    if cpu.mode in ("4level", "5level"):
        width = 48 if cpu.mode == "4level" else 57
        sign = va >> (width - 1)
        if sign not in (0, (1 << (64 - width + 1)) - 1):
            return Outcome("noncanonical", exception="#GP")
    walk = {"32bit": walk_32bit, "pae": walk_pae, "4level": walk_ia32e, "5level": walk_ia32e}[cpu.mode]
    try:
        pa, page_bits, where = walk(cpu, memory, cr3, va, kind, user, set_flags)
    except PageFaultError as fault:
        code = error_code(cpu, fault.reason, kind, user)
        return Outcome(fault.reason, exception="#PF", code=code, where=fault.where)
    return Outcome("ok", pa, page_bits, where=where)


def error_code(cpu, reason, kind, user):
    """4.7, figure 4-12."""
    code = 0
    if reason != "not-present":
        code |= 1
    if kind == "write":
        code |= 2
    if user:
        code |= 4
    if reason == "reserved":
        code |= 8
    pae_enabled = cpu.mode != "32bit"
    if kind == "execute" and (cpu.smep or (pae_enabled and cpu.nxe)):
        code |= 16
    return code


def permitted(cpu, entries, kind, user):
    """4.6.1, by cases, over all entries that control the translation (without PAE's PDPTEs)."""
    user_address = all(entry & US for entry in entries)
    writable = all(entry & RW for entry in entries)
    executable = not (cpu.mode != "32bit" and cpu.nxe and any(entry & XD for entry in entries))
    if not user:
        if kind == "read":
            if not user_address:
                return True
            return not cpu.smap or cpu.ac
        if kind == "write":
            if user_address and cpu.smap and not cpu.ac:
                return False
            return writable or not cpu.wp
        if user_address and cpu.smep:
            return False
        return executable
    if not user_address:
        return False
    if kind == "read":
        return True
    if kind == "write":
        return writable
    return executable


def touch(memory, address, size, entry, set_flags, bits=A):
    """4.8: the processor sets flags that are clear."""
    if set_flags and entry & bits != bits:
        memory.write(address, size, entry | bits)


def finish(cpu, memory, address, size, entries, kind, user, set_flags, where):
    if not permitted(cpu, entries, kind, user):
        raise PageFaultError("permission", where)
    touch(memory, address, size, entries[-1], set_flags, A | D if kind == "write" else A)


def walk_32bit(cpu, memory, cr3, va, kind, user, set_flags):
    """4.3."""
    if va >> 32:
        raise ValueError("linear addresses have 32 bits here")
    pde_at = (cr3 & 0xFFFFF000) | (va >> 22) << 2
    pde = memory.read(pde_at, 4)
    if not pde & P:
        raise PageFaultError("not-present", "PDE")
    if pde & PS and cpu.pse:
        m = min(40, cpu.maxphyaddr)
        for position in range(m - 19, 22):  # bits 21:(M-19)
            if pde >> position & 1:
                raise PageFaultError("reserved", "PDE")
        finish(cpu, memory, pde_at, 4, [pde], kind, user, set_flags, "PDE")
        high = pde >> 13 & 0xFF
        return high << 32 | (pde >> 22) << 22 | va & 0x3FFFFF, 22, "PDE"
    touch(memory, pde_at, 4, pde, set_flags)
    pte_at = (pde & 0xFFFFF000) | (va >> 12 & 0x3FF) << 2
    pte = memory.read(pte_at, 4)
    if not pte & P:
        raise PageFaultError("not-present", "PTE")
    finish(cpu, memory, pte_at, 4, [pde, pte], kind, user, set_flags, "PTE")
    return (pte & 0xFFFFF000) | va & 0xFFF, 12, "PTE"


def reserved_64(cpu, entry, name, top):
    """The parts common to PAE and IA-32e: the address field up to bit `top`, and XD without NXE."""
    if entry >> cpu.maxphyaddr & ((1 << (top + 1 - cpu.maxphyaddr)) - 1):
        raise PageFaultError("reserved", name)
    if entry & XD and not cpu.nxe:
        raise PageFaultError("reserved", name)


def address_of(entry):
    return entry & 0x000FFFFFFFFFF000


def walk_pae(cpu, memory, cr3, va, kind, user, set_flags):
    """4.4. PDPTEs are read with the walk here, and their reserved bits fault as those of other entries do."""
    if va >> 32:
        raise ValueError("linear addresses have 32 bits here")
    pdpte = memory.read((cr3 & 0xFFFFFFE0) + (va >> 30) * 8, 8)
    if not pdpte & P:
        raise PageFaultError("not-present", "PDPTE")
    if pdpte & 0b1_1110_0110 or pdpte >> cpu.maxphyaddr:
        raise PageFaultError("reserved", "PDPTE")
    pde_at = address_of(pdpte) | (va >> 21 & 0x1FF) << 3
    pde = memory.read(pde_at, 8)
    if not pde & P:
        raise PageFaultError("not-present", "PDE")
    reserved_64(cpu, pde, "PDE", 62)
    if pde & PS:
        if pde >> 13 & 0xFF:
            raise PageFaultError("reserved", "PDE")
        finish(cpu, memory, pde_at, 8, [pde], kind, user, set_flags, "PDE")
        return (address_of(pde) >> 21 << 21) | va & 0x1FFFFF, 21, "PDE"
    touch(memory, pde_at, 8, pde, set_flags)
    pte_at = address_of(pde) | (va >> 12 & 0x1FF) << 3
    pte = memory.read(pte_at, 8)
    if not pte & P:
        raise PageFaultError("not-present", "PTE")
    reserved_64(cpu, pte, "PTE", 62)
    finish(cpu, memory, pte_at, 8, [pde, pte], kind, user, set_flags, "PTE")
    return address_of(pte) | va & 0xFFF, 12, "PTE"


def walk_ia32e(cpu, memory, cr3, va, kind, user, set_flags):
    """4.5, 4-level and 5-level paging."""
    names = ["PML5E"] if cpu.mode == "5level" else []
    names += ["PML4E", "PDPTE", "PDE", "PTE"]
    position = {"PML5E": 48, "PML4E": 39, "PDPTE": 30, "PDE": 21, "PTE": 12}
    table = address_of(cr3)
    entries = []
    for name in names:
        at = table | (va >> position[name] & 0x1FF) << 3
        entry = memory.read(at, 8)
        if not entry & P:
            raise PageFaultError("not-present", name)
        reserved_64(cpu, entry, name, 51)
        entries.append(entry)
        maps_page = name == "PTE"
        if name != "PTE" and entry & PS:
            if name in ("PML5E", "PML4E"):
                raise PageFaultError("reserved", name)
            if name == "PDPTE" and not cpu.pages_1g:
                raise PageFaultError("reserved", name)
            low_address_bits = range(13, position[name])
            if any(entry >> bit & 1 for bit in low_address_bits):
                raise PageFaultError("reserved", name)
            maps_page = True
        if maps_page:
            finish(cpu, memory, at, 8, entries, kind, user, set_flags, name)
            size = position[name]
            return (address_of(entry) >> size << size) | va & ((1 << size) - 1), size, name
        touch(memory, at, 8, entry, set_flags)
        table = address_of(entry)
    raise AssertionError("a PTE always ends the walk")
