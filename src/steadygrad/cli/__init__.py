"""The command line: ``steadygrad COMMAND``, one file a command."""

from steadygrad.cli.application import app, main

__all__ = ["app", "main"]
