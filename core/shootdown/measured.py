"""Rows measured on real kernels, for authors of plugins: how `shootdown validate` compares them with the model.

    from shootdown.measured import Difference, Measured, Row, Seen

An architecture's `measured` is a `Measured`: it says on which platform a `Row` was measured, and turns what the model
`Seen` counted into the names of the row's counts: a number, a range, or a number unless scheduling interferes
(`Undisturbed`). A `Difference` is a known disagreement, with its reason.
`tests/oracle/README.md` describes the format of the file, `read_rows` reads it. `actor_cpu` and `parent_wakes` say
where and when the processes of the measured program ran, `forks_of` and `syncs_of` what forks and exits that race
leave open.

An architecture's `emulation` is an `Emulation`: how `shootdown measure` boots its kernels, and what it `Counted` there.
"""

from __future__ import annotations

from shootdown._oracle.measured import Difference, Measured, Prediction, Seen, Undisturbed
from shootdown._oracle.placement import PARENT_CPU, PARENT_FIRST, actor_cpu, parent_wakes
from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.windows import COPIES, RACING_EXITS, forks_of, syncs_of
from shootdown._values.emulation import SHARED_COUNTS, Counted, Emulation, Half, Marks, Pattern

__all__ = [
    "COPIES",
    "PARENT_CPU",
    "PARENT_FIRST",
    "RACING_EXITS",
    "SHARED_COUNTS",
    "Counted",
    "Difference",
    "Emulation",
    "Half",
    "Marks",
    "Measured",
    "Pattern",
    "Prediction",
    "Row",
    "Seen",
    "Undisturbed",
    "actor_cpu",
    "forks_of",
    "parent_wakes",
    "read_rows",
    "syncs_of",
]
