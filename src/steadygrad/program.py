"""What the command ``steadygrad`` starts: the command line, if its libraries are installed."""

import sys

from steadygrad.errors import MissingExtraError
from steadygrad.extras import extra

__all__ = ["main"]


def main() -> None:
    """Run the command line; without its libraries, name the command that installs them.

    Raises:
        SystemExit: as ``steadygrad.cli.main``; 2 without the libraries.
    """
    try:
        with extra("train"):
            from steadygrad.cli import main as command_line
    except MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    command_line()
