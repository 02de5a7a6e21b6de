"""`python -m widedeep.local`: the stack alone, for when the rest of the library can't be imported."""

import sys

from widedeep.errors import StackError
from widedeep.local.commands import app

try:
    app()
except StackError as error:
    sys.exit(f"error: {error}")
