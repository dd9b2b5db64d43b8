"""``python -m steadygrad.cli`` is the same as ``steadygrad``."""

from steadygrad.cli.application import main

main()
