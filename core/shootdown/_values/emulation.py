"""How kernels of an architecture are booted under an emulator, and what is counted there."""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown._values.checked import checked

By = Literal["actor", "others", "all"]
#: Which half of the address space an instruction is in: kernels are in the upper, programs and firmware in the lower.
Half = Literal["any", "lower", "upper"]


@attrs.frozen(field_transformer=checked)
class Counted:
    """A count of a measured row, and what in a kernel gives it.

    Args:
        name: of the count, as rows have it (tests/oracle/README.md).
        functions: kernel functions; the count is how often they were called, added up. A kernel that has none of them
            gives no such count.
        by: whose calls: those of the thread that measures, of all others, or of both.
        probe: instead of functions: a probe as kprobe_events takes it (Documentation/trace/kprobetrace.rst), with NAME
            for its name.
        filter: of the probe's events, those that are counted.
        row: instead of functions: a row of /proc/interrupts, added up over all CPUs.
        inlined: the compiler may inline the function where its own file calls it, so that it is missed there: a machine
            on which no program at all called it gives no such count.
        comes_with: another count that seldom comes without this one: a machine on which a program had that and not this
            gives no such count either, as calls may have been missed.
    """

    name: str
    functions: tuple[str, ...] = ()
    by: By = "all"
    probe: str = ""
    filter: str = ""
    row: str = ""
    inlined: bool = False
    comes_with: str = ""


@attrs.frozen(field_transformer=checked)
class Pattern:
    """How an instruction that is counted looks: bytes of which some bits are given.

    An instruction is counted by the first pattern that it has.

    Args:
        name: of the instruction, as rows have it; none for one that looks like a later pattern's and is not counted.
        value: the bits that are given; of up to eight bytes, the first of them the lowest.
        mask: which bits those are.
        skip: bytes that may stand before it.
        half: of the address space, where it lies.
    """

    name: str
    value: int
    mask: int
    skip: bytes = b""
    half: Half = "any"


@attrs.frozen(field_transformer=checked)
class Marks:
    """Instructions that do nothing and that no compiler writes: the runner tells the emulator's plugin by them.

    Args:
        assembler: one instruction for the compiler, with MARK where it has a number of 0 to 3.
        value: its bits with number 0.
        mask: which bits are looked at.
        shift: where the number is in them.
    """

    assembler: str
    value: int
    mask: int
    shift: int


@attrs.frozen(field_transformer=checked)
class Emulation:
    """How a kernel is booted, and what is counted.

    Args:
        arch: as rows of measurements name the architecture: Debian's name.
        qemu: the emulator's command.
        package: Debian's package of it.
        options: of the command: a machine without devices that a kernel needs modules for.
        cpu: the model of the CPU; what the platform of the rows has.
        console: the kernel's name of the serial line.
        machine: as `uname -m` prints it; the host's own compiler is used where the host prints the same.
        compiler: the cross compiler's command, of Debian's package `gcc-...`.
        magic: offset and bytes by which the image of such a kernel is known; no bytes if only ELF files are booted.
        elf: e_machine of an ELF file for it (the ELF gABI's list of machines).
        counts: what is counted.
        instructions: instructions that are counted as they are executed, where the emulator takes plugins.
        marks: by which the plugin knows what is measured; needed for `instructions`.
        parameters: what such a kernel is told besides.
        big_endian: whether the machine stores the highest byte of a number first.
    """

    arch: str
    qemu: str
    package: str
    options: tuple[str, ...]
    cpu: str
    console: str
    machine: str
    compiler: str
    magic: tuple[int, bytes]
    elf: int
    counts: tuple[Counted, ...] = ()
    instructions: tuple[Pattern, ...] = ()
    marks: Marks | None = None
    parameters: str = ""
    big_endian: bool = False


#: What all kernels that share page tables count alike: mm/mmu_gather.c, mm/hugetlb.c, mm/khugepaged.c.
SHARED_COUNTS = (
    Counted("sync_broadcasts", ("tlb_remove_table_sync_one",)),
    Counted("sync_ipis", ("tlb_remove_table_smp_sync",)),
    Counted(
        "unshared_tables",
        probe="r:shootdown/NAME huge_pmd_unshare ret=$retval:u32",
        filter="ret != 0",
        inlined=True,
        comes_with="sync_broadcasts",
    ),
    Counted("shared_tables", ("huge_pmd_share",), inlined=True),
    Counted("gathers", ("tlb_gather_mmu", "tlb_gather_mmu_fullmm", "tlb_gather_mmu_vma"), by="actor"),
    Counted("gathers_vma", ("tlb_gather_mmu_vma",), by="actor"),
)
