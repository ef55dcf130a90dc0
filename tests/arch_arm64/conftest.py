"""Makes `twins` importable: the slow, obvious counterparts that kernels are compared with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
