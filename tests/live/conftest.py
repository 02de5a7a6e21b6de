"""The browser logs in as for the README's pictures, by a script that is no installed package; tests find it here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
