"""Compare the cases of many numbers: `python -m tests.twins.machine SEED FIRST AFTER_LAST [NAME...]`.

Says what was compared. With names only those scenarios are asked for, and with `drawn` the programs that are drawn.
"""

from __future__ import annotations

import sys
import time

from tests.twins.machine.cases import Tally, compare


def main() -> int:
    seed, first, last = (int(word) for word in sys.argv[1:4])
    tally, told = Tally(), time.monotonic()
    for number in range(first, last):
        for difference in compare(number, tally, seed=seed, only=sys.argv[4:]):
            tally.found.append(difference)
            print(difference[:2000], flush=True)
        if time.monotonic() - told > 60 or number == last - 1:
            told = time.monotonic()
            print(
                f"seed {seed}, {number + 1 - first} questions: {tally.runs} runs, {tally.searches} searches, "
                f"{tally.walks} walks, {len(tally.found)} differences, {time.process_time():.0f} s of CPU time",
                flush=True,
            )
    return 1 if tally.found else 0


if __name__ == "__main__":
    raise SystemExit(main())
