"""The two formats of hashed page tables as Linux uses them, and the hardware's fault codes.

Not modelled: virtual real mode areas, guests' partition-scoped real addresses, Linux's own subpages of 64 KiB pages
(to the hardware these are pages of 4 KiB in segments of 4 KiB: `--set format.base_page_shift=12`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from shootdown.formats import (
    Access,
    Attribute,
    CodeBit,
    CustomFormat,
    Fault,
    Level,
    Reason,
    Setting,
    Settings,
)
from shootdown_powerpc._examples import HASHED
from shootdown_powerpc._hash import (
    LARGEST,
    NO_EXECUTE,
    NOT_FOUND,
    ORIGIN_MASK,
    PAGE_SIZES,
    PROTECTION,
    RIGHTS,
    SHIFT_1T,
    SHIFT_256M,
    STORE,
    bit_of,
)
from shootdown_powerpc._segments import (
    LINUX_4K,
    LINUX_64K,
    MAX_CONTEXT,
    REGIONS,
    SOURCES,
    LinuxLayout,
    segments_from,
)

if TYPE_CHECKING:
    from shootdown.formats import Mapping, PhysicalMemory, Trace

# The codes by reason; a trace has the particular cause of a protection fault.
_DATA = (
    CodeBit(NOT_FOUND, reasons=(Reason.NOT_PRESENT,)),
    CodeBit(PROTECTION, reasons=(Reason.PERMISSION,)),
    CodeBit(STORE, kinds=("write",)),
)
_FETCH = (
    CodeBit(NOT_FOUND, reasons=(Reason.NOT_PRESENT,)),
    CodeBit(NO_EXECUTE, reasons=(Reason.PERMISSION,)),
)
_FAULTS = (
    Fault("instruction segment interrupt", reasons=(Reason.NONCANONICAL,), kinds=("execute",)),
    Fault("data segment interrupt", reasons=(Reason.NONCANONICAL,)),
    Fault("machine check", reasons=(Reason.NO_MEMORY, Reason.MALFORMED)),
    Fault("instruction storage interrupt", code=_FETCH, kinds=("execute",), code_name="SRR1"),
    Fault("data storage interrupt", code=_DATA, code_name="DSISR"),
)


class HashCheck(NamedTuple):
    """The argument `check` of `_hash_kernels.walk`; all fields are `uint64`.

    Attributes:
        allowed: bit i is set if the access may use a page with rights of index i.
        write: 1 for a write.
        fetch: 1 for an instruction fetch.
        sets_rc: 1 if R and C are written.
        amr: the register's value.
        iamr: the register's value.
        table_bits: log2 of the table's bytes; 0: the root has it.
        primary_only: LPCR[TC].
        new: 1 for entries in the format of ISA 3.0.
        source: the source of segments, as the index in `SOURCES`.
        place: the VSID, or the address of the SLB or segment table.
        count: log2 of the VSID's segment size, entries of the SLB, or log2 of the segment table's groups.
        bases: log2 of base-page sizes: user, linear map, then as in `REGIONS`.
        context: Linux's context id.
        segments_1t: segments of 1 TiB exist.
        va_bits: bits of virtual addresses, 68 or 65.
        ea_bits: as in `LinuxLayout`.
        range_bits: as in `LinuxLayout`.
        virtual_start: as in `LinuxLayout`.
        region_bits: as in `LinuxLayout`.
        linear_contexts: as in `LinuxLayout`.
    """

    allowed: Any
    write: Any
    fetch: Any
    sets_rc: Any
    amr: Any
    iamr: Any
    table_bits: Any
    primary_only: Any
    new: Any
    source: Any
    place: Any
    count: Any
    bases: tuple[Any, ...]
    context: Any
    segments_1t: Any
    va_bits: Any
    ea_bits: Any
    range_bits: Any
    virtual_start: Any
    region_bits: Any
    linear_contexts: Any


_BASES = ("base_page_shift", "linear_page_shift", *(f"{region}_page_shift" for region in REGIONS))


@attrs.frozen
class _HashWalk:
    """The functions of one format."""

    linux: LinuxLayout

    def check(self, access: Access, settings: Settings, hardware_sets_flags: bool) -> HashCheck:
        """Return the `HashCheck` of an access."""
        import numpy as np

        source = segments_from(settings)
        count = {
            "context": 0,
            "vsid": SHIFT_1T if settings["vsid_1t"] else SHIFT_256M,
            "slb": settings["slb_entries"],
            "segment_table": settings["segment_table_shift"] - 7,
        }[source]
        u = np.uint64
        return HashCheck(
            allowed=u(sum(1 << i for i in range(1 << len(RIGHTS)) if i >> bit_of(access) & 1)),
            write=u(access.kind == "write"),
            fetch=u(access.kind == "execute"),
            sets_rc=u(hardware_sets_flags),
            amr=u(settings["amr"]),
            iamr=u(settings["iamr"]),
            table_bits=u(settings["htab_shift"]),
            primary_only=u(settings["tc"]),
            new=u(settings["hpte_3_0"]),
            source=u(SOURCES.index(source)),
            place=u(settings[source]),
            count=u(count),
            bases=tuple(u(settings[name]) for name in _BASES),
            context=u(settings["context"]),
            segments_1t=u(settings["segments_1t"]),
            va_bits=u(68 if settings["va_68"] else 65),
            ea_bits=u(self.linux.ea_bits),
            range_bits=u(self.linux.range_bits),
            virtual_start=u(self.linux.virtual_start),
            region_bits=u(self.linux.region_bits),
            linear_contexts=u(self.linux.linear_contexts),
        )

    def steps(self, memory: PhysicalMemory, root: int, va: int, access: Access, settings: Settings) -> Trace:
        """Walk one address and keep every step."""
        from shootdown_powerpc._hash_walk import walked

        return walked(self.linux, memory, root, va, access, settings, HASH_4K.fault)  # both fault alike

    def mappings(self, memory: PhysicalMemory, root: int, settings: Settings) -> Iterator[Mapping]:
        """List what is mapped in the segments of the settings."""
        from shootdown_powerpc._hash_list import listed

        return listed(self.linux, memory, root, settings)


def _settings(linux: LinuxLayout) -> tuple[Setting, ...]:
    page, register = linux.page, (1 << 64) - 1
    return (
        Setting(
            "htab_shift",
            0,
            "log2 of the table's bytes; 0: 18 and the root's low 5 bits, HTABSIZE",
            0,
            LARGEST,
        ),
        Setting("hpte_3_0", True, "entries are those of ISA 3.0 and later: B in the second doubleword"),
        Setting("tc", False, "LPCR[TC]: secondary groups are not searched"),
        Setting("amr", 0, "AMR: for each key two bits, that refuse stores and loads", 0, register),
        Setting("iamr", 0, "IAMR: for each key two bits, the second of which refuses fetches", 0, register),
        Setting(
            "context",
            linux.first_user_context,
            "Linux's context id of the process (mm->context.id), of which its VSIDs are made",
            1,
            MAX_CONTEXT,
        ),
        Setting(
            "segments_1t", True, "Linux uses 1 TiB segments: for the kernel, and for users from 1 TiB on"
        ),
        Setting("va_68", True, "Linux's VSIDs are those of 68-bit virtual addresses; off: of 65-bit ones"),
        Setting(
            "base_page_shift", page, "log2 of the base page's bytes in user segments: 12, 16, 24, 34", 12, 34
        ),
        Setting("linear_page_shift", 24, "the same in Linux's linear map", 12, 34),
        Setting("vmalloc_page_shift", page, "the same in Linux's vmalloc region", 12, 34),
        Setting("io_page_shift", page, "the same in Linux's I/O region", 12, 34),
        Setting("vmemmap_page_shift", 24, "the same in Linux's vmemmap region", 12, 34),
        Setting("vsid", 0, "VSID of every address, in place of Linux's rule; 0: none", 0, (1 << 50) - 1),
        Setting("vsid_1t", False, "the segment of `vsid` has 1 TiB, not 256 MiB"),
        Setting(
            "slb", 0, "where SLB entries lie as slbmte takes them, RB then RS; 0: nowhere", 0, (1 << 56) - 1
        ),
        Setting("slb_entries", 32, "how many", 1, 512),
        Setting("segment_table", 0, "real address of a segment table; 0: there is none", 0, (1 << 56) - 1),
        Setting("segment_table_shift", 12, "log2 of its bytes: STABSIZE + 12", 12, 27),
    )


def _format(linux: LinuxLayout, name: str, text: str) -> CustomFormat:
    functions = _HashWalk(linux)
    return CustomFormat(
        name=name,
        summary=f"powerpc hashed page table, segments as Linux with {text} pages has them; big-endian",
        source="Power ISA 3.1, Book III, 6.7.8, 6.7.9",
        va_bits=64,
        walk="shootdown_powerpc._hash_kernels:walk",
        first_read="shootdown_powerpc._hash_kernels:first_read",
        check=functions.check,
        steps=functions.steps,
        mappings=functions.mappings,
        attributes=tuple(Attribute(right, None) for right in RIGHTS),
        settings_known=_settings(linux),
        faults=_FAULTS,
        entry_bytes=8,  # a step shows only one of the two doublewords
        big_endian=True,
        root_mask=ORIGIN_MASK,
        page_sizes=tuple(1 << shift for shift in sorted({size.actual for size in PAGE_SIZES})),
        levels=(
            Level("SLBE", "segment", 64 - SHIFT_256M, leaf="never"),
            Level("PTE", "hpte", SHIFT_256M - linux.page, leaf="always"),
        ),
        examples=HASHED,
    )


HASH_4K = _format(LINUX_4K, "ppc64-hash-4k", "4 KiB")
HASH_64K = _format(LINUX_64K, "ppc64-hash-64k", "64 KiB")
