"""ASIDs run out, and a new generation of them begins, while another CPU switches (arch/arm64/mm/context.c).

An mm's ASID counts for one generation. check_and_switch_context() takes it without a lock if the generation is the
current one and if no rollover has taken active_asids of this CPU away meanwhile. A rollover empties the map of ASIDs,
but for those that CPUs run: it keeps them in reserved_asids, so that their mms have them in the new generation too.
Each CPU flushes all of its TLB before it runs an ASID of the new generation.

* `cmpxchg`: since a8ffaaa060b8 the path without a lock writes active_asids only where no rollover has emptied it.
  Before, it wrote an ASID of the old generation behind the rollover, which the next one took for one of the current:
  two mms had it.
* `every_reserved`: since 0ebea8088095 an mm that takes its reserved ASID along takes all copies of it along. Before,
  only the first, and a CPU that ran another thread of the mm reserved an ASID at the next rollover that was nobody's.

The invariants are general: no mm uses a translation of another one, and none has two ASIDs at once. There are three
ASIDs for two CPUs, which is the least that the kernel allows, and each CPU has a list of mms that it switches to.
"""

from __future__ import annotations

from typing import NamedTuple

from shootdown.porting import Label
from shootdown.scenarios import Expect, Model, Parameter, Problem, Scenario, Scene
from shootdown.scenarios import ops as o

#: A context id is a generation, in steps of this, and an ASID from one on.
_GENERATION = 4
_ASIDS = range(1, _GENERATION)
_BITS = _GENERATION - 1
_HIGH = 0x7FFF & ~_BITS
_CPUS = 2
_OTHER_MM, _OTHER_ASID = 1, 2
_INVARIANTS = ("walk-cache", "another-mm", "another-asid")
_SENTENCES = {
    "another-mm": "User mode may not use a translation that a walk of another mm's tables has made.",
    "another-asid": "A CPU may not run an mm with another ASID than the one by which flushes name it.",
}
#: The mms that each CPU switches to. `stolen`: the second CPU rolls over twice while the first one goes back to B, and
#: gives B's ASID to D between. `copies`: both run B when the first CPU rolls over, which it does again later.
_LISTS = {"stolen": ((1, 0, 1, 3), (2, 3, 4)), "copies": ((2, 3, 1, 4, 1, 5, 6, 1), (1,))}
_PLACES = ("rolled over", "reserved", "without a lock", "translated")
_ROLLED, _RESERVED, _LOCKLESS, _TRANSLATED = range(len(_PLACES))

#: Registers: a context id, the one to be, its ASID, the generation, and what was read last.
_ID, _NEW, _ASID, _NOW, _READ, _HIT = o.SCRATCH, o.SCRATCH2, o.CLASS, o.SLOT, o.OWN, o.VALUE


class _Cells(NamedTuple):
    """The first variable of each: what the allocator has, and what each CPU's TLB has by ASID (an mm, from one)."""

    generation: int
    ids: int
    active: int
    reserved: int
    asid_map: int
    flush_pending: int
    next_asid: int
    tlb: int
    lock: int


def _cells(model: Model, mms: int) -> _Cells:
    def array(count: int, name: str, value: int = 0) -> int:
        first, *_ = [model.variable(value, f"{name} {n}" if count > 1 else name) for n in range(count)]
        return first

    return _Cells(
        array(1, "asid_generation", _GENERATION),
        array(mms, "context.id of mm"),
        array(_CPUS, "active_asids of CPU"),
        array(_CPUS, "reserved_asids of CPU"),
        array(_GENERATION, "asid_map"),
        array(_CPUS, "tlb_flush_pending of CPU"),
        array(1, "cur_idx", 1),
        array(_CPUS * _GENERATION, "mm whose translations the TLB has, by CPU and ASID"),
        model.lock(),
    )


class _Writer:
    """Write the programs."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.lists = _LISTS[scene["race"]]
        self.mms = max(map(max, self.lists)) + 1
        self.model = Model(scene.kernel, scene.lowering, cpus=_CPUS, mms=1)
        self.asm = self.model.asm
        self.cells = _cells(self.model, self.mms)

    def build(self) -> Problem:
        """Return the machine: each CPU switches from one mm of its list to the next."""
        model = self.model
        for cpu, mms in enumerate(self.lists):
            task = model.task(mm=0, cpu=cpu, ready=True)
            model.starts(task)
            for mm in mms:
                self._run(mm, cpu)
            model.spin()
        return Problem(
            machine=model.build(bits=16),  # what is read without the lock is read and written by atomics
            invariants=_INVARIANTS,
            places=_PLACES,
            lanes=tuple("switches to " + ", ".join(chr(65 + mm) for mm in mms) for mms in self.lists),
        )

    def _run(self, mm: int, cpu: int) -> None:
        with self.asm.function("check_and_switch_context", "arch/arm64/mm/context.c"):
            self._check_and_switch_context(mm, cpu)
        self._translate(mm, cpu)

    # --- arch/arm64/mm/context.c

    def _check_and_switch_context(self, mm: int, cpu: int) -> None:
        asm, cells, slow, fast = self.asm, self.cells, self.model.label(), self.model.label()
        active = cells.active + cpu
        asm.v_load(_ID, cells.ids + mm, text="read context.id")
        if self.scene["cmpxchg"]:
            asm.v_load(_NEW, active, text="read active_asids")
            asm.jump_zero(_NEW, slow)
        self._unless_current(slow)
        if self.scene["cmpxchg"]:
            asm.v_cas(active, _NEW, _ID, slow, text="cmpxchg active_asids")
        else:
            asm.v_xchg(active, _ID, _READ, from_register=True, text="xchg active_asids")
            asm.jump_zero(_READ, slow)
        asm.reached(_LOCKLESS)
        asm.jump(fast)
        asm.place(slow)
        asm.lock(cells.lock, write=True, sleeps=False, text="cpu_asid_lock")
        asm.v_load(_ID, cells.ids + mm, text="read context.id again")
        old, current = self.model.label(), self.model.label()
        self._unless_current(old)
        asm.jump(current)
        asm.place(old)
        with asm.function("new_context", "arch/arm64/mm/context.c"):
            self._new_context()
        asm.v_store(cells.ids + mm, _ID, from_register=True, text="context.id")
        asm.place(current)
        asm.v_load(_READ, cells.flush_pending + cpu, text="is a flush pending?")
        with asm.if_nonzero(_READ):
            asm.v_store(cells.flush_pending + cpu, 0, text="it is not any more")
            for asid in _ASIDS:
                asm.v_store(cells.tlb + cpu * _GENERATION + asid, 0, text=f"local_flush_tlb_all: ASID {asid}")
        asm.v_store(active, _ID, from_register=True, text="active_asids")
        asm.unlock(cells.lock, write=True, text="cpu_asid_lock")
        asm.place(fast)

    def _unless_current(self, label: Label) -> None:
        """Write a jump unless an id is of the current generation, which register _NOW gets."""
        asm, same = self.asm, self.model.label()
        asm.v_load(_NOW, self.cells.generation, text="read asid_generation")
        asm.copy(_ASID, _ID)
        asm.clear_bits(_ASID, _BITS)
        asm.jump_same(_ASID, _NOW, same)
        asm.jump(label)
        asm.place(same)

    def _new_context(self) -> None:
        """Write new_context(): register _ID gets the new id."""
        asm, cells = self.asm, self.cells
        allocate, done = self.model.label(), self.model.label()
        asm.jump_zero(_ID, allocate)
        self._asid_of(_ID)
        self._in_generation(_ASID)
        asm.set(_HIT, 0)
        with asm.function("check_update_reserved_asid", "arch/arm64/mm/context.c"):
            self._check_update_reserved()
        with asm.if_nonzero(_HIT):
            asm.reached(_RESERVED)
            asm.jump(done)
        asm.v_load(_READ, cells.asid_map, index=_ASID, text="is the ASID free still?")
        with asm.if_nonzero(_READ) as taken:
            taken.otherwise()
            asm.v_store(cells.asid_map, 1, index=_ASID, text="take it")
            asm.jump(done)
        asm.place(allocate)
        found = self.model.label()
        asm.v_load(_ASID, cells.next_asid, text="read cur_idx")
        self._find_free(found)
        asm.v_add(cells.generation, _GENERATION, _NOW, text="a new generation")
        asm.reached(_ROLLED)
        with asm.function("flush_context", "arch/arm64/mm/context.c"):
            self._flush_context()
        asm.set(_ASID, _ASIDS[0])
        self._find_free(found)
        asm.place(found)
        asm.v_store(cells.asid_map, 1, index=_ASID, text="take the ASID")
        asm.v_store(cells.next_asid, _ASID, from_register=True, text="cur_idx")
        self._in_generation(_ASID)
        asm.place(done)
        asm.copy(_ID, _NEW)

    def _check_update_reserved(self) -> None:
        """Write check_update_reserved_asid(): copies of the old id become the new one."""
        asm, over = self.asm, self.model.label()
        for cpu in range(_CPUS):
            reserved, other = self.cells.reserved + cpu, self.model.label()
            same = self.model.label()
            asm.v_load(_READ, reserved, text="read reserved_asids")
            asm.jump_same(_READ, _ID, same)
            asm.jump(other)
            asm.place(same)
            asm.set(_HIT, 1)
            asm.v_store(reserved, _NEW, from_register=True, text="the reserved ASID is of the new generation")
            if not self.scene["every_reserved"]:
                asm.jump(over)
            asm.place(other)
        asm.place(over)

    def _find_free(self, found: Label) -> None:
        """Write find_next_zero_bit(), from register _ASID on."""
        asm, again, none = self.asm, self.model.label(), self.model.label()
        asm.place(again)
        asm.jump_equal(_ASID, _GENERATION, none)
        asm.v_load(_READ, self.cells.asid_map, index=_ASID, text="is the ASID free?")
        asm.jump_zero(_READ, found)
        asm.add(_ASID, 1)
        asm.jump(again)
        asm.place(none)

    def _flush_context(self) -> None:
        """Write flush_context(): the map has what CPUs run, and each CPU has a flush to do."""
        asm, cells = self.asm, self.cells
        for asid in _ASIDS:
            asm.v_store(cells.asid_map + asid, 0, text="clear asid_map")
        for cpu in range(_CPUS):
            asm.v_xchg(
                cells.active + cpu, 0, _READ, text="xchg active_asids: who takes it without a lock sees this"
            )
            with asm.if_nonzero(_READ) as running:
                running.otherwise()
                asm.v_load(_READ, cells.reserved + cpu, text="no switch since the last rollover")
            asm.v_store(cells.reserved + cpu, _READ, from_register=True, text="reserved_asids")
            self._asid_of(_READ)
            asm.v_store(cells.asid_map, 1, index=_ASID, text="set its bit in asid_map")
            asm.v_store(cells.flush_pending + cpu, 1, text="tlb_flush_pending")

    # --- registers, and the TLB

    def _asid_of(self, register: int) -> None:
        self.asm.copy(_ASID, register)
        self.asm.clear_bits(_ASID, _HIGH)

    def _in_generation(self, asid: int) -> None:
        """Write that register _NEW is the id of an ASID in the generation of register _NOW."""
        asm, done = self.asm, self.model.label()
        asm.copy(_NEW, _NOW)
        for number in _ASIDS:
            other = self.model.label()
            here = self.model.label()
            asm.jump_equal(asid, number, here)
            asm.jump(other)
            asm.place(here)
            asm.add(_NEW, number)
            asm.jump(done)
            asm.place(other)
        asm.place(done)

    def _translate(self, mm: int, cpu: int) -> None:
        """Write an access in user mode: by what the TLB has for the ASID, or by a walk of the mm's tables."""
        asm, tlb, mine, named = (
            self.asm, self.cells.tlb + cpu * _GENERATION, self.model.label(), self.model.label()
        )  # fmt: skip
        asm.v_load(_NOW, self.cells.ids + mm, text="the ASID by which a flush names the mm now")
        asm.clear_bits(_NOW, _HIGH)
        self._asid_of(_ID)
        asm.jump_same(_NOW, _ASID, named)
        asm.fail(_OTHER_ASID, text="a flush of the mm does not reach this CPU")
        asm.place(named)
        asm.v_load(_READ, tlb, index=_ASID, text="does the TLB have a translation of the ASID?")
        with asm.if_nonzero(_READ) as there:
            asm.jump_equal(_READ, mm + 1, mine)
            asm.fail(_OTHER_MM, text="the translation is another mm's")
            there.otherwise()
            asm.v_store(tlb, mm + 1, index=_ASID, text="a walk of the mm's tables")
        asm.place(mine)
        asm.reached(_TRANSLATED)


def _refuse(scene: Scene) -> str | None:
    if getattr(scene.kernel.arch, "kpti", None) is None:
        return "this allocator of ASIDs is arm64's"
    return None


_COPIES = {"race": "copies"}

ASID_ROLLOVER = Scenario(
    name="asid-rollover",
    summary="ASIDs run out while another CPU switches to an mm without a lock",
    source="a8ffaaa060b8, 0ebea8088095; the same allocator in TLA+: kernel-tla, asidalloc.tla",
    build=lambda scene: _Writer(scene).build(),
    sentences=_SENTENCES,
    parameters=(
        Parameter(
            "race",
            "stolen",
            "stolen: a rollover comes while a CPU takes its ASID without the lock; copies: two CPUs run one mm when "
            "ASIDs run out",
            choices=tuple(_LISTS),
        ),
    ),
    switches=(
        Parameter("cmpxchg", True, "active_asids is written only where no rollover has emptied it (a8ffaaa060b8)"),
        Parameter("every_reserved", True, "every copy of a reserved ASID goes along (0ebea8088095)"),
    ),
    refuse=_refuse,
    window=("rolled over", "reserved", "translated"),
    expected=(
        Expect("safe", "arm64"),
        Expect("bug", "arm64", settings=("scenario.cmpxchg=false",)),
        Expect("safe", "arm64", parameters=_COPIES),
        Expect("bug", "arm64", parameters=_COPIES, settings=("scenario.every_reserved=false",)),
        Expect("not-applicable", "x86"),
    ),
)  # fmt: skip
