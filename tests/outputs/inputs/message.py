"""A scenario of somebody's own: a flag that is raised before its data arrives."""

from shootdown.scenarios import Model, Parameter, Problem, Scenario, ops


def build(scene):
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=2)
    flag, data = model.variable(0, "flag"), model.variable(0, "data")
    model.starts(model.task(mm=0, cpu=0, ready=True))
    model.asm.v_store(data, 1, text="write the data")
    if scene["barrier"]:
        model.asm.fence(text="smp_mb")
    model.asm.v_store(flag, 1, text="raise the flag")
    model.spin()
    model.starts(model.task(mm=1, cpu=1, ready=True))
    model.asm.v_load(ops.SCRATCH, flag, text="read the flag")
    model.asm.v_load(ops.SCRATCH2, data, text="read the data")
    down = model.label()
    model.asm.jump_zero(ops.SCRATCH, down)
    model.fail_if(ops.SCRATCH2, 0, 1, "the flag is up, the data is old")
    model.asm.place(down)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=("walk-cache", "message"),
        lanes=("writes", "reads"),
    )


SCENARIO = Scenario(
    name="message-passing",
    summary="a flag that is raised before its data arrives",
    source="an example",
    build=build,
    switches=(Parameter("barrier", True, "a full barrier between data and flag"),),
    sentences={"message": "Who sees the flag sees the data."},
    flushes=False,
)
