"""Raises an error."""

raise ZeroDivisionError("of a file")
