"""Exploration: every interleaving of the steps that timed runs take, on a small machine."""
