"""The machine that both engines run: programs of steps, state in one array, and the step function."""
