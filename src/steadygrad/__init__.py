"""Image classifiers that stay right when their input is disturbed: input-gradient regularization for PyTorch."""

__version__ = "0.1.0"

__all__ = ["__version__"]
