"""The timed engine: each CPU has a clock, the earliest CPU takes the next step, costs come from the platform."""
