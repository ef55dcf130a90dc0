"""Lets the benchmarks import one another, and keeps one list of what was measured for each section."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
