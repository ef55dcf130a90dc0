"""A workload of your own: a process discards a shared hugetlb table and faults it in again, over and over."""

from shootdown import Parameter, Setting, Workload, hookimpl
from shootdown.scenarios import Mapping, Model, ops

TABLE = Mapping(used=(0,), pages=2)


def build(setting: Setting):
    """Write two processes on two CPUs: both map the table, then the first discards it `times` times."""
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=2)
    first = model.task(mm=0, cpu=0, ready=True)
    second = model.task(mm=1, cpu=1, ready=True)
    mapped = model.event()

    model.starts(first)
    model.hugetlb.touch(TABLE)
    model.wait(mapped)
    with model.window("measured", first), model.asm.loop(setting["times"], ops.SCRATCH2):
        model.calls.madvise(TABLE)  # MADV_DONTNEED unshares the table
        model.hugetlb.touch(TABLE)  # the fault shares it again
    model.asm.halt()

    model.starts(second)
    model.hugetlb.touch(TABLE)
    model.signal(mapped)
    model.sleep()
    return model.build(pages_per_table=TABLE.pages)


def refuse(setting: Setting):
    """Return why a kernel can't run it, or None."""
    if not setting.kernel.hugetlb_madvise_dontneed:
        return "MADV_DONTNEED of hugetlb mappings came with v5.18 (90e7e7f5ef3f)"
    return "two CPUs are needed" if setting.cpus < 2 else None


HUGETLB_CHURN = Workload(
    name="hugetlb-churn",
    summary="one of two processes discards a shared table and faults it in again, N times",
    parameters=(Parameter("times", 10, "how often", minimum=1, maximum=10**6),),
    build=build,
    refuse=refuse,
    shares_tables=True,
)


@hookimpl
def shootdown_workloads():
    """Offer the workload."""
    return [HUGETLB_CHURN]
