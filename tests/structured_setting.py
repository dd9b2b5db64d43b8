"""Images, networks and covariances that the tests of the structured penalty share."""

import torch
from torch import Tensor, nn

from conv_network import conv_network
from steadygrad.covariance import (
    Covariance,
    ExponentialCovariance,
    IdentityCovariance,
    estimate_covariance,
)

SHAPE = (2, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IMAGES = 0.2 + 0.6 * torch.rand(6, *SHAPE, dtype=torch.float64, generator=seeded())
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def smooth() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def training_network() -> nn.Sequential:
    return conv_network(SHAPE, classes=4, dropout=0.3).double()


def perturbations() -> Tensor:
    return torch.randn(30, *SHAPE, dtype=torch.float64, generator=seeded(1)) + 0.1


COVARIANCES: dict[str, Covariance] = {
    "identity": IdentityCovariance(SHAPE),
    "dense": estimate_covariance(perturbations(), "dense"),
    "stationary": estimate_covariance(perturbations(), "stationary"),
    "exponential": ExponentialCovariance(SHAPE, 2.0),
}


def parameter_gradient(model: nn.Module, scalar: Tensor) -> Tensor:
    gradients = torch.autograd.grad(scalar, list(model.parameters()), materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])
