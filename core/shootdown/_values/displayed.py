"""Values that notebooks show as reports."""

from __future__ import annotations

import importlib


class Displayed:
    """What a notebook shows as HTML: reports are above all values, and are imported when one is shown."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        text: str = importlib.import_module("shootdown._report.notebook").html(self)
        return text
