"""Building blocks for architectures: a ready lowering, costs, geometries, and scopes of instructions."""
