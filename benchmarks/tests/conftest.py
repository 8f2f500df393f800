"""Modules of benchmarks import one another without a package, as programs do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
