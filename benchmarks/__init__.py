"""Benchmarks: everything is a ratio, measured side by side in one run, of things that gave equal results first."""
