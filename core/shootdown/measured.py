"""Rows measured on real kernels, for authors of plugins: how `shootdown validate` compares them with the model.

    from shootdown.measured import Difference, Measured, Row, Seen

An architecture's `measured` is a `Measured`: it says on which platform a `Row` was measured, and turns what the model
`Seen` counted into the names of the row's counts. A `Difference` is a known disagreement, with its reason.
`tests/oracle/README.md` describes the format of the file, `read_rows` reads it.
"""

from __future__ import annotations

from shootdown._oracle.measured import Difference, Measured, Prediction, Seen
from shootdown._oracle.rows import Row, read_rows

__all__ = ["Difference", "Measured", "Prediction", "Row", "Seen", "read_rows"]
