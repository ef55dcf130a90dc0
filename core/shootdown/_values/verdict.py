"""The verdicts of scenarios, in words: what reads a verdict needs these, and no search."""

from __future__ import annotations

SAFE, BUG, LIVELOCK, INCONCLUSIVE = "safe", "bug", "livelock", "inconclusive"
NOT_APPLICABLE = "not-applicable"
#: Nothing breaks, and nothing was tried: a place of the scenario's window was not reached.
VACUOUS = "vacuous"
#: All of them; see `docs/reference/explore.md`.
VERDICTS = (SAFE, BUG, LIVELOCK, VACUOUS, NOT_APPLICABLE, INCONCLUSIVE)
#: Those that answer nothing; commands exit with status 3.
NO_ANSWER = (INCONCLUSIVE, VACUOUS)
#: The invariant that is broken by a state in which a task waits for ever.
DEADLOCK = "deadlock"
