"""Start the command line: `shootdown ...` and `python -m shootdown ...`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the process was started with; Ctrl-C is no traceback while modules are imported either."""
    try:
        from shootdown._cli import main as run

        run()
    except KeyboardInterrupt:
        print("shootdown: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
