"""The benchmarks are no installed package: `python -m benchmarks` finds them in the working directory, tests find them here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
