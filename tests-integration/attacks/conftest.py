"""What the tests of attacks share."""

import sys
from pathlib import Path

# abuse.py is a module for run.py, too.
sys.path.insert(0, str(Path(__file__).resolve().parent))
