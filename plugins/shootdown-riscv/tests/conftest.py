"""Makes `riscv_twin` importable: the slow walk, written from the manual, that the formats are compared with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
