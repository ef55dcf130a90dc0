"""A geometry that no CPU can have is refused with one line that says what to do."""

import subprocess
import sys

import pytest

from shootdown._tlb import CacheGeometry, Tlb, TlbGeometry
from shootdown._values.errors import ShootdownError

K4, M2, G1 = 1 << 12, 1 << 21, 1 << 30


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"entries": 0, "ways": 1, "page_sizes": (K4,)}, "at least 1"),
        ({"entries": 64, "ways": 5, "page_sizes": (K4,)}, "5 ways do not divide 64 entries"),
        ({"entries": 64, "ways": 4, "page_sizes": ()}, "no page size"),
        ({"entries": 64, "ways": 4, "page_sizes": (5000,)}, "5000 is not a page size"),
        ({"entries": 64, "ways": 4, "page_sizes": (32,)}, "32 is not a page size"),
        ({"entries": 64, "ways": 4, "page_sizes": (K4, K4)}, "there twice"),
        ({"entries": 64, "ways": 4, "page_sizes": (K4,), "policy": "plru"}, "nearest: lru, tree-plru"),
        ({"entries": 64, "ways": 4, "page_sizes": (K4,), "index": "xor7"}, "needs 128 sets, there are 16"),
        ({"entries": 64, "ways": 4, "page_sizes": (K4,), "index": "hash"}, "'modulo' and 'xor7'"),
    ],
)
def test_an_impossible_cache_is_refused(arguments, says):
    with pytest.raises(ShootdownError, match=says) as error:
        CacheGeometry(**arguments)
    assert "\n" not in str(error.value)


L1 = CacheGeometry(64, 4, (K4, M2))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"l1": ()}, "no first level"),
        ({"l1": (L1, CacheGeometry(4, 4, (M2,)))}, "l1: page size 2097152 is there twice"),
        ({"l1": L1, "walk_caches": CacheGeometry(4, 4, (M2,))}, "levels is empty"),
        ({"l1": L1, "walk_caches": CacheGeometry(4, 4, (K4,)), "levels": (K4, M2)}, r"cover \(2097152,\)"),
        ({"l1": L1, "levels": (M2, K4)}, "give the leaf level first"),
        ({"l1": L1, "asid_bits": 20, "vm_bits": 4}, "0 to 23 bits in all"),
        ({"l1": L1, "inclusion": "exclusiv"}, "nearest: exclusive"),
        ({"l1": L1, "l2": CacheGeometry(8, 4, (K4,)), "inclusion": "inclusive"}, "L1's page size 2097152"),
        ({"l1": L1, "inclusion": "exclusive"}, "L1's page size 4096"),
    ],
)
def test_caches_that_contradict_one_another_are_refused(arguments, says):
    with pytest.raises(ShootdownError, match=says) as error:
        TlbGeometry(**arguments)
    assert "\n" not in str(error.value)


def test_skylakes_second_level_is_128_sets_of_three_trees_of_four():
    """published.csv A40."""
    stlb = CacheGeometry(1536, 12, (K4, M2), policy="tree-plru", index="xor7")
    assert (stlb.sets, stlb.trees, stlb.xor_bits) == (128, 3, 7)


def test_pages_that_differ_by_their_xor_share_a_set():
    """Page 0x81 has 1 in its low and 1 in its next seven bits: set 0."""
    tlb = Tlb(TlbGeometry(l1=CacheGeometry(1536, 12, (K4,), index="xor7")), 1)
    for page in (0x00, 0x81, 0x80, 0x4001):
        tlb.access(0, 0, page * K4, K4)
    assert {int(e["va"]) // K4: int(e["set"]) for e in tlb.entries(0)} == {0: 0, 0x81: 0, 0x80: 1, 0x4001: 1}


def test_an_entry_takes_at_most_40_bytes():
    for ways in (1, 2, 4, 12, 64):
        assert Tlb(TlbGeometry(l1=CacheGeometry(ways * 16, ways, (K4,))), 1).bytes_per_entry <= 40


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda tlb: tlb.access(4, 0, 0, K4), "CPU 4: this machine has 4; use 0 to 3"),
        (lambda tlb: tlb.access(0, 4096, 0, K4), "ASID 4096: .* use 0 to 4095"),
        (lambda tlb: tlb.access(0, 0, 0, K4, vm=1), "VM 1: .* use 0 to 0"),
        (lambda tlb: tlb.access(0, 0, 0, 3000), "page size 3000"),
        (lambda tlb: tlb.fill(0, 0, 0, K4, table=1 << 40), "40 bits"),
        (lambda tlb: tlb.count(-1), "CPU -1"),
        (lambda tlb: Tlb(tlb.geometry, 0), "at least 1"),
    ],
)
def test_an_argument_that_the_geometry_does_not_allow_is_refused(call, says):
    with pytest.raises(ShootdownError, match=says):
        call(Tlb(TlbGeometry(l1=L1), 4))


def test_geometries_and_scopes_are_built_without_numba():
    code = (
        "import sys\n"
        "from shootdown._tlb import CacheGeometry, FlushScope, TlbGeometry\n"
        "TlbGeometry(l1=CacheGeometry(64, 4, (4096,))), FlushScope()\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
