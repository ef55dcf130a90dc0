"""Run programs on a booted kernel and make rows of what was counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from shootdown._measure.boot import Booted, boot
from shootdown._measure.building import runner
from shootdown._measure.bytecode import Image, compile_program
from shootdown._measure.kernels import Image as Kernel
from shootdown._measure.kernels import opened
from shootdown._measure.rows import Asked, release_of, rows_of
from shootdown._programs.areas import misfit
from shootdown._programs.program import Program
from shootdown._programs.reading import Source, read_file
from shootdown._programs.subjects import workload_of
from shootdown._values.architecture import Architecture
from shootdown._values.emulation import Emulation
from shootdown._values.errors import ShootdownError
from shootdown._values.parameter import read_values

#: Seconds for booting, and for each repetition of a program.
_BOOTING, _EACH = 240.0, 125.0


@attrs.frozen
class Measured:
    """What was measured.

    Args:
        rows: one for each program that ran.
        remarks: what the reader has to know: programs that did not run, what the kernel lacks.
    """

    rows: tuple[dict[str, Any], ...]
    remarks: tuple[str, ...]


@attrs.frozen
class Plan:
    """Programs, ready to run.

    Args:
        programs: with values for their parameters.
        asked: what they are.
        images: what the runner takes.
        remarks: of programs that can't be measured, why.
        cpus: of the machine.
        repetitions: how often each is run.
        watched: how often each is run besides, for stale reads.
    """

    programs: tuple[Program, ...]
    asked: tuple[Asked, ...]
    images: tuple[Image, ...]
    remarks: tuple[str, ...]
    cpus: int
    repetitions: int
    watched: int = 0

    def for_pages(self, page_size: int) -> Plan:
        """Return the plan for a kernel whose pages are of another size; programs that don't fit are left out.

        Raises:
            ShootdownError: none fits.
        """
        fit, remarks = [], [*self.remarks]
        for program, asked in zip(self.programs, self.asked, strict=True):
            why = misfit(program, page_size)
            if why is None:
                image = compile_program(
                    program,
                    self.cpus,
                    page_size=page_size,
                    repetitions=self.repetitions,
                    watched=self.watched,
                )
                fit.append((program, attrs.evolve(asked, page_size=page_size), image))
            else:
                remarks.append(f"{asked.name} is not measured: {why}")
        if not fit:
            raise ShootdownError("; ".join(remarks))
        programs, told, images = zip(*fit, strict=True)
        return attrs.evolve(self, programs=programs, asked=told, images=images, remarks=tuple(remarks))


def plan(
    files: Sequence[Path],
    parameters: Mapping[str, str],
    *,
    cpus: int,
    repetitions: int,
    all_of_them: bool,
    watched: int = 0,
) -> Plan:
    """Read and compile programs.

    Args:
        files: of the programs.
        parameters: values by name; each program takes those that are its own.
        cpus: of the machine.
        repetitions: how often each is run.
        watched: how often each is run besides, while threads that spin read what its calls take away.
        all_of_them: a program that can't be measured is an error, not a remark.

    Raises:
        ShootdownError: a file has a mistake, or nothing can be measured.
    """
    programs, asked, images, remarks = [], [], [], []
    sources = [read_file(file) for file in files]
    known = {one.name for source in sources for one in source.parameters}
    for name in parameters:
        if name not in known:
            raise ShootdownError(
                f"no program that is measured has a parameter {name!r:.40}: {', '.join(sorted(known))}"
            )
    for source in sources:
        values = read_values(source.parameters, _own(source, parameters), str)
        try:
            workload_of(source)
            program: Program = source.chosen(values)
            image = compile_program(program, cpus, repetitions=repetitions, watched=watched)
        except ShootdownError as error:
            if all_of_them:
                raise
            remarks.append(f"{source.name} is not measured: {error}")
            continue
        programs.append(program)
        images.append(image)
        asked.append(
            Asked(
                source.name,
                json.loads(json.dumps(source.tables)),
                dict(values),
                image.forks,
                image.actor_forked,
            )
        )
    if not images:
        raise ShootdownError("; ".join(remarks) or "there is no program to measure")
    return Plan(tuple(programs), tuple(asked), tuple(images), tuple(remarks), cpus, repetitions, watched)


def _own(source: Source, parameters: Mapping[str, str]) -> dict[str, str]:
    names = {one.name for one in source.parameters}
    return {name: value for name, value in parameters.items() if name in names}


def _stale(name: str, runs: int, stale: int, reads: int) -> str:
    if not reads:
        return f"{name}: no thread that spins reads what it takes away"
    return f"{name}: {stale:,} of {reads:,} reads after its calls had returned were stale, in {runs} runs"


def _booted(
    emulation: Emulation, kernel: Kernel, init: bytes, planned: Plan, ran: Callable[[], None]
) -> Booted:
    seconds = _BOOTING + _EACH * len(planned.images)
    return boot(
        emulation, kernel.path, init, planned.images,
        cpus=planned.cpus, seconds=seconds, ran=ran, modules=kernel.modules,
    )  # fmt: skip


def measure(
    kernel: Path,
    known: Iterable[Architecture],
    planned: Plan,
    *,
    arch: str | None,
    release: str | None,
    cpu_model: str | None,
    ran: Callable[[], None],
) -> Measured:
    """Boot a kernel, run the programs, and return rows.

    Args:
        kernel: bzImage, Image, vmlinux, or a .deb that has one.
        known: the architectures that are installed.
        planned: the programs.
        arch: the architecture, where the file does not say.
        release: the kernel's release, where it does not say itself.
        cpu_model: of the emulator, instead of the architecture's own.
        ran: called after each repetition.

    Raises:
        ShootdownError: something is missing, or the machine did not come to its end.
    """
    modules = ("brd.ko",) if any(one.swaps for one in planned.images) else ()
    with opened(kernel, known, arch, modules) as image:
        emulation = image.architecture.emulation
        assert emulation is not None
        emulation = attrs.evolve(emulation, cpu=cpu_model or emulation.cpu)
        init = runner(emulation)
        booted = _booted(emulation, image, init, planned, ran)
        if booted.page_size is not None:
            planned = planned.for_pages(booted.page_size)
            booted = _booted(emulation, image, init, planned, ran)
    name = release or release_of(booted.version)
    rows = rows_of(emulation, booted, planned.asked, kernel=name, cpus=planned.cpus)
    remarks = [*planned.remarks]
    remarks += [
        f"{planned.asked[number].name} did not run to its end: {why}"
        for number, why in sorted(booted.failures.items())
    ]
    remarks += [_stale(planned.asked[number].name, *told) for number, told in sorted(booted.stale.items())]
    remarks += [f"the machine says: {line}" for line in dict.fromkeys(booted.remarks)]
    if booted.absent:
        remarks.append(
            f"this kernel lets nobody trace {', '.join(sorted(booted.absent))}: inlined, or not there"
        )
    remarks += [
        f"{row['name']}: the trace had no room for {row['lost']} events" for row in rows if row["lost"]
    ]
    return Measured(tuple(rows), tuple(remarks))
