"""Which pages may be made device-exclusive (bc3fe6805cf0, 6.15).

make_device_exclusive() replaces the PTE of an anonymous page by a device-exclusive entry (b756a3b5e7ea, 5.14). Its
page_make_device_exclusive_one() in mm/rmap.c does not handle hugetlb: it writes a PTE in place of a hugetlb entry, into
one of the sixteen entries of a contiguous block or into a PMD, and it decrements the mapcount of one base page instead
of that of the whole page. Whether an anonymous hugetlb page gets there is up to the caller. GUP with FOLL_SPLIT_PMD
returned hugetlb pages as if the flag were not set; since 9cb28da54643 (6.10) it splits those that a PMD maps as if they
were THPs; since 8977752c8056 (6.15, check_vma_flags() in mm/gup.c) it refuses them all
(`scenario.caller_refuses`). bc3fe6805cf0 is the safety net below it: folio_make_device_exclusive() refuses them too.
Every row of the table {anon, file} x {base, THP, hugetlb contiguous, hugetlb PMD} is checked, contiguous ones where
the architecture has them.

    refused     an anonymous page that is not hugetlb is accepted, any other page is refused
    contiguous  the entries of a contiguous block agree (Arm ARM: the Contiguous bit)
    format      a PMD holds only values that a PMD may have
    mapcount    no mapcount drops below zero
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._scenarios.histories import Writer
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "contiguous", "format", "mapcount", "refused")
_SENTENCES = {
    "contiguous": "The entries of a contiguous block say the same.",
    "format": "A PMD entry holds what a PMD entry may hold.",
    "mapcount": "No mapcount drops below none.",
    "refused": "Anonymous pages that are not hugetlb may be made device-exclusive, and no others.",
}
_CONTIGUOUS, _FORMAT, _MAPCOUNT, _REFUSED = range(1, len(_INVARIANTS))
_OWNERS = ("anon", "file")
_CONTIGUOUS_SIZE = "hugetlb-contiguous"
_SIZES = ("base", "thp", _CONTIGUOUS_SIZE, "hugetlb-pmd")
_PLACES = ("accepted", "not-anonymous", "hugetlb", "refused-by-caller")
_ACCEPTED, _NOT_ANON, _HUGETLB, _BY_CALLER = range(len(_PLACES))
# The values of an entry.
_PTE, _PMD, _EXCLUSIVE = 1, 2, 3
_BLOCK = 16
_BELOW_NONE = 1 << 14


def _entry_words(value: int) -> str:
    return {_PTE: "maps a page", _PMD: "maps a huge page"}.get(value, "a device-exclusive PTE")


def _count_words(value: int) -> str:
    return str(value - 2 * _BELOW_NONE if value & _BELOW_NONE else value)


class _Mapping(Writer):
    """One row of the table: the entries that map the page, and its two mapcounts."""

    def __init__(self, model: Model, owner: str, size: str) -> None:
        super().__init__(model)
        self.anon = owner == "anon"
        self.hugetlb = size.startswith("hugetlb")
        self.contiguous = size == _CONTIGUOUS_SIZE
        self.pmd = size == "hugetlb-pmd"
        self.called = f"{owner} {size}"
        # FOLL_SPLIT_PMD has split a THP's PMD: it is mapped by PTEs, of which one is replaced.
        entries = _BLOCK if self.contiguous else 1
        kind = "PMD" if self.pmd else "PTE"
        self.entries = [
            model.variable(
                _PMD if self.pmd else _PTE,
                f"{kind}{f' {n} of {entries}' if entries > 1 else ''} ({self.called})",
                _entry_words,
            )
            for n in range(entries)
        ]
        self.of_a_page, self.of_the_whole = (
            model.variable(count, f"mapcount of the {what} page ({self.called})", _count_words)
            for what, count in (("base", int(not self.hugetlb)), ("whole", int(self.hugetlb)))
        )
        self.accepted = model.variable(0, f"accepted ({self.called})")

    def make(self, scene: Setup) -> None:
        """Write make_device_exclusive() of the page."""
        asm, model = self.asm, self.model
        refused = model.label()
        at = self.entries[len(self.entries) // 2]
        with asm.function("make_device_exclusive", "mm/rmap.c"):
            asm.v_load(o.SCRATCH, at, text=f"a page, {self.called}")
            if self.hugetlb and scene["caller_refuses"]:
                with asm.function("check_vma_flags", "mm/gup.c"):
                    asm.reached(_BY_CALLER, text="FOLL_SPLIT_PMD: hugetlb is refused")
                    asm.jump(refused)
            with asm.function("folio_make_device_exclusive"):
                if not self.anon:
                    asm.reached(_NOT_ANON, text="not anonymous: refused")
                    asm.jump(refused)
                if self.hugetlb and scene["fix"]:
                    asm.reached(_HUGETLB, text="hugetlb: refused")
                    asm.jump(refused)
            with asm.function("page_make_device_exclusive_one"):
                asm.v_store(at, _EXCLUSIVE, text="set_pte_at: a device-exclusive entry")
                self.count(self.of_a_page, -1, text="page_remove_rmap of a base page")
                asm.v_store(self.accepted, 1, text="accepted")
                asm.reached(_ACCEPTED)
            asm.place(refused)

    def check(self) -> None:
        """Write the checks after it."""
        asm, model = self.asm, self.model
        if self.contiguous:
            self.look(o.SCRATCH, self.entries[0])
            for entry in self.entries[1:]:
                self.look(o.SCRATCH2, entry)
                with self.unless_same(o.SCRATCH, o.SCRATCH2):
                    asm.fail(_CONTIGUOUS, text="the entries of a contiguous block differ")
        if self.pmd:
            self.look(o.SCRATCH, self.entries[0])
            model.fail_if(o.SCRATCH, _EXCLUSIVE, _FORMAT, "a PMD holds an entry in the format of PTEs")
        for count in (self.of_a_page, self.of_the_whole):
            self.look(o.SCRATCH, count)
            with self.if_bits(o.SCRATCH, _BELOW_NONE):
                asm.fail(_MAPCOUNT, text="a mapcount drops below none")
        self.look(o.SCRATCH, self.accepted)
        if self.anon and not self.hugetlb:
            model.fail_if(o.SCRATCH, 0, _REFUSED, "a page that may be made exclusive was refused")
        else:
            model.fail_if(o.SCRATCH, 1, _REFUSED, "a page was accepted that may not be")


def build(scene: Setup) -> Problem:
    """Write the program: exploration chooses one row of the table."""
    model = Model(scene.kernel, scene.lowering, cpus=1, mms=1)
    asm = model.asm
    model.starts(model.task(mm=0, cpu=0, ready=True))
    over = model.label()
    rows = [
        (owner, size)
        for owner in _OWNERS
        for size in _SIZES
        if scene["owner"] in ("any", owner) and scene["size"] in ("any", size)
        if size != _CONTIGUOUS_SIZE or scene.lowering.no_contiguous_entries() is None
    ]
    for owner, size in rows:
        another = model.label()
        if (owner, size) != rows[-1]:
            asm.choice(another, text=f"a page, {owner} {size}, or one of the rows below")
        mapping = _Mapping(model, owner, size)
        mapping.make(scene)
        mapping.check()
        asm.jump(over)
        asm.place(another)
    asm.place(over)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=o.SC),
        invariants=_INVARIANTS,
        places=_PLACES,
        lanes=("make device-exclusive",),
    )


def _refuse(scene: Setup) -> str | None:
    return scene.lowering.no_contiguous_entries() if scene["size"] == _CONTIGUOUS_SIZE else None


_BEFORE = ("scenario.fix=false",)
_CALLER = "scenario.caller_refuses=true"

DEVICE_EXCLUSIVE_HUGETLB = Scenario(
    name="device-exclusive-hugetlb",
    summary="which pages may be made device-exclusive: anonymous ones that are not hugetlb",
    source="bc3fe6805cf0",
    build=build,
    sentences=_SENTENCES,
    parameters=(
        Parameter("owner", "any", "whose page", choices=("any", *_OWNERS)),
        Parameter("size", "any", "what maps it", choices=("any", *_SIZES)),
    ),
    switches=(
        Parameter("fix", True, "hugetlb pages are refused"),
        Parameter("caller_refuses", False, "so does GUP with FOLL_SPLIT_PMD, before it (8977752c8056, 6.15)"),
    ),
    refuse=_refuse,
    flushes=False,
    expected=(
        *(
            Expect("safe", arch="arm64", parameters={"owner": owner, "size": size})
            for owner in _OWNERS
            for size in _SIZES
        ),
        *(
            Expect("safe", arch="arm64", parameters={"owner": "file", "size": size}, settings=_BEFORE)
            for size in _SIZES
        ),
        *(
            Expect("safe", arch="x86", parameters={"owner": "anon", "size": size}, settings=_BEFORE)
            for size in ("base", "thp")
        ),
        *(
            Expect("bug", arch=arch, parameters={"owner": "anon", "size": "hugetlb-pmd"}, settings=_BEFORE)
            for arch in ("x86", "arm64", "powerpc")
        ),
        Expect("bug", arch="arm64", parameters={"size": _CONTIGUOUS_SIZE}, settings=_BEFORE),
        Expect("not-applicable", arch="x86", parameters={"size": _CONTIGUOUS_SIZE}, settings=_BEFORE),
        Expect("safe", arch="x86"),
        Expect("bug", arch="x86", settings=_BEFORE),
        Expect("safe", arch="x86", settings=(*_BEFORE, _CALLER), why="the check is a safety net"),
    ),
)
