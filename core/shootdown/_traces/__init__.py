"""Traces of memory accesses: what is in their files, read block by block so that none is too large."""
