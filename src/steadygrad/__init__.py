"""Image classifiers that stay right when their input is disturbed, without training on attacks."""

__version__ = "0.1.0"

__all__ = ["__version__"]
