"""Parts and an experiment of another package, found by the entry points in pyproject.toml."""
