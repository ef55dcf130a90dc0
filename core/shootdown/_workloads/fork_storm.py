"""The workload of the bug report: a parent maps hugetlb memory and forks children that read a few pages each and exit.

lore 4d3878531c76479d9f8ca9789dc6485d@amazon.de: 1000 children over 1200 GiB on 196 CPUs, 2.475 s without
1013af4f585f and 11.275 s with it.
"""

from __future__ import annotations

from shootdown._machine.machine import Machine
from shootdown._machine.repeating import repeated
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload

_HUGE_PAGES_PER_GIB = 512


def glibc_rand(seed: int, count: int) -> list[int]:
    """Return the first values of glibc's `rand()`.

    The additive feedback generator of degree 31 (stdlib/random_r.c, TYPE_3), described for instance in
    P. Selinger, "The GLIBC random number generator", 2007.

    Args:
        seed: the argument of `srand`; 1 if it is never called.
        count: the number of values.
    """
    state = [seed]
    for i in range(1, 31):
        state.append(16807 * state[i - 1] % 2147483647)
    for i in range(31, 34):
        state.append(state[i - 31])
    for i in range(34, 344 + count):
        state.append((state[i - 31] + state[i - 3]) & 0xFFFFFFFF)
    return [value >> 1 for value in state[344:]]


def tables_read(gib: int, pages: int) -> tuple[int, ...]:
    """Return the PMD tables that a child reads through, in the order of its first access to each.

    Args:
        gib: size of the mapping in GiB, one table for each.
        pages: the number of reads at `rand() % (number of huge pages)`.
    """
    pages_mapped = gib * _HUGE_PAGES_PER_GIB
    reads = glibc_rand(1, pages)
    return tuple(dict.fromkeys(value % pages_mapped // _HUGE_PAGES_PER_GIB for value in reads))


def _build(setting: Setup) -> Machine:
    children = setting["children"]
    order = tables_read(setting["gib"], setting["pages"])
    mapping = Mapping(used=tuple(sorted(order)), order=order, pages=1, span=setting["gib"])
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=children + 1, slots=setting["gib"])
    model.hugetlb.visits = True
    parent = model.task(mm=0, cpu=0, ready=True)
    forked = [model.task(mm=1 + i, cpu=None) for i in range(children)]
    gone = model.event()
    model.starts(*forked)
    model.hugetlb.touch(mapping)
    model.calls.exit((mapping,))
    model.signal(gone)
    model.asm.halt()
    model.starts(parent)

    def fork(i: int) -> None:
        model.calls.fork(forked[i], 1 + i, 0, (mapping,), populated=False)

    repeated(model.asm, children, fork)
    model.wait(gone, children)
    model.asm.halt()
    return model.build(pages_per_table=1)


FORK_STORM = Workload(
    name="fork-storm",
    summary="a parent maps hugetlb memory and forks single-threaded children that read 100 pages and exit",
    parameters=(
        Parameter(
            "children",
            1000,
            "how many children are forked, without waiting for any",
            minimum=1,
            maximum=100_000,
        ),
        Parameter(
            "gib", 1200, "GiB that the parent maps, shared, and never touches", minimum=1, maximum=262144
        ),
        Parameter("pages", 100, "pages that each child reads, at rand() of seed 1", minimum=0, maximum=10**6),
    ),
    build=_build,
    shares_tables=True,
    small={"children": 4, "gib": 16, "pages": 8},
)
