"""The scenarios of the seed feed: ten commits of mm/rmap.c's history, two of them merges.

8ce720d5bd91 itself is in `unshare`.
"""

from __future__ import annotations

from shootdown._scenarios.compound_head import COMPOUND_HEAD
from shootdown._scenarios.hole_punch import HOLE_PUNCH_FILL
from shootdown._scenarios.madv_free_dio import MADV_FREE_DIO
from shootdown._scenarios.merges import MERGES
from shootdown._scenarios.pmd_table_rmap import PMD_TABLE_RMAP

FEED = (MADV_FREE_DIO, HOLE_PUNCH_FILL, COMPOUND_HEAD, PMD_TABLE_RMAP, *MERGES)
