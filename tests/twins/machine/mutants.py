"""Core with one mistake in it, to see whether the twin notices: `python -m tests.twins.machine.mutants NAME TRIES`.

A mistake is a piece of source text and what stands in its place. It is put in while the module is imported, so
nothing is written, and kernels run as plain Python. Prints the first difference, or nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any, NamedTuple

#: For one try of a question, so many programs that are drawn.
DRAWN = 40


class Mutant(NamedTuple):
    """One mistake: in a module of core, a text that occurs once, what it becomes, and a question that shows it.

    The question is a workload, a scenario, or `drawn`: programs on a memory of atoms that are drawn.
    """

    module: str
    right: str
    wrong: str
    question: str
    arch: str
    platform: str
    kernel: str
    parameters: dict[str, Any]
    settings: tuple[str, ...] = ()
    cpus: int | None = 6


LAZY = {"threads": 3, "state": "lazy"}
SWITCHED = {"threads": 4, "state": "switched", "callers": 3, "times": 3}
THREADS = {"op": "mprotect_rw", "threads": 3, "times": 2}
AT_ONCE = {"op": "madv_dontneed", "kind": "isolated", "pages": 4, "threads": 5, "callers": 5}
TABLES = {"tables": 4, "covers": "private", "sharers": 4, "allocation_fails": True, "walkers": 1}
PREEMPTED = {"threads": 3, "preempted": 2}
ON_X86 = ("x86", "intel-server", "7.0", {})

MUTANTS = {
    "lazy CPUs are not left out": Mutant(
        "_machine.requests",
        "int64(S[out + w]) & ~int64(S[cpu_set(L, LAZY) + w])\n    elif op == o.TARGET_LOADED",
        "int64(S[out + w])\n    elif op == o.TARGET_LOADED",
        *("anonymous", "x86", "intel-server", "7.0", {"op": "mprotect_ro", **LAZY}),
    ),
    "a lazy CPU flushes and stays": Mutant(
        "_machine.flushes",
        "    if lazy:\n",
        "    if lazy and False:\n",
        *("anonymous", "x86", "intel-server", "7.0", LAZY),
    ),
    "the handler does not ask whether a flush is the newest": Mutant(
        "_machine.flushes",
        "    if newest:\n",
        "    if True:\n",
        *("anonymous", "x86", "intel-server", "7.0", AT_ONCE),
    ),
    "a CPU two generations behind flushes the range": Mutant(
        "_machine.flushes",
        "    far = behind & int64(S[mm_set(L, mm, FAR_BEHIND) + word])\n",
        "    far = behind & 0\n",
        *("anonymous", "x86", "intel-server", "7.0", AT_ONCE),
    ),
    "a CPU with another mm stays in mm_cpumask": Mutant(
        "_machine.flushes",
        "    if trim and gone:\n",
        "    if False and gone:\n",
        *("anonymous", "x86", "intel-server", "7.0", SWITCHED),
    ),
    "a switch leaves the old mm_cpumask alone": Mutant(
        "_machine.switching",
        "        if L.clear_on_switch:\n            take_out(S, mm_set(L, old - 1, MASK), L, cpu)",
        "        if False:\n            take_out(S, mm_set(L, old - 1, MASK), L, cpu)",
        *("anonymous", "x86", "intel-server", "6.1", SWITCHED),
    ),
    "a switch back to an mm misses its flushes": Mutant(
        "_machine.switching",
        "    if old == mm:\n        if looks and has(S, mm_set(L, mm - 1, BEHIND), L, cpu):",
        "    if old == mm:\n        if False:",
        *("anonymous", "x86", "intel-server", "7.0", {"op": "mprotect_rw", "kind": "thp", **SWITCHED}),
    ),
    "a switch from one thread to another looks at tlb_gen": Mutant(
        "_machine.switching",
        "    looks = L.lazy_tlb == 0 or has(",
        "    looks = True or has(",
        *("anonymous", "x86", "hyper-v-guest", "6.4", {"processes": 2, "callers": 4, **THREADS}),
    ),
    "rights that change take a zone's lock": Mutant(
        "_timed.charges",
        "np.isin(cost_of, (SMALL_FAULT, ZAP)) & (table[:, 1] == 0)",
        "np.isin(cost_of, (SMALL_FAULT, ZAP))",
        *("anonymous", "x86", "intel-server", "7.0", {**AT_ONCE, "op": "mprotect_ro", "pages": 512}),
    ),
    "what programs compute is no time in user mode": Mutant(
        "_timed.scheduler",
        "                    Q[B.o_misc + k.USER_TIME] += time\n",
        "                    pass\n",
        *("fork-storm", "x86", "intel-server", "7.0", {"children": 3, "gib": 1}),
    ),
    "a reset gather keeps freed_tables": Mutant(
        "_machine.gathers",
        "~(o.FREED_TABLES | o.UNSHARED_TABLES | o.RANGE)",
        "~(o.UNSHARED_TABLES | o.RANGE)",
        *("hugetlb-munmap", "arm64", "cortex-a78", "6.17", TABLES),
    ),
    "a nested gather does not set freed_tables": Mutant(
        "_machine.gathers",
        "| o.FULLMM | o.FREED_TABLES | o.RANGE",
        "| o.FULLMM | o.RANGE",
        *("nested-flush", "x86", "intel-server", "7.0", {}),
    ),
    "a gather's range shrinks": Mutant(
        "_machine.gathers",
        "hi = max(hi, int64(S[gather + G_HI]))",
        "hi = min(hi, int64(S[gather + G_HI]))",
        *("hugetlb-munmap", "arm64", "cortex-a78", "6.17", TABLES),
    ),
    "strides are not rounded outwards": Mutant(
        "_machine.requests",
        "        elif d & o.ROUNDED:\n",
        "        elif False:\n",
        *("hugetlb-munmap", "arm64", "neoverse-n1", "7.0", {"tables": 3}),
    ),
    "the last process's table counts as shared": Mutant(
        "_machine.tables",
        "        if left == 1:",
        "        if left == 0:",
        *("hugetlb-munmap", "x86", "intel-server", "7.0", {}),
    ),
    "interrupts are taken while they are off": Mutant(
        "_machine.flushes",
        "pending & ~int64(S[cpu_set(L, IRQ_OFF) + word]) &",
        "pending &",
        *("unshare-gup", "x86", "intel-server", "7.0", {}),
    ),
    "a preempted vCPU is not asked to flush": Mutant(
        "_machine.requests",
        "                S[at] = int64(S[at]) | off\n",
        "",
        *("hugetlb-exit", "x86", "kvm-guest", "7.0", PREEMPTED),
    ),
    "a vCPU enters the guest without flushing": Mutant(
        "_machine.switching",
        "            drop_translations(S, L, mm, word, bit, o.SCOPE_BOTH)\n",
        "            drop_translations(S, L, mm, word, bit, 0)\n",
        *("hugetlb-exit", "x86", "kvm-guest", "7.0", PREEMPTED),
    ),
    "a fence does not wait for the store buffer": Mutant(
        "_machine.variables",
        "        if not drained(S, L, cpu):\n",
        "        if not drained(S, L, cpu) and op != o.FENCE:\n",
        *("madv-free-dio", "arm64", "neoverse-v2", "7.0", {}),
    ),
    "a lock has two writers": Mutant(
        "_machine.locks",
        "return bool(int64(S[k + K_WRITER]) != 0 or",
        "return bool(False or",
        *("unshare-gup", "x86", "intel-server", "7.0", {}),
    ),
    "an interrupt takes no time from its target": Mutant(
        "_timed.handlers",
        "    Q[B.o_owed + cpu] += handler\n    Q[B.o_hit",
        "    Q[B.o_hit",
        *("anonymous", "x86", "intel-server", "7.0", AT_ONCE),
    ),
    "a sync that a flush made needless counts as needed": Mutant(
        "_timed.interrupts",
        "            rest &= ~Q[B.o_section_flushed + section * L.words + w]\n",
        "            pass\n",
        *("hugetlb-munmap", "x86", "intel-server", "7.0", {"threads": 3}),
    ),
    "a freed frame's translations are not marked dead": Mutant(
        "_machine.holding",
        "            S[L.o_held + i] = (held & ~both) | dead_translation(L)\n",
        "            S[L.o_held + i] = held & ~both\n",
        *("drawn", *ON_X86),
    ),
    "what is read of a freed frame is not dead": Mutant(
        "_machine.holding",
        "        if more & free:\n",
        "        if False:\n",
        *("drawn", *ON_X86),
    ),
    "a link to a freed table that is read is not dead": Mutant(
        "_machine.holding",
        "    gone = used == o.TABLE_FREED or",
        "    gone = False and",
        *("drawn", *ON_X86),
    ),
    "a right that is gone marks nothing dead": Mutant(
        "_machine.holding",
        "            S[at] = (held & ~both) | dead_translation(L)\n",
        "            S[at] = held & ~both\n",
        *("nested-flush", *ON_X86, ("scenario.fix=false",)),
    ),
    "a right to write takes the right to read along": Mutant(
        "_machine.holding",
        "both = frames << L.frames if writes else frames",
        "both = frames << L.frames if False else frames",
        *("drawn", *ON_X86),
    ),
    "links to a freed table are not marked dead": Mutant(
        "_machine.holding",
        "S[at] = (held & ~(int64(1) << (table - 1))) | dead_link(L)",
        "S[at] = held & ~(int64(1) << (table - 1))",
        *("drawn", *ON_X86),
    ),
    "a table's new owner is not spared": Mutant(
        "_machine.holding",
        "            if mm != owner and (held",
        "            if (held",
        *("drawn", *ON_X86),
    ),
    "a flush spares one page more": Mutant(
        "_machine.ranges",
        "    return at < hi and at < end\n",
        "    return at < hi - 1 and at < end\n",
        *("mremap-stale", *ON_X86),
    ),
    "a flush drops what lies between its addresses": Mutant(
        "_machine.ranges",
        "at = lo + (((first - lo + (int64(1) << shift) - 1) >> shift) << shift)",
        "at = first",
        *("drawn", *ON_X86),
    ),
    "a flush of one page size drops another's": Mutant(
        "_machine.ranges",
        "    if how & o.ONE_SIZE and end - first < MOST_PAGES:\n",
        "    if False:\n",
        *("drawn", *ON_X86),
    ),
    "a flush leaves links alone": Mutant(
        "_machine.holding",
        "L.slots if scope & o.SCOPE_WALK else 0",
        "0",
        *("unshare-walk-cache", *ON_X86),
    ),
    "a flush of addresses drops all links": Mutant(
        "_machine.holding",
        "            if scope & o.SCOPE_AT_VA == 0 or invalidates(",
        "            if True or invalidates(",
        *("drawn", *ON_X86),
    ),
    "a flush does not wait for the store buffer": Mutant(
        "_machine.requests",
        "        if L.memory and not drained(S, L, cpu):\n            return int64(o.BLOCKED_BUFFER), nxt\n        g =",
        "        g =",
        *("drawn", *ON_X86),
    ),
    "a drain of a PUD store makes nothing stale": Mutant(
        "_machine.agents",
        "        make_stale(S, L, link // L.slots)\n",
        "        pass\n",
        *("drawn", *ON_X86),
    ),
    "a drain of a PUD store is lost": Mutant(
        "_machine.agents",
        "    S[L.o_variable + variable - 1] = S[row + which * STORE_CELLS + 1]\n",
        "    if variable <= L.variables:\n        S[L.o_variable + variable - 1] = S[row + which * STORE_CELLS + 1]\n",
        *("drawn", *ON_X86),
    ),
    "a CPU reads links past its own stores": Mutant(
        "_machine.tables",
        "S[regs + a] = load(S, L, cpu, link_number(",
        "S[regs + a] = load(S, L, (cpu + 1) % L.cpus, link_number(",
        *("drawn", *ON_X86),
    ),
    "a preempted vCPU's walker reads on": Mutant(
        "_machine.holding",
        "    if mm < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):\n        return False\n    slot",
        "    if mm < 0:\n        return False\n    slot",
        *("drawn", "x86", "kvm-guest", "7.0", {}),
    ),
    "a translation that is not dirty lets stores through": Mutant(
        "_machine.holding",
        "    if value & o.ENTRY_WRITABLE and value & o.ENTRY_DIRTY:\n",
        "    if value & o.ENTRY_WRITABLE:\n",
        *("drawn", *ON_X86),
    ),
    "who may still reach a page by a held translation is not noted": Mutant(
        "_machine.holding",
        "        found = found | int64(S[held_at(L, cpu, mm, atom)])\n",
        "        pass\n",
        *("drawn", *ON_X86),
    ),
    "a dead link is not looked for": Mutant(
        "_machine.holding",
        "                return int64(DEAD_LINK)\n",
        "                pass\n",
        *("drawn", *ON_X86),
    ),
    "a dead translation is used in the kernel": Mutant(
        "_machine.holding",
        "        if has(S, cpu_set(L, USER), L, cpu) and not has(",
        "        if not has(",
        *("drawn", *ON_X86),
    ),
}


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"shootdown.{self.mutant.module}":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_loader(
            fullname, _Loader(fullname, spec.origin, self.mutant), origin=spec.origin
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname)
        assert source.count(self.mutant.right) == 1, f"not once in {self.path}: {self.mutant.right!r}"
        changed = source.replace(self.mutant.right, self.mutant.wrong)
        return compile(changed, self.path, "exec", dont_inherit=True)


def first_difference(mutant: Mutant, tries: int) -> str:
    """Ask a mutant's question so many times, with other costs, moves or programs, until the answers differ."""
    from tests.twins.machine import cases

    installed = cases.registry()
    scenarios = installed.scenarios()
    drawn = mutant.question == "drawn"
    question = cases.Question(
        {**installed.workloads(), **scenarios}["nested-flush" if drawn else mutant.question],
        installed.architecture(mutant.arch),
        installed.platform(mutant.arch, mutant.platform),
        mutant.kernel,
        mutant.parameters,
        mutant.settings,
        None if drawn or mutant.question in scenarios else mutant.cpus,
    )
    case = cases.prepare(question)
    # A program that is drawn is another each time, and small.
    for number in range(tries * DRAWN if drawn else tries):
        draw = random.Random(number)
        if drawn:
            problem = cases.drawn_steps(draw, case.setup())
            found = cases.compare_walk(problem, draw, 60)
        else:
            found = cases.answer_twice(case, draw, cases.Tally(), most=100, length=150)
        assert found is not None, cases.said(case)
        if found:
            return found[0]
    return ""


def main(name: str, tries: int) -> None:
    """Put a mistake into core, and print the first difference in so many tries."""
    os.environ["SHOOTDOWN_COMPILE"] = "never"
    sys.meta_path.insert(0, _Finder(MUTANTS[name]))
    print(first_difference(MUTANTS[name], tries), end="", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
