"""Compile what only other kernels call as a part of them: it is optimised and becomes machine code with each of them.

numba makes a whole library of each function, optimised and loaded into the process with all that it calls, though the
kernel that calls it is optimised as one piece again. Of functions that call one another eight deep most work was done
eight times.
"""

# numba has type hints only in part.
# mypy: disable-error-code="no-untyped-call,no-untyped-def"

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.environment import lookup_environment
from numba.core.typed_passes import NoPythonSupportedFeatureValidation

from shootdown._compilation.backend.indices import CountFromTheStart

_ENVIRONMENT = "_ZN08NumbaEnv"


class _PartsCodegen:
    """numba's code generator, except that a part that is not loaded has no environment to set."""

    def __init__(self, codegen: Any) -> None:
        self._all = codegen

    def set_env(self, name: str, environment: Any) -> None:
        """Leave the environment to the kernels that the part goes into."""

    def __getattr__(self, name: str) -> Any:
        """Return anything else of numba's code generator."""
        return getattr(self._all, name)


class _Part(JITCodeLibrary):
    """A function for other kernels: LLVM's code, neither optimised as a whole nor loaded."""

    @property
    def codegen(self) -> Any:
        """The code generator."""
        return _PartsCodegen(self._codegen)

    def _optimize_final_module(self) -> None:
        """Leave that to the kernels that it goes into."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return zero: there is no machine code."""
        self._ensure_finalized()
        return 0


class _WholesCodegen(_PartsCodegen):
    """numba's code generator; the environments of parts are set with that of the kernel that they went into."""

    def __init__(self, codegen: Any, module: Any) -> None:
        super().__init__(codegen)
        self._module = module

    def set_env(self, name: str, environment: Any) -> None:
        """Set the environments of a kernel and its parts."""
        self._all.set_env(name, environment)
        for variable in self._module.global_variables:
            if variable.name.startswith(_ENVIRONMENT) and variable.name != name:
                found = lookup_environment(variable.name)
                if found is not None:
                    self._all.set_env(variable.name, found)


class _Whole(JITCodeLibrary):
    """A kernel with its parts."""

    @property
    def codegen(self) -> Any:
        """The code generator."""
        return _WholesCodegen(self._codegen, self._final_module)


class CompilePart(Compiler):
    """Compile a function that only other kernels call."""

    library: type = _Part

    def define_pipelines(self) -> list[Any]:
        """Return numba's passes, and one for indices."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(CountFromTheStart, NoPythonSupportedFeatureValidation)
        passes.finalize()
        return [passes]

    def _compile_core(self) -> Any:
        if self.state.library is None:
            codegen = self.state.targetctx.codegen()
            self.state.library = self.library(codegen, self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
        return super()._compile_core()


class CompileWhole(CompilePart):
    """Compile a kernel with its parts."""

    library = _Whole
