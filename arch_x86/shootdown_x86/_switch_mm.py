"""A CPU switches to an mm while another one flushes it: who sees what of the other (arch/x86/mm/tlb.c).

switch_mm_irqs_off() says in loaded_mm that it switches, makes sure that the CPU is in mm_cpumask, reads tlb_gen, and
flushes if that has gone on since the CPU ran the mm last. flush_tlb_mm_range() increments tlb_gen, and interrupts the
CPUs of mm_cpumask; since 6db2526c1d69 only those whose loaded_mm says so. One of the two must see the other, or the
CPU goes on with what its TLB has kept under the PCID of the mm.

* fea4e317f9e7: who found a CPU switching took it for one that has another mm loaded, although it had read tlb_gen
  already.
* 83b0177a6c48: since 209954cbc7d0 the CPU is in mm_cpumask most often, sets no bit, and has no barrier between the
  store to loaded_mm and the load of tlb_gen.
* 71b3c126e611: the flush of an mm that the CPU did not run read mm_cpumask with no barrier after it had changed the
  entry. It takes a plain store to the entry (`-p clear=store`), as those are that unlink tables. Kernels of that time
  used no PCIDs: a load of CR3 flushed everything.

What the two CPUs say of themselves are variables here. The flush is the kernel's own, and reads those.
"""

from __future__ import annotations

import attrs

from shootdown.porting import Assembler
from shootdown.scenarios import (
    OUTER,
    Expect,
    Leaf,
    LeafEntry,
    LeafStretch,
    Model,
    Parameter,
    Problem,
    Scenario,
    Scene,
    maps,
)
from shootdown.scenarios import ops as o
from shootdown_x86._flush import X86Lowering
from shootdown_x86._kernel import X86Kernel

_FLUSHER, _SWITCHER = range(2)
_FREED_PAGE = 1
_INVARIANTS = ("walk-cache", "freed-page")
_SENTENCES = {"freed-page": "User mode may not use a page that was freed."}
_PLACES = ("kept", "freed", "used")
_KEPT, _FREED, _USED = range(len(_PLACES))
#: The request of the flush that a load of CR3 is.
_CR3 = 2


@attrs.define
class _Cells:
    """The variables: what each CPU says of itself, from which CPU 0's is the first, and the mm's tlb_gen."""

    loaded: int = -1
    cpumask: int = -1
    tlb_gen: int = -1


@attrs.frozen
class _Switching(X86Lowering):
    """Flush as the kernel does, and read from variables what the other CPU says of itself.

    Args:
        cells: the variables.
    """

    cells: _Cells

    def begin_flush(self, asm: Assembler, g: int) -> None:
        """Write inc_mm_tlb_gen()."""
        X86Lowering.begin_flush(self, asm, g)
        asm.v_add(self.cells.tlb_gen, 1, o.VALUE, text="inc_mm_tlb_gen")

    def target_cpumask(self, asm: Assembler) -> None:
        """Write the reading of mm_cpumask."""
        X86Lowering.target_cpumask(self, asm)
        self._keep(asm, self.cells.cpumask, "those whose bit is set")

    def drop_targets_not_loaded(self, asm: Assembler) -> None:
        """Write the reading of loaded_mm."""
        self._keep(asm, self.cells.loaded, "should_flush_tlb: what their loaded_mm says")

    def _keep(self, asm: Assembler, variable: int, text: str) -> None:
        asm.set(o.VALUE, 1)
        asm.target_holding(variable, o.VALUE, text=text)


def _build(scene: Scene) -> Problem:
    cells = _Cells()
    model = Model(scene.kernel, _Switching(scene.kernel, scene.platform, cells), cpus=2, mms=1)
    leaf = Leaf(model)
    entry = model.entry(0, maps(0), "the entry", lo=0, hi=1)
    stays = int(scene.kernel.arch.lazy_mm_cpumask)
    cells.loaded = model.variable(1, "loaded_mm of CPU 0")
    model.variable(0, "loaded_mm of CPU 1")
    cells.cpumask = model.variable(1, "the bit of CPU 0 in mm_cpumask")
    model.variable(stays, "the bit of CPU 1 in mm_cpumask")
    cells.tlb_gen = model.variable(0, "tlb_gen")
    freed = model.variable(0, "page freed")
    flusher, switcher = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(flusher)
    _unmap(model, leaf, entry, freed, plain=scene["clear"] == "store")
    model.starts(switcher)
    _switch_mm(model, cells, scene)
    _use(model, leaf, entry, freed)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("munmap", "switches to the mm"),
    )


def _unmap(model: Model, leaf: Leaf, entry: int, freed: int, *, plain: bool) -> None:
    """Write munmap() of one page; `plain`: its entry is cleared as those that lead to tables are, without a lock."""
    asm, gathers = model.asm, model.gathers

    def clear() -> None:
        leaf.store(entry, 0, "clear the entry by a plain store")
        gathers.remove_entry(OUTER, 0, 1)

    with model.calls.syscall("munmap"), asm.because("munmap"):
        gathers.begin(OUTER)
        if plain:
            model.calls.free_pgtables(clear)
        else:
            stretch = LeafStretch(leaf, LeafEntry(leaf, entry, o.INDEX))
            model.calls.page_tables.zap_pte_range(OUTER, [stretch])
        gathers.finish(OUTER)
        leaf.exchange(freed, 1, o.SCRATCH, "the page is freed")
        asm.reached(_FREED)
    model.spin()


def _switch_mm(model: Model, cells: _Cells, scene: Scene) -> None:
    """Write switch_mm_irqs_off() from another mm; the TLB has kept what it had of this one, or what walkers read."""
    asm, own = model.asm, scene.kernel.arch
    assert isinstance(own, X86Kernel)
    with asm.function("switch_mm_irqs_off", "arch/x86/mm/tlb.c"):
        asm.irq_off(text="interrupts off: context_switch()")
        seen = int(own.flush_while_switching)
        asm.v_store(cells.loaded + _SWITCHER, seen, text="loaded_mm = LOADED_MM_SWITCHING")
        if not own.lazy_mm_cpumask:
            asm.v_xchg(cells.cpumask + _SWITCHER, 1, o.SCRATCH, text="cpumask_set_cpu: a locked instruction")
        elif own.switch_mm_orders_tlb_gen:
            asm.fence(text="the bit is set already: smp_mb")
        asm.v_load(o.CLASS, cells.tlb_gen, text="read tlb_gen")
        kept = model.label()
        if scene.lowering.mm.tagged:
            asm.jump_zero(o.CLASS, kept)
        asm.request(_CR3, flags=o.FULLMM, text="everything of the PCID")
        asm.begin_flush(_CR3, ceiling=0, everything=True, tracked=False, text="choose_new_asid: flush")
        asm.invalidate_this_cpu(o.SCOPE_BOTH, text="load CR3, without NOFLUSH")
        asm.cancel(text="CR3 is loaded")
        asm.place(kept)
        asm.fence(text="a load of CR3 is serializing")
        asm.v_store(cells.loaded + _SWITCHER, 1, text="loaded_mm = next")
        asm.irq_on(text="interrupts on")
    asm.reached(_KEPT)


def _use(model: Model, leaf: Leaf, entry: int, freed: int) -> None:
    """Write an access in user mode."""
    asm = model.asm
    leaf.load(o.SCRATCH, freed, "was the page freed?")
    leaf.access(o.CLASS, entry, write=False)
    with asm.if_nonzero(o.CLASS):
        asm.reached(_USED)
        model.fail_if(o.SCRATCH, 1, _FREED_PAGE, "a freed page is used")
    model.spin()


def _refuse(scene: Scene) -> str | None:
    return None if isinstance(scene.lowering, X86Lowering) else "only x86 switches by loaded_mm and tlb_gen"


_PLAIN = {"clear": "store"}
#: As kernels before 4.14 are: a load of CR3 flushes everything.
_NO_PCID = ("platform.pcid=false",)
_EARLY = ("kernel.flush_orders_cpumask=false", *_NO_PCID)

SWITCH_MM = Scenario(
    name="switch-mm",
    summary="a CPU switches to an mm while another one flushes it",
    source="83b0177a6c48 (CVE-2025-40174), fea4e317f9e7 (CVE-2025-37964), 71b3c126e611",
    build=_build,
    sentences=_SENTENCES,
    parameters=(Parameter("clear", "xchg", "how the entry is cleared", choices=("xchg", "store")),),
    refuse=_refuse,
    window=_PLACES,
    expected=(
        Expect("safe", "x86"),
        *(Expect("safe", "x86", name) for name in ("amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest")),
        Expect("bug", "x86", kernel="6.14.7", why="83b0177a6c48: no barrier"),
        Expect("bug", "x86", kernel="6.17.4"),
        Expect("safe", "x86", kernel="6.17.5"),
        Expect("safe", "x86", kernel="6.17.4", settings=("memory_model=sc",), why="it takes a store buffer"),
        Expect("safe", "x86", kernel="6.17.4", settings=("kernel.lazy_mm_cpumask=false",), why="209954cbc7d0"),
        Expect("bug", "x86", kernel="6.12.28", why="fea4e317f9e7: a CPU that switches is left out"),
        Expect("safe", "x86", kernel="6.12.29"),
        Expect("safe", "x86", kernel="6.12.15"),
        Expect("safe", "x86", kernel="5.10"),
        Expect("safe", "x86", kernel="5.10", parameters=_PLAIN),
        Expect("safe", "x86", kernel="5.10", parameters=_PLAIN, settings=_NO_PCID),
        Expect("bug", "x86", kernel="5.10", parameters=_PLAIN, settings=_EARLY, why="71b3c126e611"),
        Expect("safe", "x86", kernel="5.10", settings=_EARLY, why="xchg is a barrier"),
        Expect("not-applicable", "arm64"),
    ),
)  # fmt: skip
