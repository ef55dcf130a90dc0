"""The scenarios of the seed feed: ten commits of mm/rmap.c's history, two of them merges.

8ce720d5bd91 itself is in `unshare`.
"""

from __future__ import annotations

from shootdown._scenarios.anon_vma_degree import ANON_VMA_DEGREE
from shootdown._scenarios.compound_head import COMPOUND_HEAD
from shootdown._scenarios.device_exclusive import DEVICE_EXCLUSIVE_HUGETLB
from shootdown._scenarios.hole_punch import HOLE_PUNCH_FILL
from shootdown._scenarios.madv_free_dio import MADV_FREE_DIO
from shootdown._scenarios.merges import MERGES
from shootdown._scenarios.pmd_table_rmap import PMD_TABLE_RMAP
from shootdown._scenarios.thp_munlock import THP_MUNLOCK

FEED = (
    MADV_FREE_DIO,
    ANON_VMA_DEGREE,
    HOLE_PUNCH_FILL,
    DEVICE_EXCLUSIVE_HUGETLB,
    THP_MUNLOCK,
    COMPOUND_HEAD,
    PMD_TABLE_RMAP,
    *MERGES,
)
