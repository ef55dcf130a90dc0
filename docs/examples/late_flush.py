"""A scenario of your own: may a process free a table before it has flushed?"""

from shootdown.scenarios import Expect, Mapping, Model, Parameter, Problem, Scenario, Scene, ops

TABLE = Mapping(used=(0,), pages=1)


def build(scene: Scene) -> Problem:
    """Write two CPUs of one mm: one clears the entry, flushes and frees the table; the other runs."""
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    model.populate(0)
    owner = model.task(mm=0, cpu=0, ready=True)
    runner = model.task(mm=0, cpu=1, ready=True)
    model.starts(owner)
    asm = model.asm
    with asm.function("free_pgtables", "mm/memory.c"):
        model.gathers.begin(0)
        asm.set(ops.SLOT, 0)
        asm.load_pud(ops.CLASS, text="read the entry")
        asm.clear_pud(text="pud_clear")
        asm.gather_slot(0, 0, 1, flags=ops.FREED_TABLES, cleared=ops.CLEARED_PUDS, text="pmd_free_tlb")
        if scene["early"]:
            model.free_table()
        model.gathers.finish(0)
        if not scene["early"]:
            model.free_table()
        asm.reached(0)
    model.spin()
    model.starts(runner)
    model.spin()
    return Problem(
        machine=model.build(bits=16),
        invariants=("walk-cache",),
        places=("freed",),
        walkers=True,
        hypervisor=scene.preempts,
        lanes=("frees a table", "runs"),
    )


SCENARIO = Scenario(
    name="late-flush",
    summary="a table is freed before the flush that drops links to it",
    source="tlb_flush_mmu(): the TLB first, then the pages",
    build=build,
    switches=(Parameter("early", False, "the table is freed before the flush"),),
    window=("freed",),
    expected=(Expect("safe", "x86"), Expect("bug", "x86", settings=("scenario.early=true",))),
)
