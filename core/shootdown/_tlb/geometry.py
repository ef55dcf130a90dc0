"""The geometry of a CPU's translation caches: frozen, validated values without state."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, Literal

import attrs

from shootdown._values.checked import checked
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.sites import mistake

Policy = Literal["lru", "tree-plru", "random"]
Inclusion = Literal["independent", "inclusive", "exclusive"]

POLICIES: tuple[Policy, ...] = ("lru", "tree-plru", "random")
INCLUSIONS: tuple[Inclusion, ...] = ("independent", "inclusive", "exclusive")

# An entry's key keeps log2 of its page size in 6 bits beside the page number (kernels.py): 64 bits hold both
# only from 64-byte pages on. The tag keeps 23 bits beside the global bit and a 40-bit frame number.
SMALLEST_SHIFT = 6
#: More entries than any cache has, and than there is room for on each of many CPUs.
MOST_ENTRIES = 1 << 24
TAG_BITS = 23


def shift_of(size: int) -> int:
    """Return log2 of a page size in bytes."""
    return size.bit_length() - 1


def _refuse(what: str, there_is: str, todo: str) -> ShootdownError:
    return mistake(f"{what}: {there_is}; {todo}")


def _check_sizes(owner: str, sizes: Iterable[int]) -> None:
    seen: set[int] = set()
    for size in sizes:
        if size < 1 << SMALLEST_SHIFT or size & (size - 1) or size > 1 << 62:
            raise _refuse(owner, f"{size} is not a page size", "give a power of two from 64 to 2**62 bytes")
        if size in seen:
            raise _refuse(owner, f"page size {size} is there twice", "name each size once")
        seen.add(size)


def _tuple(sizes: Iterable[int]) -> Any:
    """Return sizes as a tuple of plain integers; what can't be one as it is, for the field's check."""
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        return sizes
    return tuple(int(size) if isinstance(size, Integral) else size for size in sizes)


@attrs.frozen(field_transformer=checked)
class CacheGeometry:
    """The geometry of one set-associative cache of translations.

    Args:
        entries: how many translations it holds.
        ways: entries in a set; `ways == entries` is a fully associative cache.
        page_sizes: bytes translated by an entry. In a paging-structure cache: bytes that the cached table
            entry covers (2 MiB for an x86-64 PDE), so that one rule says which addresses an entry leads to.
        policy: which entry of a full set is replaced. `"lru"`; `"tree-plru"`; `"random"`. With ways = trees * 2^k,
            trees odd and above 1, `"tree-plru"` is one tree for each 2^k ways and the victim comes from the
            tree after the one used last: the (MRU+1)%3PLRU4 of Skylake's 12-way sTLB (TLB;DR, USENIX Security
            2022, sample output of its tool). A free way is always taken first, the lowest one.
        index: `"modulo"`: the set is the page number modulo the sets; `"xor7"`: the low 7 bits of the page
            number XOR the next 7, for 128 sets (likewise `"xor8"` for 256: TLBleed, USENIX Security 2018).

    Raises:
        ShootdownError: a geometry that no cache can have.
    """

    entries: int
    ways: int
    page_sizes: tuple[int, ...] = attrs.field(converter=_tuple)
    policy: Policy = "lru"
    index: str = "modulo"

    def __attrs_post_init__(self) -> None:
        name = f"cache of {self.entries} entries, {self.ways} ways"
        if self.entries < 1 or self.ways < 1:
            raise _refuse(name, "both must be at least 1", "leave the cache out if the CPU has none")
        if self.entries > MOST_ENTRIES:
            raise _refuse(name, f"it has more than {MOST_ENTRIES:,} entries", "give fewer")
        if self.entries % self.ways:
            raise _refuse(
                name, f"{self.ways} ways do not divide {self.entries} entries", "entries = sets * ways"
            )
        if not self.page_sizes:
            raise _refuse(name, "it holds no page size", "name at least one in page_sizes")
        _check_sizes(name, self.page_sizes)
        if self.policy not in POLICIES:
            raise _refuse(name, f"no policy is called {self.policy!r}", nearest(self.policy, POLICIES))
        bits = self.xor_bits
        if bits and self.sets != 1 << bits:
            raise _refuse(
                name, f"index {self.index!r} needs {1 << bits} sets, there are {self.sets}", "use 'modulo'"
            )

    @property
    def sets(self) -> int:
        """Return the number of sets."""
        return self.entries // self.ways

    @property
    def trees(self) -> int:
        """Return the number of PLRU trees in a set: the odd factor of the ways."""
        return self.ways // (self.ways & -self.ways)

    @property
    def xor_bits(self) -> int:
        """Return how many bits of the page number are folded onto the low ones; 0 for a plain modulo.

        Raises:
            ShootdownError: an index that is neither `"modulo"` nor `"xor"` and a number.
        """
        if self.index == "modulo":
            return 0
        digits = self.index.removeprefix("xor")
        if digits != self.index and digits.isdecimal() and 1 <= int(digits) <= 20:
            return int(digits)
        raise _refuse(
            f"set index {self.index!r}",
            "there is 'modulo' and 'xor7' (any number from 1 to 20)",
            "use one of them",
        )


def _caches(caches: CacheGeometry | Iterable[CacheGeometry]) -> Any:
    if isinstance(caches, CacheGeometry):
        return (caches,)
    return tuple(caches) if isinstance(caches, Iterable) else caches


@attrs.frozen(kw_only=True, field_transformer=checked)
class TlbGeometry:
    """The geometry of one CPU's translation caches.

    A level may be several caches, each for its own page sizes (Intel's L1 data TLBs), or one for all (Zen's).
    A page size that no cache of a level holds is not cached there. Instruction TLBs are a `Tlb` of their own.

    Args:
        l1: the first level: a cache, or one for each group of page sizes.
        l2: the second level; empty for none.
        walk_caches: paging-structure caches; `page_sizes` are what their entries cover. Empty for none.
        levels: bytes covered by one entry at each level of the page table, leaf level first (4 KiB, 2 MiB,
            1 GiB, 512 GiB on x86-64). Needed where walks are simulated rather than done; empty counts each
            walk as one memory reference.
        asid_bits: bits of the ASID or PCID that tags an entry.
        vm_bits: bits of the VMID, VPID or AMD ASID beside it; tag 0 is the host.
        global_entries: whether an entry may match every ASID (x86 CR4.PGE, arm64 nG=0).
        inclusion: `"independent"`: a walk fills both levels and neither follows the other's evictions;
            `"inclusive"`: what leaves L2 leaves L1; `"exclusive"`: L2 holds what L1 evicted.
        pages_in_pairs: an entry of any size translates an even page and the odd one after it (LoongArch, MIPS): a
            miss fills both, and a flush of either drops both. `page_sizes` and `levels` are those of one page.
        source: where the sizes and `asid_bits` are from; `estimate: ...` if nothing was published.

    Raises:
        ShootdownError: caches that contradict one another.
    """

    l1: tuple[CacheGeometry, ...] = attrs.field(converter=_caches)
    l2: tuple[CacheGeometry, ...] = attrs.field(default=(), converter=_caches)
    walk_caches: tuple[CacheGeometry, ...] = attrs.field(default=(), converter=_caches)
    levels: tuple[int, ...] = attrs.field(default=(), converter=_tuple)
    asid_bits: int = 12
    vm_bits: int = 0
    global_entries: bool = True
    inclusion: Inclusion = "independent"
    pages_in_pairs: bool = False
    source: str = attrs.field(default="", eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.l1:
            raise _refuse("TLB geometry", "it has no first level", "give l1 at least one cache")
        for name, caches in (("l1", self.l1), ("l2", self.l2), ("walk_caches", self.walk_caches)):
            _check_sizes(name, (size for cache in caches for size in cache.page_sizes))
        _check_sizes("levels", self.levels)
        if list(self.levels) != sorted(self.levels):
            raise _refuse(f"levels {self.levels}", "they do not ascend", "give the leaf level first")
        above_leaf = self.levels[1:]
        for size in (size for cache in self.walk_caches for size in cache.page_sizes):
            if size not in above_leaf:
                raise _refuse(
                    f"walk cache for entries that cover {size} bytes",
                    f"the levels above the leaf cover {above_leaf or 'nothing: levels is empty'}",
                    "name the page table's levels, or drop the cache",
                )
        if min(self.asid_bits, self.vm_bits) < 0 or self.asid_bits + self.vm_bits > TAG_BITS:
            raise _refuse(
                f"asid_bits {self.asid_bits} and vm_bits {self.vm_bits}",
                f"a tag has 0 to {TAG_BITS} bits in all",
                "use fewer",
            )
        if self.pages_in_pairs and self.walk_caches:
            raise _refuse(
                "TLB of pairs of pages",
                f"it has {len(self.walk_caches)} walk caches",
                "leave them out: such TLBs are filled by software, or by walkers that begin at the root",
            )
        self._check_inclusion()

    def _check_inclusion(self) -> None:
        if self.inclusion not in INCLUSIONS:
            raise _refuse(
                "TLB geometry",
                f"no inclusion is called {self.inclusion!r}",
                nearest(self.inclusion, INCLUSIONS),
            )
        if self.inclusion == "independent":
            return
        held = {size for cache in self.l2 for size in cache.page_sizes}
        for size in (size for cache in self.l1 for size in cache.page_sizes):
            if size not in held:
                raise _refuse(
                    f"{self.inclusion} L2", f"it does not hold L1's page size {size}", "add it to an l2 cache"
                )

    @property
    def pair_bits(self) -> int:
        """Return log2 of the pages that an entry translates: 1 for pairs, else 0."""
        return int(self.pages_in_pairs)

    @property
    def entries(self) -> int:
        """Return the entries of all caches of one CPU."""
        return sum(cache.entries for cache in (*self.l1, *self.l2, *self.walk_caches))
