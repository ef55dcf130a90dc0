"""Every installed architecture beside x86, and x86 beside a sort of numbers."""

from __future__ import annotations

from shootdown._plugins.registry import registry
from shootdown.testing import ArchitectureBenchmarks

for _name in registry().architectures():
    _class = f"Test{_name.capitalize()}"
    globals()[_class] = type(
        _class,
        (ArchitectureBenchmarks,),
        {"architecture": _name, "against": "x86", "__module__": __name__},
    )
