"""An architecture, as a plugin describes it. The docstring of `Architecture` is the porting guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from shootdown._values.checked import UNCHECKED, checked
from shootdown._values.dump import DumpRoots
from shootdown._values.emulation import Emulation
from shootdown._values.expected import Expected
from shootdown._values.flushes import AUTO, UNLISTED_PREEMPTING_HOSTS, UNLISTED_WAYS, FlushWay
from shootdown._values.kernel import Kernel, NoSwitches
from shootdown._values.lowering import Lowering
from shootdown._values.platform import Platform
from shootdown._values.recorded import Recorded

#: The version of the plugin interface that this shootdown implements.
API = 1


@attrs.frozen(kw_only=True, field_transformer=checked)
class Architecture:
    """Everything that an architecture's plugin defines: the porting guide, in stages.

    A plugin imports public modules only (`docs/reference/public.md`). Each stage below works without the next one.
    `docs/examples/vax` is an architecture in 60 lines, `plugins/shootdown-riscv` has all stages;
    `docs/reference/plugins.md` says how a distribution is found.

    Stage 1, page tables: `formats`, of `shootdown.formats.Format`. `shootdown walk` and `shootdown list formats` work.
    Compare `Walker` with a slow walk of your own, written from the manual.

    Stage 2, kernels: `switches` (a frozen attrs class of `switch()` fields that only this architecture has; one that
    repeats a name of `Kernel`, such as `va_bits`, gives it other choices), `changes` (the commits that moved switches
    of either class, with the first release by series; what held before v5.10 is a `Change` with `mainline="5.10"`) and
    `configure` (values that follow from the configuration: `rcu_table_free`, `pmd_sharing`, `gup_fast`... are True by
    default). `shootdown list kernels`, `shootdown.kernel()` and `--kernel` work.

    Stage 3, platforms: `platforms`, with costs, each with its source, a `TlbGeometry`, and in `arch` a frozen attrs
    class of `switch()` fields that only this architecture's platforms have. `walk_entries` and `huge_entries` are
    counts of that geometry. `--platform` and `--set platform.FIELD=` work.

    Stage 4, flushes: `lower(kernel, platform)` returns a `Lowering`, which writes the steps of each kind of flush.
    `compare`, `explain`, `targets` and `validate` work. `flush_ways` lists the ways that `--set platform.flush=` can
    force, with what they need.

    Args:
        api: the plugin interface that the plugin was written for: 1.
        name: as typed after `--arch`, such as `x86`.
        summary: one line.
        aliases: other names of it in data (`amd64`).
        aliases_imply: by alias, the kernel's switches that it sets (`i386`: `va_bits` 32).
        formats: page-table formats.
        switches: attrs class of this architecture's kernel switches.
        changes: commits that moved switches.
        configure: derives values that follow from others (called after the changes, before what-ifs).
        platforms: the machines that kernels run on; the first is the default, and native.
        lower: returns the `Lowering` of a kernel on a platform.
        measured: how rows measured on its real kernels map to the model, for `shootdown validate`.
        emulation: how its kernels are booted under an emulator, for `shootdown measure`.
        dump_roots: how roots of page tables are found in memory images, for `shootdown walk`.
        recorded: what its kernels write into traces, counters and logs, for `shootdown read`.
        cpuinfo: regular expressions that are searched in /proc/cpuinfo, each with the platform that such a machine is
            like; the first that is found counts. `--here` uses it.
        contradictions: settings that cannot hold together; see `shootdown.porting.Contradiction`.
        memory_model: the order in which other CPUs see a CPU's stores: at once (`sc`), later in program order (`tso`),
            or later in any order, with loads out of order too (`weak`). `shootdown explore` needs it.
        pte_clear: whether clearing a page-table entry is a fully ordered exchange (`xchg`) or orders nothing (`store`).
        pte_clear_atomic: clearing reads and clears the entry in one access, ordered or not.
        flush_ways: the ways of flushing that `--set platform.flush=NAME` forces; `lower` knows them by name.
        preempting_hosts: hypervisors that may preempt any vCPU of their guests at any moment, unless a way of flushing
            is forced that needs no such host.
        instructions: the instructions that its flushes count, by the names that results show: where the manual has
            each.
        expected: defects of its real kernels and machines that `shootdown check` finds; see `Expected`.
        called: the alias that the user typed, set by the registry if `aliases_imply` has it.
        first: the first release series that has the architecture, such as `5.19`; empty where 5.10 has it. A row of an
            earlier kernel says so, and neither `configure` nor `lower` is called for it.
    """

    api: int = attrs.field(metadata={UNCHECKED: True})  # another one makes a plugin outdated, not broken
    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    aliases_imply: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, hash=False)
    formats: tuple[Any, ...] = ()
    switches: type[Any] = NoSwitches
    changes: tuple[Any, ...] = ()
    configure: Callable[[Kernel], Kernel] | None = None
    platforms: tuple[Platform, ...] = ()
    lower: Callable[[Kernel, Platform], Lowering] | None = None
    measured: Any = None
    emulation: Emulation | None = None
    dump_roots: DumpRoots | None = None
    recorded: Recorded = Recorded()
    cpuinfo: tuple[tuple[str, str], ...] = ()
    contradictions: tuple[Any, ...] = ()
    memory_model: Literal["sc", "tso", "weak"] = "weak"
    pte_clear: Literal["store", "xchg"] = "store"
    pte_clear_atomic: bool = True
    flush_ways: tuple[FlushWay, ...] = UNLISTED_WAYS
    preempting_hosts: tuple[str, ...] = UNLISTED_PREEMPTING_HOSTS
    instructions: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    expected: tuple[Expected, ...] = ()
    called: str = ""
    first: str = ""

    @property
    def implied(self) -> Mapping[str, Any]:
        """The switches that the alias which the user typed sets."""
        return self.aliases_imply.get(self.called, {})

    def preempts(self, platform: Platform) -> bool:
        """Whether any vCPU of one of its platforms may be preempted at any moment."""
        if platform.flush == AUTO:
            return platform.hypervisor in self.preempting_hosts
        return any(way.preempts for way in self.flush_ways if way.name == platform.flush)
