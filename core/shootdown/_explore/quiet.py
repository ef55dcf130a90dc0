"""Whether anybody else can tell when a step happens: what `footprint` works out, and `moves` goes by."""

SEEN = 0  # somebody can
QUIET = 1  # nobody can: it is as good later as sooner
QUIET_ONCE_POSSIBLE = 2  # the same; it may have to wait first
QUIET_AND_ENABLING = 3  # nobody can, but it makes others' moves possible: later, those would be missed
