"""What two models, or two sets of examples, share if a result of one holds for the other."""

import hashlib
import re

import torch
from torch import nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.evaluation.accuracy import model_device

__all__ = ["examples_digest", "model_fingerprint"]

_PROBES = 8
_DIGITS = 3
"""Of outputs and gradients, significant: rounding differs between machines and batch sizes."""


def examples_digest(images: Images, labels: Labels) -> str:
    """Return SHA-256 over shape, dtype and values of images and labels."""
    digest = hashlib.sha256()
    for tensor in (images, labels):
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_digest(model: Classifier) -> str | None:
    if not isinstance(model, nn.Module):
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def model_fingerprint(model: Classifier, images: Images, weights: str | None) -> str:
    """Return SHA-256 over a model's structure, weights and behaviour on a few of the images.

    Weights alone do not say what a model computes: a factor on the logits, or rounding in front
    of the network, has none. So what it is printed as counts too, and its outputs and the length
    of their input gradients on up to 8 images, to three digits. The model is in eval mode already.

    weights: digest of the weights, None for a callable without any.
    """
    probes = images[:_PROBES].to(model_device(model, images))
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
    structure = re.sub(r"0x[0-9a-f]+", "", repr(model)) if isinstance(model, nn.Module) else ""
    return hashlib.sha256(f"{weights}\n{structure}\n{behaviour}".encode()).hexdigest()
