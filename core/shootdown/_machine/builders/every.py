"""Every step's method."""

from __future__ import annotations

from shootdown._machine.builders.control import ControlSteps
from shootdown._machine.builders.gathers import GathersSteps
from shootdown._machine.builders.locks import LocksSteps
from shootdown._machine.builders.memory import MemorySteps
from shootdown._machine.builders.page_tables import PageTablesSteps
from shootdown._machine.builders.requests import RequestsSteps
from shootdown._machine.builders.variables import VariablesSteps


class Builders(
    ControlSteps, LocksSteps, PageTablesSteps, MemorySteps, GathersSteps, RequestsSteps, VariablesSteps
):
    """The steps, one method each, as `steps/table.py` lists them. `Assembler` adds convenient forms."""
