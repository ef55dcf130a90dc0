"""Traces of memory accesses: their files, read block by block so that none is too large."""
