"""Rows of a program of a person's own: the row has the program, so that anybody can predict it again."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from shootdown._machine.machine import Machine
from shootdown._oracle.rows import Row
from shootdown._programs.reading import read_values
from shootdown._programs.subjects import workload_of
from shootdown._values.errors import ShootdownError
from shootdown._values.parameter import read_values as read_parameters
from shootdown._values.setup import Setup


def own_machine(setting: Setup, row: Row) -> Machine:
    """Write the machine of a row's own program, with the parameters that the row says.

    Raises:
        ShootdownError: the row has no program, or something is wrong in it.
    """
    tables, chosen = row.fields.get("program"), row.fields.get("parameters", {})
    if not isinstance(tables, Mapping) or not isinstance(chosen, Mapping):
        raise ShootdownError("the row has no program and parameters as objects")
    workload = workload_of(read_values(tables, str(row.fields.get("name", "program"))))
    setting = attrs.evolve(setting, values=read_parameters(workload.parameters, chosen, _lacks))
    reason = workload.refuse(setting)
    if reason is not None:
        raise ShootdownError(reason)
    return workload.build(setting)


def _lacks(name: str) -> str:
    return f"the row's program has no parameter {name!r:.40}"
