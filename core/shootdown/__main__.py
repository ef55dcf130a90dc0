"""Start the command line: `shootdown ...` and `python -m shootdown ...`."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the process was started with; Ctrl-C is no traceback while modules are imported either."""
    # Modules and programs live as long as the process: collecting them again and again takes a tenth of start-up.
    gc.set_threshold(250_000, 50, 100)
    # numpy starts a thread for each CPU, for algebra that nobody asks for here: a quarter of the time to import it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from shootdown._cli import main as run

        run()
    except KeyboardInterrupt:
        print("shootdown: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
