"""Lets the benchmarks import one another, keeps one list of figures for each section, and compiles at once."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# What is measured is compiled code: a kernel that runs as plain Python meanwhile would be measured as that.
os.environ.setdefault("SHOOTDOWN_COMPILE", "now")
