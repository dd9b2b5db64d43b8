"""Whether a penalised step under autocast is as exact with our layers as with PyTorch's."""

import torch
from torch import Tensor, nn

from device_suite.record import Values
from steadygrad.penalties import SquaredNormPenalty

__all__ = ["gradient_of_all", "halves_are_as_exact", "mixed_network", "with_pytorchs_layers"]


def halves_are_as_exact(device: torch.device) -> Values:
    """Compare a penalised step in bfloat16 with our layers and with PyTorch's, to the exact one."""
    exact = gradient_of_all(mixed_network().double())
    networks = {"ours": mixed_network(), "pytorchs": with_pytorchs_layers(mixed_network())}
    errors = {}
    for name, network in networks.items():
        found = gradient_of_all(network.to(device), precision=torch.bfloat16)
        errors[name] = float(f"{((found - exact).norm() / exact.norm()).item():.2e}")
    assert errors["ours"] < max(2 * errors["pytorchs"], 0.01), f"errors of {errors}"
    return errors


def mixed_network() -> nn.Sequential:
    """Return a network with one of each layer that is ours in half precision, always the same."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(54, 5),
    )


def with_pytorchs_layers(network: nn.Sequential) -> nn.Sequential:
    """Keep PyTorch's layers: double backpropagation turns them into ours, but no subclasses."""
    for module in network:
        module.__class__ = type("Kept", (type(module),), {})
    return network


def gradient_of_all(network: nn.Module, precision: torch.dtype | None = None) -> Tensor:
    """Return the gradient of a penalised step by all parameters, float64 on the CPU.

    precision: of autocast during the forward pass and the penalty; None is without.
    """
    parameters = list(network.parameters())
    device, dtype = parameters[0].device, parameters[0].dtype
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(8, 1, 8, 8, generator=generator).to(device, dtype)
    labels = torch.randint(5, (8,), generator=generator).to(device)
    with torch.autocast(device.type, precision, enabled=precision is not None):
        loss = SquaredNormPenalty(strength=0.1)(network, images, labels).loss
    gradients = torch.autograd.grad(loss, parameters)
    return torch.cat([gradient.cpu().double().flatten() for gradient in gradients])
