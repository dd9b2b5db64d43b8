"""What ``benchmarks/accelerator.py`` measures on one device; needs torch and numpy alone."""

__all__: list[str] = []
