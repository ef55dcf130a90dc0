"""The readable walk of hashed page tables."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from shootdown.formats import Access, PhysicalMemory, Reason, Settings, Step, Trace
from shootdown_powerpc._hash import (
    COMPARED,
    ENTRIES,
    ENTRY_BYTES,
    GROUP_SHIFT,
    KEY,
    LARGEST,
    NO_EXECUTE,
    PROTECTION,
    RIGHTS,
    SHIFT_256M,
    SLB_N,
    STORE,
    G,
    H,
    Hpte,
    N,
    PageSize,
    Segment,
    V,
    bit_of,
    granted,
    refused_by_key,
    short,
    table_shape,
)
from shootdown_powerpc._segments import (
    LinuxLayout,
    NoMemoryError,
    segment_of,
    segments_from,
)

_NO_SEGMENT = {
    "context": "Linux gives this address no segment",
    "slb": "no entry of the SLB is for this address",
    "segment_table": "no entry of the segment table is for this address",
}


@attrs.define
class _Walking:
    """One walk: the steps so far, and the result."""

    linux: LinuxLayout
    memory: PhysicalMemory
    root: int
    ea: int
    access: Access
    settings: Settings
    steps: list[Step] = attrs.field(factory=list)
    rights: int = 0
    page_shift: int = 0
    code: int = 0

    def walk(self) -> tuple[Reason, int, int | None]:
        """Return the reason, the level, and the translation."""
        segment = self._segment()
        if isinstance(segment, Reason):
            return segment, 0, None
        found = self._search(segment)
        if isinstance(found, Reason):
            return found, 1, None
        place, hpte, size = found
        reason = self._permission(segment, hpte)
        low = (1 << size.actual) - 1
        pa = None if reason else hpte.r & hpte.rpn_mask & ~low | self.ea & low
        self.page_shift = size.actual
        which = "secondary" if hpte.v & H else "primary"
        self._step(place, "table", hpte.first_names, place + 8, f"{which} group")
        note = f"{short(size.actual)} page in a segment of {short(size.base)} pages"
        self._step(place + 8, "leaf", hpte.second_names, pa, note)
        return reason, 1, pa

    def _segment(self) -> Segment | Reason:
        try:
            segment = segment_of(self.linux, self.memory, self.ea, self.settings)
        except NoMemoryError as missing:
            place, note = missing.args[0], "no physical memory here"
            self.steps.append(Step(0, "SLBE", "segment", place, 0, place, None, "absent", (), None, note))
            return Reason.NO_MEMORY
        if segment is None:
            index, note = self.ea >> SHIFT_256M, _NO_SEGMENT[segments_from(self.settings)]
            self.steps.append(Step(0, "SLBE", "segment", 0, index, 0, None, "absent", (), None, note))
            return Reason.NONCANONICAL
        refused = self.access.kind == "execute" and segment.flags & SLB_N
        place = segment.address or 0
        self.steps.append(
            Step(
                level=0,
                name="SLBE",
                linux="segment",
                table=place,
                index=self.ea >> segment.shift,
                address=place,
                entry=segment.word,
                kind="table",
                flags=segment.flag_names,
                target=None if refused else self._group(segment, secondary=False),
                note=segment.where,
            )
        )
        self.code = NO_EXECUTE
        return Reason.PERMISSION if refused else segment

    def _search(self, segment: Segment) -> tuple[int, Hpte, PageSize] | Reason:
        """Look through the primary group, then through the secondary one (6.7.9.3)."""
        if table_shape(self.root, self.settings)[1] > LARGEST:
            return Reason.MALFORMED
        new = bool(self.settings["hpte_3_0"])
        for secondary in (False,) if self.settings["tc"] else (False, True):
            wanted = segment.wanted(self.ea) | (H if secondary else 0)
            group = self._group(segment, secondary=secondary)
            misses: list[tuple[int, str, tuple[str, ...]]] = []
            for place in range(group, group + ENTRIES * ENTRY_BYTES, ENTRY_BYTES):
                if not self.memory.reaches(place):
                    self._step(place, "absent", (), None, "no physical memory here")
                    return Reason.NO_MEMORY
                v, r = (self.memory.read_entry(place + n, big_endian=True) for n in (0, 8))
                hpte = Hpte.read(v, r, new=new)
                size = hpte.page_size(segment.base)
                if hpte.v & COMPARED == wanted and size is not None:
                    return place, hpte, size
                if hpte.v & V:
                    misses.append((place, _mismatch(hpte, segment, wanted), hpte.first_names))
            if not misses:
                held = self.memory.holds(group)
                misses = [(group, "no valid entry" if held else "this frame is not in the memory given", ())]
            for place, note, names in misses:
                which = "secondary" if secondary else "primary"
                self._step(place, "absent", names, None, f"{which} group: {note}")
        # Missing memory is reported last: the entry might be there.
        self.steps.sort(key=lambda step: step.level == 1 and not self.memory.holds(step.address))
        return Reason.NOT_PRESENT

    def _group(self, segment: Segment, *, secondary: bool) -> int:
        """Return the physical address of a group."""
        origin, table_bits = table_shape(self.root, self.settings)
        hashed = segment.hash(self.ea)
        index = (~hashed if secondary else hashed) & (1 << table_bits - GROUP_SHIFT) - 1
        return origin + (index << GROUP_SHIFT)

    def _step(self, place: int, kind: str, names: tuple[str, ...], target: int | None, note: str) -> None:
        table, _ = table_shape(self.root, self.settings)
        index = (place - table) // ENTRY_BYTES
        word = self.memory.read_entry(place, big_endian=True) if self.memory.reaches(place) else None
        self.steps.append(Step(1, "PTE", "hpte", table, index, place, word, kind, names, target, note))

    def _permission(self, segment: Segment, hpte: Hpte) -> Reason:
        """Check the access; return the cause of a refusal."""
        allowed, refused = granted(segment, hpte), refused_by_key(hpte, self.settings)
        self.rights = allowed & ~refused
        bit = bit_of(self.access)
        if self.rights >> bit & 1:
            return Reason.OK
        self.code = 0
        if not allowed >> bit & 1:
            fetch = self.access.kind == "execute"
            self.code = NO_EXECUTE if fetch and hpte.r & (N | G) else PROTECTION
        if refused >> bit & 1:
            self.code |= KEY
        return Reason.PERMISSION


def _mismatch(hpte: Hpte, segment: Segment, wanted: int) -> str:
    """Return why a valid entry does not match."""
    different = (hpte.v ^ wanted) & COMPARED
    if different & ~H:
        return "another page's"
    if different:
        return "hashed the other way"
    return f"no page in a segment of {short(segment.base)} pages"


def walked(
    linux: LinuxLayout,
    memory: PhysicalMemory,
    root: int,
    va: int,
    access: Access,
    settings: Settings,
    fault_of: Callable[..., tuple[str, int]],
) -> Trace:
    """Walk one address and keep every step.

    Args:
        linux: the layout of the kernel's segments.
        memory: where the table is.
        root: SDR1, or the process-table entry that holds it.
        va: effective address in bytes.
        access: the access.
        settings: the CPU's settings.
        fault_of: returns the name and code of a fault, as `CustomFormat.fault`.
    """
    walking = _Walking(linux, memory, root, va, access, settings)
    reason, level, pa = walking.walk()
    held = frozenset(name for i, name in enumerate(RIGHTS) if walking.rights >> i & 1)
    fault, code = "", 0
    if reason:
        fault, code = fault_of(reason, access, settings, level=level)
        if reason is Reason.PERMISSION:
            code = walking.code | (STORE if access.kind == "write" else 0)
    return Trace(va, pa, reason, level, walking.page_shift, held, fault, code, tuple(walking.steps))
