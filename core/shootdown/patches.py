"""The API for patch files, which replace kernel functions by name: `--patch FILE.py`, or `patch=` from Python.

    from shootdown.patches import Call, Field, Patch, Parameter, ops, replaces

* `replaces("NAME")` marks a function that replaces a kernel function. It gets a `Call` first, then the kernel
  function's arguments by their names.
* A `Call` has `original()`, to be called, wrapped or left out; `asm`, which writes single steps (`ops`); `kernel`,
  `lowering` and `arch`; `switch()`, a switch of the patch's own; `field()`, a variable of its own; `function()`, which
  calls another kernel function.
* A file says where it is from as `PATCH`, a `Patch`: subject, Message-ID, a note, its switches (`Parameter`s) and its
  fields (`Field`s).

`docs/how-to/try-a-patch.md` has an example that runs, `docs/reference/kernel-functions.md` the functions and arguments.
"""

from __future__ import annotations

from shootdown._machine import ops
from shootdown._machine.functions import Call
from shootdown._values.parameter import Parameter
from shootdown._values.patch import Field, Patch, replaces

__all__ = ["Call", "Field", "Parameter", "Patch", "ops", "replaces"]
