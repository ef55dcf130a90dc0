"""How s390 kernels are booted under an emulator, and what is counted there."""

from __future__ import annotations

from shootdown.measured import SHARED_COUNTS, Emulation, Marks, Pattern

#: The operations of INVALIDATE PAGE TABLE ENTRY and INVALIDATE DAT TABLE ENTRY (SA22-7832-12, chapter 10): the first
#: two bytes. Then come R3, M4, R1 and R2, four bits each; the lowest bit of M4 is the local-clearing control.
_IPTE, _IDTE = 0xB221 << 16, 0xB98E << 16
_OPERATION, _LOCAL, _R1 = 0xFFFF << 16, 1 << 8, 15 << 4


def _pattern(name: str, word: int, mask: int) -> Pattern:
    """Return the pattern of an instruction of four bytes, of which the first one in memory is the highest."""
    value, given = (int.from_bytes(one.to_bytes(4, "big"), "little") for one in (word, mask))
    return Pattern(name, value, given)


EMULATION = Emulation(
    arch="s390x",
    qemu="qemu-system-s390x",
    package="qemu-system-misc",
    options=("-M", "s390-ccw-virtio"),
    cpu="max",  # neither EDAT-1 nor EDAT-2 in 7.2: no huge pages
    console="ttysclp0",
    machine="s390x",
    compiler="s390x-linux-gnu-gcc",
    magic=(0x10008, b"S390EP"),  # arch/s390/boot/head.S
    elf=22,  # EM_S390
    counts=SHARED_COUNTS,
    instructions=(
        _pattern("ipte_local", _IPTE | _LOCAL, _OPERATION | _LOCAL),
        _pattern("ipte", _IPTE, _OPERATION | _LOCAL),
        # __tlb_flush_idte() names no table: R1 is 0
        _pattern("idte_asce", _IDTE, _OPERATION | _LOCAL | _R1),
        _pattern("idte_local", _IDTE | _LOCAL, _OPERATION | _LOCAL),
        _pattern("idte", _IDTE, _OPERATION | _LOCAL),
    ),
    # BRANCH ON CONDITION with a mask of 0 branches never
    marks=Marks(".long 0x470055d0 + MARK", 0xD0550047, 0xFFFFFFFF, 24),
    big_endian=True,
)
