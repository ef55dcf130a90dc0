"""Load a kernel that is kept on disk, without what only compiling needs.

numba first loads all that it can compile, a quarter of a second of imports and registrations, and parses the kernel's
LLVM code in case another kernel is linked with it. Whoever only calls the kernel needs its machine code alone.
"""

# numba has type hints only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult, compile_result


class _Loaded(JITCodeLibrary):
    """A kernel's machine code; its LLVM code is parsed when a kernel that is compiled calls it."""

    _unparsed: bytes | None = None

    def fill(self, machine_code: bytes, llvm_code: bytes) -> None:
        """Load the machine code."""
        self._unparsed = llvm_code
        self.enable_object_caching()
        self._set_compiled_object(machine_code)
        self._finalize_final_module()

    def get_pointer_to_function(self, name: str) -> int:
        """Return where a function begins; zero if there is none of this name."""
        self._ensure_finalized()
        return int(self._codegen._engine.get_function_address(name))

    def _get_module_for_linking(self) -> Any:
        if self._unparsed is not None:
            self._shared_module = binding.parse_bitcode(self._unparsed)
            self._unparsed = None
            self._codegen._engine._load_defined_symbols(self._shared_module)
        return super()._get_module_for_linking()


def rebuilt(target_context: Any, payload: Any) -> Any:
    """Return what a kernel was compiled to.

    Args:
        target_context: numba's.
        payload: as numba's cache has it.
    """
    (name, kind, code), descriptor, environment, signature, *others, reload_init, referenced = payload
    if kind != "object" or reload_init:
        return CompileResult._rebuild(target_context, *payload)
    object_mode, lifted, annotation = others
    codegen = target_context.codegen()
    library = _Loaded(codegen, name)
    library.fill(*code)
    made = compile_result(
        target_context=target_context,
        typing_context=target_context.typing_context,
        library=library,
        environment=environment,
        entry_point=target_context.get_executable(library, descriptor, environment),
        fndesc=descriptor,
        type_annotation=annotation,
        signature=signature,
        objectmode=object_mode,
        lifted=lifted,
        reload_init=reload_init,
        referenced_envs=referenced,
    )
    for each in referenced:
        codegen.set_env(each.env_name, each)
    return made
