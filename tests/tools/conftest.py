"""Lets tests import the programs of `tools`, and makes small trees for them to read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


class Tree:
    """A git tree that grows commit by commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=master", str(path), at=path.parent)

    def git(self, *words: str, at: Path | None = None) -> str:
        """Run git in the tree and return what it prints."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ("git", *words),
            cwd=at or self.path,
            env=kept | WHO | plain,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, message: str, *files: str, tag: str | None = None) -> str:
        """Make a commit that touches files, and return its name."""
        for file in files:
            place = self.path / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(message)
            self.git("add", file)
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        if tag is not None:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree with one commit, tagged v6.12."""
    made = Tree(tmp_path / "linux")
    made.commit("Linux 6.12", tag="v6.12")
    return made
