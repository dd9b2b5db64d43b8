"""Parts of another package: steadygrad finds them by the entry points in pyproject.toml."""
