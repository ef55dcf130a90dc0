"""Other kernels use the TLB kernels on the same flat arrays."""

import numpy as np

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import kernel
from shootdown._compilation.running import runnable
from shootdown._tlb import CacheGeometry, FlushScope, Tlb, TlbGeometry
from shootdown._tlb.flushing import flush, with_tag
from shootdown._tlb.state import scope_words

GEOMETRY = TlbGeometry(l1=CacheGeometry(64, 4, (4096,)))


@kernel
def flush_each_cpus_own_asid(words, plan, scope, tags):
    w, p = raw(words), raw(plan)
    for cpu in range(len(tags)):
        flush(w, p, cpu, with_tag(scope, tags[cpu]))


def test_a_kernel_flushes_on_each_cpu_the_asid_that_the_mm_has_there():
    tlb = Tlb(GEOMETRY, 3)
    for cpu in range(3):
        for asid in range(3):
            tlb.access(cpu, asid, 0x5000, 4096)
    scope = scope_words(GEOMETRY, FlushScope(asid=0))
    runnable(flush_each_cpus_own_asid)(tlb.words, tlb.plan, scope, np.array([2, 0, 1], np.uint64))
    assert [tlb.entries(cpu)["asid"].tolist() for cpu in range(3)] == [[0, 1], [1, 2], [0, 2]]
