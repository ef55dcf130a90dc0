"""An import-linter contract of our own: kernels depend on numpy alone."""

from __future__ import annotations

import sys

import grimp
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application import contract_utils
from importlinter.application.contract_utils import AlertLevel


class KernelContract(Contract):
    """Hold every module that defines kernels, found by what it imports, to an allow-list of libraries.

    The built-in contracts forbid; this one allows, so that a library added later is refused as well. What a
    kernel reaches through other modules counts. The standard library is allowed: numba refuses what a kernel
    can't use of it.

    Options:
        compilers: who imports one of these directly defines kernels.
        allowed_libraries: top-level names outside of the project.
        exempt: modules that define kernels and are not held to the list, each with its reason beside it.
        ignore_imports: imports within the project that don't count.
    """

    compilers = fields.SetField(subfield=fields.ModuleField())
    allowed_libraries = fields.SetField(subfield=fields.StringField())
    exempt = fields.SetField(subfield=fields.ModuleField(), required=False)
    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Compare what kernels reach with the list."""
        removed = contract_utils.remove_ignored_imports_and_report(
            graph=graph, ignore_imports=self.ignore_imports, unmatched_alerting=AlertLevel.ERROR
        )
        compilers = {module.name for module in self.compilers}
        kernels = set().union(*(graph.find_modules_that_directly_import(name) for name in compilers))
        if not kernels:
            raise ValueError(f"no module defines kernels: {sorted(compilers)} must be wrong")
        kernels -= {module.name for module in self.exempt or ()}
        own = tuple(self.session_options["root_packages"])
        allowed = {*self.allowed_libraries, *own, *sys.stdlib_module_names}
        chains = sorted(
            {
                graph.find_shortest_chain(kernel, reached)
                for kernel in kernels
                for reached in graph.find_upstream_modules(kernel)
                if reached.partition(".")[0] not in allowed
            }
        )
        return ContractCheck(
            kept=not chains,
            warnings=list(removed.warnings),
            ignored_import_count=removed.ignored_import_count,
            metadata={"chains": chains},
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each way from a kernel to a library that is not on the list."""
        for chain in check.metadata["chains"]:
            output.print_error(" -> ".join(chain), bold=False)
