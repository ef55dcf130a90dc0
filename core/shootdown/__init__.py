"""Emulate how Linux tears down and unshares page tables, on each architecture."""
