"""Weights of anyone's model, under the name by which the commands have known them."""

from steadygrad.models import load_weights

__all__ = ["load_weights"]
