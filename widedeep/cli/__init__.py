"""The steps from a shell. Results go to standard output, the story to standard error; `--json` gives what a program can read.

Exit status: 0 done, 1 a fault, 2 wrong usage. Heavy imports stand inside the commands, so that `--help` answers at once.
"""

import sys

from widedeep.cli.terminal import app, err
from widedeep.errors import UsageError, WidedeepError
from widedeep.local.commands import app as local_app

# isort: split
# In the order of the help.
from widedeep.cli import running, auditing, serving, looking, comparing, contracts, correcting, deciding, keeping, sources  # noqa: F401, I001

app.add_typer(local_app, name="local", rich_help_panel="This machine")


def main() -> None:
    """Entry point: a known error is one clear message, never a stack trace."""
    try:
        app()
    except UsageError as error:
        fail(error, 2)
    except WidedeepError as error:
        fail(error, 1)


def fail(error: WidedeepError, status: int) -> None:
    err.print("error:", style="bold red", end=" ")
    err.print(str(error), markup=False, emoji=False, highlight=False, soft_wrap=True)
    sys.exit(status)
