"""Find what a question is about: a shipped workload or scenario by its name, or a program by its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shootdown._plugins.registry import registry
from shootdown._programs.shipped import SUFFIX, shipped
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.workload import Workload

#: What names a workload: its name, the path of a program's file, or a program as values.
Subject = str | Mapping[str, Any]


def is_program(subject: object) -> bool:
    """Whether a subject is a program, by its file or as values."""
    return isinstance(subject, Mapping) or (isinstance(subject, str) and subject.endswith(SUFFIX))


def program_explored(subject: Subject) -> Scenario:
    """Read a program, by its file or as values, as what is explored.

    Raises:
        ShootdownError: there is no such file, something is wrong in it, or can't be explored yet.
    """
    from shootdown._programs.explored import scenario_of
    from shootdown._programs.reading import read_file, read_values

    return scenario_of(read_values(subject) if isinstance(subject, Mapping) else read_file(subject))


def workload_named(subject: Subject) -> Workload:
    """Find a workload by its name, or read a program.

    Raises:
        ShootdownError: there is no such workload or file, or something is wrong in the program.
    """
    if is_program(subject):
        # Imported here: most questions are about no program.
        from shootdown._programs.reading import read_file, read_values
        from shootdown._programs.subjects import workload_of

        return workload_of(read_values(subject) if isinstance(subject, Mapping) else read_file(subject))
    if not isinstance(subject, str):
        raise ShootdownError(
            f"workload {subject!r:.40}: it is a name, a program's file or a program as a dict"
        )
    installed = registry()
    if subject in shipped() and subject not in installed.workloads():
        return workload_named(str(shipped()[subject]))
    try:
        return installed.workload(subject)
    except ShootdownError as error:
        if not os.path.isfile(subject):
            raise
        raise ShootdownError(f"{error}\n{subject} is a file, but a program's name ends in {SUFFIX}") from None
