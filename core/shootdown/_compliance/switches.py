"""Section 2, switches: whether anything depends on them."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._plugins.names import unread
from shootdown._values.kernel import Kernel, switches_of


def _each_is_read(subject: Subject) -> Iterator[Said]:
    architecture = subject.architecture
    core = {name for name, _ in switches_of(Kernel)}
    holders = {"kernel": {architecture.switches}}
    holders["platform"] = {type(platform.arch) for platform in subject.platforms}
    rules = [one.when for one in (*architecture.contradictions, *architecture.expected)]
    functions = [architecture.lower, architecture.configure, *rules]
    for group, classes in holders.items():
        for holder in classes:
            own = [name for name, _ in switches_of(holder) if name not in core]
            for name in unread(holder, own, functions):
                yield Finding(
                    f"{subject.plugin}: nothing reads the switch {group}.{name} of {holder.__name__}: "
                    f"`--set {group}.{name}=` changes no row, and neither does a change that sets it"
                )
            yield Tried(len(own), f"switches of {group}s")


STATEMENTS = (
    Statement(
        "2.8",
        "Something reads each switch that the plugin adds",
        "A switch that nobody reads is set, listed and told since when, and every row stays as it was.",
        "Read it where the flush is written, as `self.kernel.arch.NAME` or `self.platform.arch.NAME`; or leave it out.",
        _each_is_read,
    ),
)
