"""Compile kernels in advance: each once with arguments of every type that commands call it with."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError, nearest

if TYPE_CHECKING:
    from shootdown._pagetables.format import CustomFormat, Format
    from shootdown._pagetables.walk_many import Way

PARTS = ("walks", "tlb", "engine", "explorer")


@attrs.frozen
class Job:
    """A piece of work that runs, and so compiles, some kernels.

    Args:
        part: one of `PARTS`.
        name: a short description of the kernels.
        run: runs them; quick once they are compiled.
    """

    part: str
    name: str
    run: Callable[[], None] = attrs.field(repr=False)


@attrs.frozen
class Warmed:
    """The result of one job.

    Args:
        part, name: as in `Job`.
        kernels: the number of kernels compiled and kept; 0 if all were kept already.
        seconds: the time that took.
    """

    part: str
    name: str
    kernels: int
    seconds: float


def jobs(parts: Sequence[str] = ()) -> list[Job]:
    """List the jobs for everything that is installed.

    Args:
        parts: some of `PARTS`; all if empty.

    Raises:
        ShootdownError: there is no such part.
    """
    for part in parts:
        if part not in PARTS:
            raise ShootdownError(f"there is nothing to compile called {part!r}; {nearest(part, PARTS)}")
    return [job for job in _all() if not parts or job.part in parts]


def warm(job: Job) -> Warmed:
    """Run one job and count what it compiled.

    Raises:
        ShootdownError: this process compiles nothing, or what is compiled can't be kept: no cache folder is writable,
            or the disk is full.
    """
    from shootdown._compilation.running import compile_at_once, compiles
    from shootdown._compilation.running import compiled as compiled_copy

    if not compiles():
        raise ShootdownError(
            "nothing is compiled here: SHOOTDOWN_COMPILE=never or NUMBA_DISABLE_JIT=1 is set"
        )
    from shootdown._compilation.backend.disk import keeps, lost
    from shootdown._compilation.backend.watching import watched
    from shootdown._machine.step import step

    if not keeps(compiled_copy(step)):
        raise ShootdownError(
            "compiled kernels can't be kept: no folder for them can be written to; NUMBA_CACHE_DIR names another"
        )
    compile_at_once()
    with watched() as compiled:
        job.run()
    if lost:
        raise ShootdownError(
            f"compiled kernels can't be kept in {lost[-1]}; NUMBA_CACHE_DIR names another folder"
        )
    # Kernels that can't be kept (a walk defined within another function) are compiled by every process: not counted.
    return Warmed(job.part, job.name, compiled.kernels, compiled.seconds if compiled.kernels else 0.0)


def _all() -> Iterator[Job]:
    from shootdown._pagetables.format import Format

    for name, form in registry().formats().items():
        walk = partial(_walk, form) if isinstance(form, Format) else partial(_walk_custom, form)
        yield Job("walks", f"walks of {name}", walk)
    yield Job("tlb", "TLBs of traces", _simulate_traces)
    if (arch := _flushing()) is not None:
        yield Job("engine", "the timed engine", partial(_run, arch))
        yield Job("explorer", "the explorer", partial(_explore, arch))


def _flushing() -> str | None:
    """Return the name of an architecture with a lowering: the engines' kernels are the same for all."""
    known = registry().architectures().items()
    return next((name for name, arch in known if arch.lower is not None and arch.platforms), None)


def _walk(form: Format) -> None:
    import numpy as np

    from shootdown._pagetables.address_space import AddressSpace
    from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory
    from shootdown._pagetables.walk_many import walk_many
    from shootdown._pagetables.walker import Walker

    memory = PhysicalMemory(window_bytes=SECTION_BYTES)
    root = AddressSpace(form, memory, settings=form.settings()).root
    one = np.zeros(1, np.uint64)
    ways: tuple[Way, ...] = ("in order", "ring", "group")
    for way in ways:
        walk_many(form, memory, root, one, way=way)
    walk_many(form, memory, root, one, hardware_sets_flags=True)
    walker = Walker(form, memory)
    walker.walk_many(root, one)
    walker.walk_many(root, one, hardware_sets_flags=True)


def _walk_custom(form: CustomFormat) -> None:
    import numpy as np

    from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory
    from shootdown._pagetables.walk_many import walk_many

    walk_many(form, PhysicalMemory(window_bytes=SECTION_BYTES), 0, np.zeros(1, np.uint64))


def _simulate_traces() -> None:
    """Simulate a short trace of each format, and with a geometry for each kind of simulation."""
    import numpy as np

    from shootdown._tlb import FlushScope, Tlb
    from shootdown._tlb.parameters import PLAIN, geometry_of
    from shootdown._traces.simulation import simulate_trace

    addresses = np.arange(64, dtype=np.uint64) << np.uint64(12)
    records = np.zeros((2, 8), np.uint64)
    lackey = b"I  04001000,3\n L 1ffeffe7e0,8\n S 1ffeffe7e8,8\n M 0421c7cc,4\n"
    view = (
        b"           1           0:     1234567 <marker: version 3>\n"
        b"           2           1:     1234567 ifetch       3 byte(s) @ 0x00007f0000001000 non-branch\n"
        b"           3           1:     1234567 read         8 byte(s) @ 0x00007f0000002000 by PC 0x00007f0000001000\n"
    )
    other = geometry_of({"policy": "tree-plru"}, PLAIN)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "trace.npy"
        np.save(plain, addresses)
        simulate_trace(plain)
        simulate_trace(plain, other)
        for name, data in (("lackey", lackey), ("drmemtrace", view), ("champsim", records.tobytes())):
            file = Path(folder) / f"{name}.gz"
            file.write_bytes(gzip.compress(data))
            for instructions in (False, True):
                simulate_trace(file, format=name, instructions=instructions)
    tlb = Tlb(PLAIN, 1)
    tlb.access(0, 0, 0, 4096)
    tlb.lookup(0, 0, 0)
    tlb.fill(0, 0, 0, 4096)
    tlb.walk_lookup(0, 0, 0)
    tlb.walk_fill(0, 0, 0, 1 << 21)
    tlb.flush(0, FlushScope(start=0, asid=0))
    tlb.entries(0)
    tlb.leading_into(0)


def _run(arch: str) -> None:
    from shootdown._questions.compare import compare

    compare("hugetlb-munmap", arch=[arch], parameters={"tables": 1}, cpus=[2])


def _explore(arch: str) -> None:
    from shootdown._explore.soak import Soak
    from shootdown._programs.worlds import programs
    from shootdown._questions.explore import explorations, explore_case
    from shootdown._questions.hunt import grounds
    from shootdown._questions.hunt_ground import explored_all
    from shootdown._questions.saved import read_rows, replay_row

    # A bug with its story, with and without symmetry; and a safe one, where to see that all tasks can end takes going
    # backwards over the states, and making moves again.
    choices: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("unshare-gup", {"sharers": 3}, {"kernel.unshare_sync": "none", "platform.flush": "broadcast"}),
        ("madv-free-dio", {}, {"scenario.fix": "false"}),
        ("khugepaged-gup-table", {}, {}),
    ]
    for scenario, parameters, settings in choices:
        with suppress(ShootdownError):  # the architecture does not support it
            (case,) = explorations(scenario, arch=[arch], parameters=parameters, settings=settings)
            found = explore_case(case, stories=True)
            text = json.dumps({"rows": [found.to_dict()]})
            for row in read_rows(text, "warm"):
                replay_row(row, "warm")
            explore_case(case, soak=Soak(1))
    (ground,) = grounds(arch=[arch])
    explored_all(ground, [*programs(ground.scene, 1)] * 2)
