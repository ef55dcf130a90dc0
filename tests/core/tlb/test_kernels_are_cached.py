"""A second process compiles nothing and writes nothing."""

import os
import subprocess
import sys

USE_A_TLB = """
from shootdown._tlb import CacheGeometry, FlushScope, Tlb, TlbGeometry
from shootdown._tlb import kernels
tlb = Tlb(TlbGeometry(l1=CacheGeometry(64, 4, (4096,)), l2=CacheGeometry(64, 4, (4096,))), 1)
tlb.lookup(0, 1, 0)
tlb.flush(0, FlushScope(start=0, asid=1))
stats = kernels.on_lookup.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_the_second_process_finds_every_kernel_on_disk(tmp_path):
    def run():
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", USE_A_TLB], env=environment, check=True, capture_output=True, text=True
        )
        files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
        return done.stdout.split(), files

    first, written = run()
    second, left = run()
    assert (first, second) == (["0", "1"], ["1", "0"])
    assert written
    assert left == written
