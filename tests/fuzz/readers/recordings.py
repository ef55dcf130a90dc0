"""Recordings of real machines: traces, counters, logs; damaged, mixed, packed."""

# Lines of recordings are as long as tracers and kernels write them.
# ruff: noqa: E501

from __future__ import annotations

import contextlib
import gzip
import json
import random
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
from fuzz.mutations import damaged
from fuzz.readers.reader import Reader, Use, written

from shootdown._programs.reading import read_values
from shootdown._questions.read import known
from shootdown._questions.replay_plan import plan
from shootdown._records.recording import looks_like, read
from shootdown._report.recorded import lines
from shootdown._values.errors import ShootdownError

_DOCUMENT = json.loads((Path(__file__).parents[3] / "docs/reference/result.schema.json").read_text())
_SCHEMA = jsonschema.Draft202012Validator({"$ref": "#/$defs/read", "$defs": _DOCUMENT["$defs"]})

_REASONS = (b"flush on task switch (0)", b"remote shootdown (1)", b"local mm shootdown (3)", b"remote ipi send (4)",
            b"remote IPI send (4)", b"remote wrong CPU (5)", b" (4)", b"(9)", b"remote ipi")  # fmt: skip
_EVENTS = (
    b"csd_queue_cpu: cpu=0 callsite=try_to_wake_up+0x2ea func=sched_ttwu_pending csd=0xffff888000000040",
    b"csd_function_entry: func=sched_ttwu_pending csd=0xffff888000000040",
    b"csd_latency: dst_cpu=0, csd=-131391225950144, time=36",
    b"ipi_send_cpumask: cpumask=00000000,0000ffff callsite=a+0x1 callback=flush_tlb_func+0x0",
    b"ipi_raise: target_mask=00000000,00000004 (Function call interrupts)",
    b"sys_enter: NR 11 (7f00, 1000)", b"sys_munmap(addr: 7f00, len: 1000)", b"sys_munmap -> 0x0",
    b"funcgraph_entry:                   |  tlb_finish_mmu() {", b"funcgraph_exit:       + 12.000 us  |  }",
    b"sched_switch: prev_comm=a ==> next_comm=b", b"irq_disable: caller=flush_tlb_mm_range+0x1 parent=ptep_clear_flush+0x4",
)  # fmt: skip
_HEADS = (b"CPU0 CPU1 CPU2\n", b"  CPU0\n", b"")
_LINES = (
    b" => flush_tlb_mm_range+0x1/0x2\n", b"\tffffffff8108f2a1 native_flush_tlb_multi+0x81 ([kernel.kallsyms])\n",
    b"CPU:3 [LOST 12 EVENTS]\n", b"# entries-in-buffer/entries-written: 10/22   #P:8\n", b"cpus=4\n", b"\n",
    b"TLB: 1 2 3 TLB shootdowns\n", b"TLB: 1 2\n", b"3 TLB shootdowns\n", b"CAL: 5 6 7 Function call interrupts\n",
    b"IPI1: 5 6 7 Function call interrupts\n", b"ERR: 0\n", b"TLB: 4294967290 1 99999999999999999999999 x\n",
    b"nr_tlb_remote_flush 10\n", b"nr_tlb_remote_flush_received 20\n", b"nr_tlb_remote_flush -10\n", b"pgfault 5\n",
    b" Performance counter stats for 'a':\n", b"  1,234  tlb:tlb_flush  (50.00%)\n", b"<not counted> tlb:tlb_flush\n",
    b"123,,tlb:tlb_flush,1,100.00,,\n", b'{"counter-value" : "12.0", "event" : "tlb:tlb_flush"}\n',
    b"41.19% pages:1 reason:local MM shootdown (3)\n", b"# Event count (approx.): 5000\n",
    b"18.13% [kernel] [k] smp_call_function_many_cond\n", b"3.6% flush_tlb_func\n", b"999.9% a\n",
    b"@[\n", b"    wp_page_copy+1\n", b", comm]: 12\n", b"]: 12\n", b"@a[3]: 4\n", b"@us:\n", b"[2, 4) 5 |@@|\n",
    b'{"type": "map", "data": {"@": {"\\n    do_madvise+1\\n": 3}}}\n', b'{"type": "map", "data": {"@": []}}\n',
    b'{"type": "hist", "data": {"@": [{"min": 1, "max": 2, "count": 3}]}}\n', b"a;__x64_sys_munmap;flush_tlb_mm_range 9\n",
    b"[ 1.0] smp: csd: Detected non-responsive CSD lock (#1) on CPU#9, waiting 5000000123 ns for CPU#3 f+0x0/0x1(0x0).\n",
    b"watchdog: BUG: soft lockup - CPU#28 stuck for 22s! [kworker/28:1:1760]\n",
    b"CPU: 28 PID: 1760 Comm: kworker/28:1 Not tainted 6.10.0-rc5 #95\n", b"RIP: 0010:smp_call_function_many_cond+0x1/0x2\n",
    b" 0)               |  unmap_region() {\n", b" 0)   0.500 us    |    flush_tlb_func();\n", b" 0) + 10.500 us   |  }\n",
    b" 0) ! 110.000 us  |  } /* tlb_finish_mmu */\n", b" 0)   ==========> |\n", b" 0)   <========== |\n",
    b" 0)  a-1    =>  b-2 \n", b" 0)               |  /* tlb_flush: pages:1 reason:remote ipi send (4) */\n",
    b"@us[a, 4]: \n", b"@s[a]: count 2, average 3, total 6\n", b"(..., 0) 5 |@@|\n", b"-TLB: 1 2 3 TLB shootdowns\n",
    b"7276 -13.2% 6315 -13.0% 6328 will-it-scale.per_thread_ops\n", b"Linux version 6.1.0\n", b"Dear all,\n",
)  # fmt: skip
_WORDS = (b"tlb_flush:", b"pages:", b"reason:", b"[000]", b"=>", b"@[", b"]: ", b"TLB:", b"CPU0", b"%", b"\t", b"\0",
          b"99999999999999999999", b"-1", b"\xff", b"csd=", b"cpumask=", b"\x1b[31m", b"> ")  # fmt: skip


def _event(rng: random.Random, now: int) -> bytes:
    task = rng.choice((b"a", b"my task", b"<...>", b"kworker/0:1-ev"))
    cpu, pid = rng.randrange(4), rng.randrange(6)
    body = rng.choice(_EVENTS) if rng.random() < 0.3 else (
        b"tlb_flush: pages:%d reason:%s" % (rng.choice((1, 1, 2, 33, 512, 0, -1)), rng.choice(_REASONS))
    )  # fmt: skip
    form = rng.randrange(4)
    if form == 0:
        return b"%s-%d [%03d] d..3. 5.%06d: %s\n" % (task, pid, cpu, now, body)
    if form == 1:
        return b"%s-%d    %dd..3. %dus : %s\n" % (task, pid, cpu, 5_000_000 + now, body)
    if form == 2:
        return b"%s %d [%03d] 5.%06d: tlb:%s\n" % (task, pid, cpu, now, body)
    return b"%s-%d [%03d] 5.%06d: %s\n" % (task, pid, cpu, now, body)


def recording(rng: random.Random) -> bytes:
    """Make a recording of one form or of several."""
    data = rng.choice(_HEADS)
    now = rng.randrange(1000)
    share = rng.choice((0.0, 0.5, 0.95, 1.0))
    for _ in range(rng.randrange(1, 25)):
        now += rng.choice((0, 1, 1, 5, 400_000))
        data += _event(rng, now % 10**6) if rng.random() < share else rng.choice(_LINES)
    return damaged(rng, data, _WORDS) if rng.random() < 0.8 else data


def _packed(rng: random.Random) -> bytes:
    data = gzip.compress(recording(rng), 1, mtime=0)
    return damaged(rng, data) if rng.random() < 0.7 else data


def _use(name: str) -> Callable[[Path], Use]:
    def use_in(folder: Path) -> Use:
        kernels = known()

        def use(data: bytes) -> str:
            looks_like(data[:4096])
            found = read([written(folder, name, data)], kernels)
            assert _SCHEMA.is_valid(json.loads(json.dumps(found.to_dict())))
            text = list(lines(found, 80))
            with contextlib.suppress(ShootdownError):
                read_values(tomllib.loads(plan(found).text))
            assert text
            assert all(check.text for check in found.checks)
            (file,) = found.files
            assert file.understood + file.damaged + file.others <= file.lines + 1
            return "read in part" if file.damaged or file.others or file.fault else "read"

        return use

    return use_in


READERS = (
    Reader("recordings", recording, _use("recording.txt")),
    Reader("recordings, gz", _packed, _use("recording.txt.gz"), heavy=True),
)
