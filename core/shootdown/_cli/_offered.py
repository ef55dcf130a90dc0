"""What a shell is offered where a command takes the name of a program; see `shootdown completion`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def workloads(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer workloads, and files where none begins so."""
    from shootdown._plugins.registry import registry
    from shootdown._programs.shipped import shipped

    return _offered((*registry().workloads(), *shipped()), begun)


def scenarios(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer scenarios, and files where none begins so."""
    from shootdown._plugins.registry import registry

    return _offered(registry().scenarios(), begun)


def programs(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer workloads and scenarios, and files where none begins so."""
    from shootdown._plugins.registry import registry
    from shootdown._programs.shipped import shipped

    installed = registry()
    return _offered((*installed.workloads(), *shipped(), *installed.scenarios()), begun)


def _offered(names: Iterable[str], begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # a command that runs needs none of it

    found = [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]
