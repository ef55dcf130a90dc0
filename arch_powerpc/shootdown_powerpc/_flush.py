"""How radix kernels flush: arch/powerpc/mm/book3s64/radix_tlb.c as steps.

Read in v5.12, v6.6, v6.16 and a later one; what differs between releases are switches of `PowerpcKernel`. A flush is
local (tlbiel), global (tlbie, which the fabric broadcasts), or left out, as `flush_type_needed()` decides from
mm_cpumask. An instruction by address names a page size (AP) and leaves translations of pages of another size alone. RIC
says what is invalidated: 0 translations, 1 the page walk cache, 2 both and the process table's entry (Power ISA 3.0B,
Book III, 5.9.3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from shootdown.porting import EVERYTHING, NO_LIMIT, Assembler, Label, table_flags
from shootdown.porting import ops as o
from shootdown_powerpc._lowering import PowerpcLowering

_FILE = "arch/powerpc/mm/book3s64/radix_tlb.c"
_HUGETLB = "arch/powerpc/mm/book3s64/radix_hugetlbpage.c"

#: Congruence classes that a tlbiel by PID has to name one after another before ISA 3.1 (POWER9_TLB_SETS_RADIX).
TLB_SETS = 128
_SCOPE = {0: o.SCOPE_LEAF, 1: o.SCOPE_WALK, 2: o.SCOPE_BOTH}

Way = Literal["broadcast", "ipi", "hypercall"]


def instruction(name: str, ric: int) -> str:
    """Name a process-scoped radix invalidation as the measurements do."""
    return f"{name}_ric{ric}_prs1_r1"


@attrs.frozen
class Want:
    """What one flush has to invalidate.

    Args:
        stride: the stride of the range: `BASE_STRIDES`, `PMD_STRIDES`, 0 for that of the level that was cleared.
        pid_ric: the RIC with which it invalidates the PID if the range is too long, or if it has none.
        walk: it drops the PID's page walk cache (RIC 1) before the addresses of a range.
        ranged: it has a range; otherwise it is of the PID.
        limited: the range is subject to the ceilings.
        thp: whole PMD entries are invalidated as 2M pages too: flush_tlb_range() knows no page size.
    """

    stride: int = 0
    pid_ric: int = 0
    walk: bool = False
    ranged: bool = True
    limited: bool = True
    thp: bool = False

    @property
    def scope(self) -> int:
        """What a flush of the range drops."""
        return o.SCOPE_BOTH if self.walk else o.SCOPE_LEAF


@attrs.frozen
class RadixLowering(PowerpcLowering):
    """Write flushes as a radix kernel does them; see `shootdown.Lowering`."""

    @property
    def way(self) -> Way:
        """How a global flush reaches other CPUs: tlbie, IPIs, or H_RPT_INVALIDATE where the guest has no GTSE."""
        forced: dict[str, Way] = {"broadcast": "broadcast", "ipi": "ipi", "hypercall": "hypercall"}
        if self.platform.flush in forced:
            return forced[self.platform.flush]
        if not self.cpu.gtse:
            return "hypercall"
        return "ipi" if self.own.disable_tlbie else "broadcast"

    @property
    def sync_redundant_natively(self) -> bool:
        """Whether `proposal:skip-redundant-sync` skips the sync: only where each flush interrupts."""
        return self.way == "ipi"

    # --- what the generic code calls

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `radix__tlb_flush()`: a range in the gather's one page size; with freed tables their walk entries.

        The whole mm goes with RIC 2, which also drops the process table's entry; since e43c0a0c3c28 an IPI first
        makes the other CPUs leave it, so that no tlbie is needed.
        """
        with asm.function("radix__tlb_flush", _FILE), asm.if_flags(g, o.FULLMM) as whole:
            if self.own.exit_flush_shoots_lazies and self.kernel.lazy_tlb_shootdown:
                self._exit_flush_lazy_tlbs(asm, "lazy TLB shootdown")
            self._flush_all(asm, g, fullmm=True)
            whole.otherwise()
            self._flush(
                asm,
                g,
                lambda: self._each_size(asm, g, lambda want: self._locally(asm, g, want)),
                lambda: self._each_size(asm, g, lambda want: self._everywhere(asm, g, want)),
            )

    def _each_size(self, asm: Assembler, g: int, write: Callable[[Want], None]) -> None:
        """Write a flush for each page size that a gather may have: without one it is of the PID."""
        sizes = ((o.BASE_PAGES, o.BASE_STRIDES), (o.PMD_PAGES, o.PMD_STRIDES))
        with asm.if_flags(g, sizes[0][0]) as base:
            self._each_depth(asm, g, lambda walk: write(self._range(sizes[0][1], walk=walk)))
            base.otherwise()
            with asm.if_flags(g, sizes[1][0]) as huge:
                self._each_depth(asm, g, lambda walk: write(self._range(sizes[1][1], walk=walk)))
                huge.otherwise()
                self._each_depth(asm, g, lambda walk: write(Want(ranged=False, pid_ric=2 if walk else 0)))

    def _each_depth(self, asm: Assembler, g: int, write: Callable[[bool], None]) -> None:
        """Write a flush that drops walk entries, and one that doesn't, and choose by the gather's flags."""
        flags = table_flags(self.kernel)
        if not flags:
            write(False)
            return
        with asm.if_flags(g, flags) as tables:
            write(True)
            tables.otherwise()
            write(False)

    @staticmethod
    def _range(stride: int, *, walk: bool) -> Want:
        """Return what `__radix__flush_tlb_range_psize()` invalidates."""
        return Want(stride=stride, pid_ric=2 if walk else 0, walk=walk)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `__radix__flush_tlb_range()`, which is told no page size: base pages, then 2M pages.

        Since v5.14 it drops the page walk cache too if the range is as long as a PMD entry.
        """
        deep = self.own.range_drops_page_walk_cache
        want = Want(stride=o.BASE_STRIDES, pid_ric=2 if deep else 0, thp=self.own.thp)

        def write(flush: Callable[[Assembler, int, Want], None]) -> None:
            with asm.if_more_strides(g, self.table_pages - 1) as long:
                flush(asm, g, attrs.evolve(want, walk=deep))
                long.otherwise()
                flush(asm, g, attrs.evolve(want, thp=False))

        with asm.function("__radix__flush_tlb_range", _FILE):
            self._flush(asm, g, lambda: write(self._locally), lambda: write(self._everywhere))

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `radix__flush_tlb_mm()`: all translations of the PID."""
        with asm.function("radix__flush_tlb_mm", _FILE):
            self._simple(asm, g, Want(ranged=False))

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `radix__flush_tlb_page_psize()`: one page, of whatever size."""
        with asm.function("radix__flush_tlb_page_psize", _FILE):
            self._simple(asm, g, Want(limited=False))

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `radix__flush_pmd_tlb_range()`: one 2M page."""
        with asm.function("radix__flush_pmd_tlb_range", _FILE):
            self._simple(asm, g, self._range(o.PMD_STRIDES, walk=False))

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `radix__flush_hugetlb_tlb_range()`: 2M pages; with walk entries if it is as long as a PUD entry."""
        most = (1 << (self.geometry.pud_shift - self.geometry.pmd_shift)) - 1
        with asm.function("radix__flush_hugetlb_tlb_range", _HUGETLB):
            if not self.own.range_drops_page_walk_cache:
                self._simple(asm, g, self._range(o.PMD_STRIDES, walk=False))
                return
            with asm.if_more_strides(g, most) as long:
                self._simple(asm, g, self._range(o.PMD_STRIDES, walk=True))
                long.otherwise()
                self._simple(asm, g, self._range(o.PMD_STRIDES, walk=False))

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write the flush of `radix__pmdp_collapse_flush()`: with 4K pages all of the mm, else the table's pages."""
        if self.own.collapse_serializes:
            self.serialize_against_pte_lookup(asm)
        with asm.function("radix__flush_tlb_collapsed_pmd", _FILE):
            if self.kernel.page_size == 4096:
                self._flush_all(asm, g, fullmm=False)
            else:
                self._simple(asm, g, Want(stride=o.BASE_STRIDES, walk=True, limited=False))

    def _flush_all(self, asm: Assembler, g: int, *, fullmm: bool) -> None:
        """Write `__flush_all_mm()`: translations, walk entries and the process table's entry of the PID."""
        want = Want(ranged=False, pid_ric=2)
        with asm.function("__flush_all_mm", _FILE):
            self._simple(asm, g, want, fullmm=fullmm)

    def _simple(self, asm: Assembler, g: int, want: Want, *, fullmm: bool = False) -> None:
        self._flush(
            asm,
            g,
            lambda: self._locally(asm, g, want),
            lambda: self._everywhere(asm, g, want),
            fullmm=fullmm,
        )

    # --- flush_type_needed()

    def _flush(
        self,
        asm: Assembler,
        g: int,
        locally: Callable[[], None],
        everywhere: Callable[[], None],
        *,
        fullmm: bool = False,
    ) -> None:
        """Choose between a local flush, a global one and none; trim mm_cpumask where that saves a global one.

        An attached accelerator counts as a CPU (mm_context_add_copro()), so that its mm is never local.
        """
        own, here, done = self.own, Label(), Label()
        with asm.because("TLB flush"), asm.function("flush_type_needed", _FILE):
            if not self.cpu.coprocessors:
                asm.target_mm_cpumask()
                with asm.if_targets() as others:
                    if not fullmm:
                        self._trim(asm, g, here, done)
                    others.otherwise()
                    with asm.if_in_mm_cpumask() as mine:
                        if own.trim_period:
                            with asm.if_own_mm() as current:
                                current.otherwise()
                                with asm.if_time_to_trim(own.trim_period):
                                    self._leave(asm, g)
                                    asm.jump(done)
                        asm.jump(here)
                        mine.otherwise()
                        if own.unused_mm_needs_no_flush:
                            asm.jump(done)
        with asm.because("TLB flush"):
            everywhere()
            asm.jump(done)
            asm.place(here)
            locally()
            asm.place(done)

    def _trim(self, asm: Assembler, g: int, here: Label, done: Label) -> None:
        """Make other CPUs leave the mm: always for its only task, else each `trim_period`-th time."""
        with asm.if_alone():
            self._exit_flush_lazy_tlbs(asm, "mm_cpumask trim")
            asm.jump(here)
        if self.own.trim_period:
            with asm.if_time_to_trim(self.own.trim_period):
                self._exit_flush_lazy_tlbs(asm, "mm_cpumask trim")
                with asm.if_own_mm():
                    asm.jump(here)
                with asm.if_in_mm_cpumask():
                    self._leave(asm, g)
                asm.jump(done)

    def _exit_flush_lazy_tlbs(self, asm: Assembler, cause: str) -> None:
        """Interrupt all other CPUs in mm_cpumask: each invalidates the PID, and leaves unless it runs the mm."""
        with asm.function("exit_flush_lazy_tlbs", _FILE), asm.because(cause):
            asm.target_mm_cpumask()
            with asm.if_targets():
                self._tlbiel_pid(asm, 2, o.PER_TARGET)
                asm.send(o.CALL_LEAVE, o.SCOPE_BOTH, text="IPI: do_exit_flush_lazy_tlb")
                asm.wait_for_answers()

    def _leave(self, asm: Assembler, g: int) -> None:
        """Write `exit_lazy_flush_tlb()` on this CPU, which doesn't run the mm: it leaves and invalidates the PID."""
        with asm.function("exit_lazy_flush_tlb", _FILE):
            asm.begin_flush(g, ceiling=EVERYTHING, tracked=False, text="this CPU leaves the mm")
            self._tlbiel_pid(asm, 2)
            asm.flush_self(forced=2, text="invalidate and leave")
            asm.cancel(text="no other CPU")

    # --- a local flush

    def _locally(self, asm: Assembler, g: int, want: Want) -> None:
        """Invalidate on this CPU."""
        ceiling = self.own.local_page_ceiling if want.limited else NO_LIMIT
        self._begin(asm, g, want, ceiling, "ptesync; this CPU alone")
        self._by_length(
            asm,
            want,
            lambda: self._self(asm, want),
            lambda: self._self(asm, attrs.evolve(want, ranged=False)),
        )
        asm.cancel(text="no other CPU")

    def _self(self, asm: Assembler, want: Want) -> None:
        """Execute tlbiel on this CPU."""
        self._tlbiel(asm, want)
        scope = want.scope if want.ranged else _SCOPE[want.pid_ric]
        asm.invalidate_this_cpu(scope, text="ppc_after_tlbiel_barrier")

    def _tlbiel(self, asm: Assembler, want: Want, per: int = o.PER_REQUEST) -> None:
        """Count the tlbiel of a request: once, or for each target."""
        if not want.ranged:
            self._tlbiel_pid(asm, want.pid_ric, per)
            return
        if want.walk:
            asm.execute(instruction("tlbiel", 1), 1, per, text="tlbiel by PID, RIC 1: page walk cache")
        asm.execute(instruction("tlbiel", 0), 1, per | o.PER_STRIDE, text="tlbiel by address")
        if want.thp:
            asm.execute(instruction("tlbiel", 0), 1, per | o.PER_PMD, text="tlbiel by address of 2M pages")

    def _tlbiel_pid(self, asm: Assembler, ric: int, per: int = o.PER_REQUEST) -> None:
        """Count `_tlbiel_pid()`: the first set with its RIC, the others with RIC 0, unless one names all sets."""
        one = self.cpu.isa == "3.1" and self.own.one_tlbiel_on_isa31
        asm.execute(instruction("tlbiel", ric), 1, per, text=f"tlbiel by PID, RIC {ric}, first set")
        if not one:
            asm.execute(instruction("tlbiel", 0), TLB_SETS - 1, per, text="tlbiel by PID, each further set")

    # --- kernel addresses

    def no_kernel_ranges(self) -> str | None:
        """Return why flushes of kernel addresses can't be counted: without tlbie their IPIs go to init_mm's CPUs."""
        if self.way == "ipi":
            return "without tlbie, flushes of kernel addresses interrupt the CPUs of init_mm, which are not known"
        return None

    def flush_kernel_addresses(self, asm: Assembler) -> None:
        """Write `radix__flush_tlb_kernel_range()`: PID 0 with RIC 2, whatever the range."""
        with asm.function("radix__flush_tlb_kernel_range", _FILE), asm.because("TLB flush"):
            asm.kernel_begin(0, cost="flush_ns", text="ptesync; all of PID 0")
            if self.way == "hypercall":
                self._ask(asm, o.SCOPE_BOTH)
                return
            self._broadcast(asm, 2, text="tlbie by PID 0, RIC 2")
            self._fix_up(asm)
            asm.execute("tlbsync")
            asm.broadcast(o.SCOPE_BOTH, text="tlbie reaches every CPU")
            asm.complete("eieio; tlbsync; ptesync")

    # --- a global flush

    def _everywhere(self, asm: Assembler, g: int, want: Want) -> None:
        """Invalidate on all CPUs that may hold anything, in the kernel's and platform's way."""
        if self.way == "hypercall":
            self._hypercall(asm, g, want)
            return
        write = self._tlbie if self.way == "broadcast" else self._multicast
        self._begin(asm, g, want, self.own.page_ceiling if want.limited else NO_LIMIT, "ptesync; all CPUs")
        self._by_length(
            asm,
            want,
            lambda: write(asm, g, want),
            lambda: write(asm, g, attrs.evolve(want, ranged=False)),
        )

    def _tlbie(self, asm: Assembler, g: int, want: Want) -> None:
        """Execute tlbie, POWER9's fix-ups after each kind of it, then eieio; tlbsync; ptesync."""
        del g
        scope = self._count_tlbie(asm, want)
        asm.execute("tlbsync")
        asm.broadcast(scope, text="tlbie reaches every CPU")
        asm.complete("eieio; tlbsync; ptesync")

    def _count_tlbie(self, asm: Assembler, want: Want) -> int:
        """Write the tlbie of a request, with their scope."""
        if not want.ranged:
            ric = 2 if self._escalates else want.pid_ric
            self._broadcast(asm, ric, text=f"tlbie by PID, RIC {ric}")
            self._fix_up(asm)
            return _SCOPE[ric]
        if want.walk:
            self._broadcast(asm, 1, text="tlbie by PID, RIC 1: page walk cache")
        self._broadcast(asm, 0, o.PER_STRIDE, text="tlbie by address")
        self._fix_up(asm)
        if want.thp:
            self._broadcast(asm, 0, o.PER_PMD, text="tlbie by address of 2M pages")
            self._fix_up(asm)
        return want.scope

    @property
    def _escalates(self) -> bool:
        """Whether a PID flush also drops walk entries because POWER9's nest MMU keeps PTEs among those."""
        cpu = self.cpu
        return cpu.coprocessors and (cpu.isa != "3.1" or self.own.escalates_on_isa31)

    def _broadcast(self, asm: Assembler, ric: int, per: int = o.PER_REQUEST, *, text: str) -> None:
        name = instruction("tlbie", ric)
        asm.execute(name, 1, per, broadcasts=True, cost="broadcast_ns", text=text)

    def _fix_up(self, asm: Assembler) -> None:
        """Execute the extra tlbie that POWER9's bugs ask for: of PID 0 (ERAT), of the last address (store queue)."""
        if self.cpu.p9_tlbie_erat_bug:
            self._broadcast(asm, 0, text="ptesync; tlbie of PID 0: CPU_FTR_P9_TLBIE_ERAT_BUG")
        if self.cpu.p9_tlbie_stq_bug:
            self._broadcast(asm, 0, text="ptesync; tlbie again: CPU_FTR_P9_TLBIE_STQ_BUG")

    def _multicast(self, asm: Assembler, g: int, want: Want) -> None:
        """Write `_tlbiel_*_multicast()`: on_each_cpu_mask(mm_cpumask); an accelerator takes a tlbie besides."""
        passes = [want]
        if want.ranged and want.thp:  # 2M pages go in a round of their own, which drops the walk cache again
            passes = [attrs.evolve(want, thp=False), attrs.evolve(want, stride=o.PMD_STRIDES, thp=False)]
        for number, each in enumerate(passes):
            if number:
                asm.begin_flush(
                    g, ceiling=NO_LIMIT, stride=each.stride, tracked=False, one_size=True, text="2M pages"
                )
            scope = each.scope if each.ranged else _SCOPE[each.pid_ric]
            asm.target_mm_cpumask()
            with asm.if_targets():
                self._tlbiel(asm, each, o.PER_TARGET)
                asm.send(o.CALL_INVALIDATE, scope, text="IPI: tlbiel on each CPU in mm_cpumask")
            with asm.if_in_mm_cpumask():
                self._self(asm, each)
            asm.wait_for_answers()
            if self.cpu.coprocessors:
                self._begin(asm, g, each, NO_LIMIT if each.ranged else EVERYTHING, "the accelerator")
                self._tlbie(asm, g, each if each.ranged else attrs.evolve(each, pid_ric=2))

    def _hypercall(self, asm: Assembler, g: int, want: Want) -> None:
        """Write `pseries_rpt_invalidate()`: one H_RPT_INVALIDATE, whatever the length.

        For a range that flush_tlb_range() would flush by PID, the call does not include the page walk cache.
        """
        self._begin(asm, g, want, NO_LIMIT, "one hypercall")
        scope = want.scope if want.ranged else _SCOPE[want.pid_ric]
        if want.thp and want.walk:
            with asm.if_more_strides(g, self.own.page_ceiling) as long:
                self._ask(asm, o.SCOPE_LEAF)
                long.otherwise()
                self._ask(asm, scope)
        else:
            self._ask(asm, scope)

    def _ask(self, asm: Assembler, scope: int) -> None:
        asm.execute("h_rpt_invalidate")
        asm.target_every(text="all vCPUs, this one too")
        asm.send(o.CALL_HYPERCALL, scope, text="H_RPT_INVALIDATE")
        asm.wait_for_answers("the hypervisor has invalidated")

    # --- both

    def _begin(self, asm: Assembler, g: int, want: Want, ceiling: int, text: str) -> None:
        asm.begin_flush(
            g,
            ceiling=ceiling if want.ranged else EVERYTHING,
            stride=want.stride,
            tracked=False,
            one_size=want.stride != 0,
            pmd_too=want.thp,
            text=text,
        )

    def _by_length(
        self, asm: Assembler, want: Want, by_range: Callable[[], None], by_pid: Callable[[], None]
    ) -> None:
        """Write the flush of a range and, unless it has no limit, that of the PID for longer ones."""
        if not want.ranged:
            by_pid()
        elif not want.limited:
            by_range()
        else:
            with asm.if_ranged() as ranged:
                by_range()
                ranged.otherwise()
                by_pid()
