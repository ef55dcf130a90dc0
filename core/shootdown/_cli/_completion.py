"""`shootdown completion`: what a shell needs to complete commands and options; click writes it."""

from __future__ import annotations

import os

import click

from shootdown._cli import _common, _writing
from shootdown._values.errors import ShootdownError, nearest

SHELLS = ("bash", "zsh", "fish")
_HOW = {
    "bash": 'eval "$(shootdown completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(shootdown completion zsh)"  # in ~/.zshrc',
    "fish": "shootdown completion fish > ~/.config/fish/completions/shootdown.fish",
}


@_common.command("completion")
@click.argument("shell", required=False)
def command(shell: str | None) -> None:
    """Print what a shell needs to complete commands and options.

    SHELL is bash (4.4 or later), zsh or fish; the one of SHELL in the environment unless given.
    """
    asked = shell or os.path.basename(os.environ.get("SHELL", ""))
    if asked not in SHELLS:
        raise ShootdownError(
            f"no completion for {asked!r}; {nearest(asked, SHELLS)}"
            if asked
            else f"which shell? shootdown completion {'|'.join(SHELLS)}"
        )
    from click.shell_completion import get_completion_class

    from shootdown._cli import COMPLETE, frame

    found = get_completion_class(asked)
    assert found is not None
    _writing.write_line(f"# {_HOW[asked]}")
    _writing.write_line(found(frame(), {}, "shootdown", COMPLETE).source())
