"""Where everything lies in the one array that holds the TLBs and walk caches of all CPUs.

All of a machine's caches are one array `words`; `plan` (made by `layout.plan_of`) says where everything is.
`tag` is `vm << asid_bits | asid`; addresses, keys, marks and tags are uint64, CPUs, shifts and offsets int64.
Nothing is validated here.

    words   [machine control][log][control of CPU 0][of CPU 1]...[caches of CPU 0][caches of CPU 1]...
    cache   [set 0][set 1]...
    set     [settled][key x ways][mark x ways][stamp x ways][data x ways]      32 + 8/ways bytes an entry
    key     page number << 6 | log2 of the page size; 0 is a free way
    mark    table << 24 | global << 23 | tag. `table` is the frame number of the page-table page that a TLB
            entry was read from, or that a walk-cache entry leads to: it is stale once that is unmapped
    stamp   LRU: time of the last use. tree-PLRU: the trees' nodes, and in word 0 the tree used last
    data    for the caller
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shootdown._compilation.kernels import inlined

# --- plan: rows of 16 words, named by their offsets: the header, the page-table levels, then one for each
# (cache, page size): L1's, L2's, the walk caches'.
STEP, LEVEL_ROW, FIRST_ROW = 16, 16, 32
L2_ROW, WALK_ROW, END_ROW, CONTROL, CONTROL_WORDS, ENTRIES, CPU_WORDS = 0, 1, 2, 3, 4, 5, 6
INCLUSION, CPUS, LEVELS, SLOT_MASK, SLOTS, VM_MASK, HAS_GLOBAL, LOG, LOG_LINES = (
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
)
LOG_STEP = 8  # words of an entry of the log: a `Scope`
SHIFT, BASE, SETS, SET_MASK, XOR, WAYS, POLICY, TREES, FIRST_OF_CACHE = 0, 1, 2, 3, 4, 5, 6, 7, 8
LRU, TREE_PLRU, RANDOM = 0, 1, 2
INCLUSIVE, EXCLUSIVE = 1, 2  # 0: levels that know nothing of each other

# --- control words, of the machine (at 0) and of each CPU
NOW = CLOCK = 0
LAST, LEAF_FLOOR, GLOBAL_FLOOR, WALK_FLOOR, SEED, REFERENCES = 1, 2, 3, 4, 5, 6
LOGGED = REPLAYED = 7  # entries of the log so far (machine), and how many of them were carried out (CPU)
LOG_START, BEHIND = (
    5,
    6,
)  # machine: the entry that is the log's first line, and CPUs that have some to carry out
ASID_FLOORS = 8  # machine: a pair (leaf, walk) for each tag
FILLED = 8  # CPU: 1 if anything was ever put into its caches
WALKS = 9  # CPU: walks by log2 of the page size, then hits by plan row, then floors (tag + 1, leaf, walk)
HITS = WALKS + 64

# --- what a scope drops (`Scope.what`)
LEAF, GLOBALS, WALK_PATH, WALK_ALL = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8)
LAZY_LEAF, LAZY_WALK = (
    np.uint64(16),
    np.uint64(32),
)  # every address of one tag or of all: expressed by a floor
LATER = np.uint64(64)  # the part that floors can't express is written to the log

ZERO, ONE, SIX = np.uint64(0), np.uint64(1), np.uint64(6)
SHIFT_MASK = np.uint64(63)
TAG_MASK = np.uint64((1 << 23) - 1)
GLOBAL_SHIFT, TABLE_SHIFT = np.uint64(23), np.uint64(24)
GLOBAL = ONE << GLOBAL_SHIFT
IDENTITY = TAG_MASK | GLOBAL
R13, R7, R17 = np.uint64(13), np.uint64(7), np.uint64(17)


class Scope(NamedTuple):
    """A `FlushScope` as kernels take it: seven uint64, made by `layout.scope_words`.

    `count` 0 is every address; an entry's tag matches where `mark & mask == tag`; `sizes` is the level hint,
    bit n for pages of 2**n bytes; `what` is made of the flags above. See `with_tag` for a tag that is known
    only at run time.
    """

    start: Any
    stride: Any
    count: Any
    tag: Any
    mask: Any
    sizes: Any
    what: Any


@inlined
def page_key(va: Any, shift: Any) -> Any:
    """Make the key of the page of `2**shift` bytes that holds an address."""
    s = np.uint64(shift)
    return ((va >> s) << SIX) | s


@inlined
def control_of(plan: Any, cpu: Any) -> Any:
    return plan[CONTROL] + cpu * plan[CONTROL_WORDS]


@inlined
def cache_of(plan: Any, cpu: Any, row: Any) -> Any:
    return plan[ENTRIES] + cpu * plan[CPU_WORDS] + plan[row + BASE]


@inlined
def set_of(plan: Any, cpu: Any, row: Any, page: Any) -> Any:
    index = page
    if plan[row + XOR] > 0:
        index ^= page >> np.uint64(plan[row + XOR])
    if plan[row + SET_MASK] >= 0:
        index &= np.uint64(plan[row + SET_MASK])
    else:
        index %= np.uint64(plan[row + SETS])
    return cache_of(plan, cpu, row) + np.int64(index) * (1 + 4 * plan[row + WAYS])


@inlined
def free(words: Any, at: Any, ways: Any, way: Any) -> None:
    words[at + 1 + way] = ZERO
    words[at + 1 + ways + way] = ZERO
    words[at + 1 + 3 * ways + way] = ZERO
