"""What a model computes, in a digest: a result found under it is of this model."""

import hashlib

import torch
from torch import nn

from steadygrad._typing import Classifier, Images
from steadygrad.evaluation.model_digest import structure_digest, weights_digest

__all__ = ["model_fingerprint"]

_PROBES = 8
_DIGITS = 3
"""Of outputs and gradients, significant: rounding differs between machines and batch sizes."""


def model_fingerprint(model: Classifier, images: Images) -> str:
    """Return SHA-256 over a model's weights, structure and behaviour on a few of the images.

    Neither weights nor what a model prints as says what its ``forward`` computes: a factor on the
    logits, or rounding in front of the network, shows in neither. So its outputs and the lengths
    of their input gradients on up to 8 images count too, to three digits.

    images: on the model's device; the model is in eval mode already.
    """
    probes = images[:_PROBES]
    devices = [probes.device] if probes.device.type == "cuda" else []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.random.fork_rng(devices=devices),
    ):
        torch.manual_seed(0)
        probes = probes.detach().clone().requires_grad_()
        logits = model(probes)
        (gradient,) = torch.autograd.grad(logits.square().sum(), probes)
    lengths = gradient.flatten(start_dim=1).double().norm(dim=1)
    numbers = [*logits.detach().double().flatten().tolist(), *lengths.tolist()]
    behaviour = " ".join(f"{number:.{_DIGITS}g}" for number in numbers)
    structure = structure_digest(model) if isinstance(model, nn.Module) else None
    text = f"{weights_digest(model)} {structure} {behaviour}"
    return hashlib.sha256(text.encode()).hexdigest()
