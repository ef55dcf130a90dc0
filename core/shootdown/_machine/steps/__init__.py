"""The table of steps: a row for each, with everything about it that is not its step function."""
