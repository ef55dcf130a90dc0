"""khugepaged collapses base pages of a process into huge ones."""

from __future__ import annotations

from shootdown._machine.machine import Machine
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.workload import Workload
from shootdown._workloads.threads import STATES, Threads, remarks


def _build(setting: Setup) -> Machine:
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=2, small=True)
    geometry = model.lowering.geometry
    ranges = max((setting["gib"] << 30) >> geometry.pmd_shift, 1)
    calls = Anonymous(model.calls, 1 << (geometry.pmd_shift - geometry.page_shift))
    main = model.task(mm=0, cpu=0, ready=True)
    daemon = model.task(mm=None, cpu=setting.cpus - 1, ready=True)
    threads = Threads(model, mm=0, other_mm=1, cpu=0)
    threads.add(min(setting["threads"], max(setting.cpus - 2, 0)), setting["state"])
    touched = model.event()
    threads.write(())
    model.starts(main)
    calls.touch(1, huge=False)
    model.signal(touched)
    if setting.cpus > 1:
        model.spin()
    else:  # khugepaged gets its turn
        model.sleep()
    model.starts(daemon)
    model.wait(touched)
    threads.await_all()
    model.concern(0)
    with model.window("measured", daemon):
        calls.collapse(ranges)
    model.asm.halt()
    return model.build()


THP_COLLAPSE = Workload(
    name="thp-collapse",
    summary="khugepaged collapses N GiB of base pages of a process into huge pages",
    parameters=(
        Parameter("gib", 20, "GiB that it collapses", minimum=1, maximum=10**5),
        Parameter("threads", 0, "further threads of the process, each on a CPU of its own", maximum=10**5),
        Parameter("state", "spin", "what those threads do meanwhile", choices=STATES),
    ),
    build=_build,
    remarks=lambda setting: remarks(setting, busy=2),
    refuse=lambda setting: setting.lowering.no_thp(),
)
