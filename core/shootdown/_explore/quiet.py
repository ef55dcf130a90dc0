"""Whether the moment of a step is observable to others: computed by `footprint`, used by `moves`."""

SEEN = 0  # observable: the step is not local
QUIET = 1  # unobservable: the step is local
QUIET_ONCE_POSSIBLE = 2  # local as soon as it is possible; it may have to wait first
QUIET_AND_ENABLING = 3  # local, but it makes moves of others possible, so that it ends its move
