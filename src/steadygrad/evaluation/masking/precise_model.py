"""The same model in float64: what rounding hides from float32 shows there."""

import copy

import torch
from torch import nn

from steadygrad._typing import Classifier, Images

__all__ = ["precise_model"]


def precise_model(model: Classifier, images: Images) -> nn.Module | None:
    """Return a float64 copy of the model, or None if there is none that computes in float64.

    The model itself stays as it is. A plain callable cannot be copied; a module may refuse to be,
    may round on its way, or may live where there is no float64.
    """
    if not isinstance(model, nn.Module):
        return None
    try:
        precise = copy.deepcopy(model).double().requires_grad_(False)
        with torch.no_grad():
            logits = precise(images[:1].double())
    except Exception:  # whatever a foreign model raises, the answer is that there is no copy
        return None
    return precise if logits.dtype == torch.float64 else None
