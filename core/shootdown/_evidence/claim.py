"""A claim: what somebody published, and how it is asked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._evidence.quantities import Quotient
from shootdown._programs.reading import Source

#: What a claim can be about, with the words of the reference.
MEASURES = {
    "count": "how often something happens, or a quotient of two counts",
    "time": "a time, perhaps divided by a count",
    "rate": "something in a second",
    "ratio": "how many times as much as in another run (`base`), or a quotient of two times",
    "curve": "any of these at several points",
    "fact": "numbers of a platform that are no time: sizes of TLBs",
    "none": "nothing that a run could say: limits, checkers, other kernels",
}
#: Whose behaviour is measured, with the words of the reference.
SUBJECTS = {
    "kernel": "a released kernel, by a program that the source describes",
    "proposal": "a kernel with patches that were never merged and that nobody can choose here",
    "undescribed": "a kernel, by a program that the source does not describe",
    "hardware": "a CPU or a hypervisor below the kernel",
    "other": "something else",
}


@attrs.frozen
class Run:
    """One run that a claim asks for.

    Args:
        program: the name of a workload, or an inline program; None where costs alone are asked for.
        arch, platform, kernel: names.
        cpus: online CPUs; the platform's own if None.
        parameters: of the program.
        settings: what-ifs, by name.
    """

    program: str | Source | None
    arch: str
    platform: str
    kernel: str
    cpus: int | None
    parameters: Mapping[str, Any]
    settings: Mapping[str, str]


@attrs.frozen
class Point:
    """One value of a claim.

    Args:
        label: what tells it from the other points; empty for the only one.
        published: the value, in the claim's unit.
        decimals: digits after the point that were published.
        quotient: what is measured.
        run: what is run.
        base: what the run is divided by, or None.
        minus: what is subtracted from the run, or None.
        instead: the same runs (`run`, `base`, `minus`) on as many CPUs as the machine may have had too, where the
            source doesn't say; they are in the interval.
        onto: a time in the claim's unit that was measured, to which the run's is added; 0 for none.
    """

    label: str
    published: float
    decimals: int
    quotient: Quotient
    run: Run
    base: Run | None
    minus: Run | None
    instead: tuple[tuple[Run, Run | None, Run | None], ...] = ()
    onto: float = 0.0


@attrs.frozen(eq=False)
class Claim:
    """One published measurement.

    Args:
        name: its id.
        what: one line.
        machine: as the source names it.
        source: where it was published.
        measure: a key of `MEASURES`.
        subject: one of `SUBJECTS`.
        unit: of the published values.
        scale: a value in nanoseconds, or a second's, for one of the unit.
        values: what was published, in its order.
        points: values with their runs; empty if `needs` or `stands` says why there are none.
        facts: of a fact: paths into the platform, one for each value.
        assumed: what the source doesn't say.
        used_by: costs that were fitted to it, as `ARCH/PLATFORM.COST`.
        needs: what the model or its language lacks; empty if nothing.
        stands: of what is no claim: why, and where it stands.
        at: the file, and the keys that lead to it.
    """

    name: str
    what: str
    machine: str
    source: str
    measure: str
    subject: str
    unit: str
    scale: float
    values: tuple[float, ...]
    points: tuple[Point, ...]
    facts: tuple[str, ...]
    assumed: tuple[str, ...]
    used_by: tuple[str, ...]
    needs: str
    stands: str
    at: Source = attrs.field(repr=False)

    @property
    def in_sample(self) -> bool:
        """Whether a cost was fitted to it."""
        return bool(self.used_by)
