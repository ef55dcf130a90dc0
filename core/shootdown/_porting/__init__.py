"""What an architecture is written with: a ready lowering, costs, geometries, and what an instruction drops."""
