"""A method for each step, as programs write it: a file for each family, written from the table of steps."""
