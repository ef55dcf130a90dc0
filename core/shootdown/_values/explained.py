"""Let the fields of a class explain themselves in `help()`: each has its sentence in the class's docstring."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any, TypeVar

import attrs

C = TypeVar("C", bound=type[Any])

_WIDTH = 116


def explained(cls: C) -> C:
    """Add to a class's docstring the sentence of each field that has one, and leave types and defaults to these.

    Args:
        cls: an attrs class whose fields are declared by `switch()`, or have `doc` in their metadata.
    """
    lines = []
    for field in attrs.fields(cls):
        doc = field.metadata.get("doc")
        if not doc:
            continue
        text = f"{field.name}: {doc}{_allowed(field)}"
        lines += textwrap.wrap(
            text, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False
        )
    before = (cls.__doc__ or "").rstrip()
    cls.__doc__ = "\n".join((before, "", "    Fields:", *lines, "    "))
    parameters = [_parameter(field) for field in attrs.fields(cls) if field.init]
    parameters.sort(key=lambda parameter: parameter.kind)
    cls.__signature__ = inspect.Signature(parameters)
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    cls.__init__.__signature__ = inspect.Signature([myself, *parameters])
    return cls


class _Default:
    """A default that stands with its field, in the signature that `help()` shows."""

    def __repr__(self) -> str:
        return "..."


def _parameter(field: attrs.Attribute[Any]) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
    default = inspect.Parameter.empty if field.default is attrs.NOTHING else _Default()
    return inspect.Parameter(field.name, kind, default=default)


def _allowed(field: attrs.Attribute[Any]) -> str:
    """Say what a field may be, and what it is unless somebody says otherwise."""
    meta = field.metadata
    parts = []
    if meta.get("choices"):
        parts.append("one of " + ", ".join(map(str, meta["choices"])))
    elif meta.get("minimum") is not None and meta.get("maximum") is not None:
        parts.append(f"{meta['minimum']} to {meta['maximum']}")
    if isinstance(field.default, bool | int | str):
        parts.append(f"default {field.default}")
    return f" ({'; '.join(parts)})" if parts else ""
