"""A slow, obvious simulation of a trace: one record after another on the slow, obvious TLB."""

from __future__ import annotations

from collections import Counter

from twins.tlb import TwinTlb

from shootdown._tlb import FlushScope

FLUSHES = {1: "pages", 2: "process", 3: "all"}


class TwinTrace:
    """Records are tuples (kind, cpu, process, address, page size, pages)."""

    def __init__(self, geometry, cpus, seed=0):
        self.geometry = geometry
        self.tlb = TwinTlb(geometry, cpus, seed)
        self.tagged = geometry.asid_bits > 0
        self.runs = {}
        self.of_cpus, self.of_processes = {}, {}

    def tally(self, what, cpu, process, n=1):
        self.of_cpus.setdefault(cpu, Counter())[what] += n
        self.of_processes.setdefault(process, Counter())[what] += n

    def take(self, records):
        for kind, cpu, process, address, size, pages in records:
            tag = process if self.tagged else 0
            if kind == 0:
                if not self.tagged and self.runs.get(cpu, process) != process:
                    self.tlb.flush([cpu], FlushScope(asid=0))
                self.runs[cpu] = process
                level, references = self.tlb.access(cpu, tag, address, size)
                self.tally({"l1": "l1_hits", "l2": "l2_hits", "walk": "walks"}[level], cpu, process)
                self.tally("walk_references", cpu, process, references)
                continue
            everywhere, what = kind > 16, FLUSHES[kind % 16]
            self.tally("shootdowns" if everywhere else "flushes", cpu, process)
            self.of_cpus.setdefault(cpu, Counter())
            if what == "pages":
                start = address // size * size
                count = min(max(pages, 1), (2**64 - 1 - start) // size + 1)
                scope = FlushScope(
                    start=start, count=count, stride=size, asid=tag, walk_cache="leading-to-va"
                )
            elif what == "process":
                scope = FlushScope(asid=tag)
            else:
                scope = FlushScope(vm=None, global_entries=True)
            for other in sorted(self.of_cpus) if everywhere else [cpu]:
                runs = self.runs.get(other) == process
                if everywhere and other != cpu and (runs or (what == "all" and other in self.runs)):
                    self.of_cpus[other]["interrupts"] += 1
                    self.of_processes[process]["interrupts"] += 1
                if self.tagged or what == "all" or runs:
                    self.tlb.flush([other], scope)
