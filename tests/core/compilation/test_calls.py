"""Kernels name one another by their own names, and Python code asks for what it can run."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from shootdown._compilation.registry import INSTRUCTIONS, MANNERS
from shootdown._plugins.registry import registry


def _modules() -> list[ModuleType]:
    """Import core and all architectures that are installed."""
    registry()
    packages = [name for name in list(sys.modules) if name.startswith("shootdown") and "." not in name]
    return [
        importlib.import_module(found.name)
        for package in packages
        for found in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}.")
        if not found.name.endswith("__main__") and "._compilation.backend" not in found.name
    ]


MODULES = _modules()


def test_no_kernel_names_another_through_a_module() -> None:
    pytest.importorskip("numba")
    from shootdown._compilation.backend.dispatchers import through_modules

    kernels = [kernel for kernel in MANNERS if kernel.__module__.startswith("shootdown")]
    assert len(kernels) > 200
    assert [(kernel.__qualname__, named) for kernel in kernels if (named := through_modules(kernel))] == []


def _calls(tree: ast.AST, kernels: set[str]) -> Iterator[ast.Call]:
    """Give the calls outside of kernels."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name in kernels:
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from _calls(node, kernels)


def _called(module: ModuleType, call: ast.Call) -> object:
    """Give what a module's code calls, where a name of the module or of a module in it tells."""
    world = vars(module)
    match call.func:
        case ast.Name(name):
            return world.get(name)
        case ast.Attribute(ast.Name(name), attribute) if isinstance(world.get(name), ModuleType):
            return getattr(world[name], attribute, None)
    return None


def _imported_in_functions(tree: ast.AST) -> dict[str, object]:
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("shootdown"):
            home = importlib.import_module(node.module)
            for alias in node.names:
                value = getattr(home, alias.name, None) or sys.modules.get(f"{node.module}.{alias.name}")
                found[alias.asname or alias.name] = value
    return found


def direct_calls(module: ModuleType, source: str) -> list[str]:
    """List where Python code calls a kernel itself, and not what `runnable` gives."""
    tree = ast.parse(source)
    own = {kernel.__name__ for kernel in MANNERS if kernel.__module__ == module.__name__}
    copy = ModuleType(module.__name__)
    vars(copy).update(vars(module) | _imported_in_functions(tree))
    return [
        f"{module.__name__}:{call.lineno}"
        for call in _calls(tree, own)
        if inspect.isfunction(called := _called(copy, call)) and called in MANNERS
    ]


#: Modules that run kernels as plain Python on purpose: a plugin's flush is carried out step by step before anything of
#: it is compiled, and a search has a plain twin.
PLAIN = ("shootdown._compliance.stage", "shootdown._compliance.spaces", "shootdown._explore.searches_plain")


def test_python_code_calls_no_kernel_itself() -> None:
    checked = [module for module in MODULES if module.__name__ not in PLAIN]
    found = [place for module in checked for place in direct_calls(module, inspect.getsource(module))]
    assert found == []


def test_a_call_of_a_kernel_itself_would_be_found() -> None:
    from shootdown._machine import step

    assert direct_calls(step, "def f(S):\n    return choose(S)\n") == ["shootdown._machine.step:2"]
    code = "def f(S):\n    from shootdown._timed import scheduler as s\n    return s.run(S)\n"
    assert direct_calls(step, code) == ["shootdown._machine.step:3"]
    assert direct_calls(step, "def f(S):\n    return runnable(choose)(S)\n") == []


def test_every_instruction_has_something_that_stands_for_it() -> None:
    pytest.importorskip("numba")
    assert len(INSTRUCTIONS) > 20
    for function, name in INSTRUCTIONS.items():
        assert callable(pkgutil.resolve_name(name)), function
