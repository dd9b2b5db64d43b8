"""The shape of the loss against formulas of a linear network."""

import math

import torch
from scipy import stats
from torch import nn

from steadygrad.experiments.loss_shape import loss_shape, ranks


def two_class_network(weight: torch.Tensor) -> nn.Module:
    """Return logits (0, w x): the loss of class 0 is log(1 + exp(w x))."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weight.numel(), 2, bias=False)).double()
    with torch.no_grad():
        network[1].weight.copy_(torch.stack([torch.zeros_like(weight), weight]))
    return network


def test_a_linear_network_has_the_measures_of_the_formulas() -> None:
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    image = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    eps = 0.1
    shape = loss_shape(two_class_network(weight), image, torch.tensor([0]), eps)

    logit = float(image.flatten() @ weight)
    sigmoid = 1 / (1 + math.exp(-logit))
    length = sigmoid * float(weight.abs().sum())
    reached = math.log1p(math.exp(logit + eps * float(weight.abs().sum())))
    predicted = math.log1p(math.exp(logit)) + eps * length
    assert math.isclose(shape.length, length, rel_tol=1e-12)
    assert abs(shape.turn) < 1e-12
    assert math.isclose(shape.error, reached - predicted, rel_tol=1e-9)
    # Somewhere in the ball the logit is within eps |w|_1 of the image's.
    slope = float(weight.abs().sum())
    ends = [slope / (1 + math.exp(-(logit + sign * eps * slope))) for sign in (-1, 1)]
    assert ends[0] <= shape.neighbour_length <= ends[1]


def test_means_are_over_images_and_do_not_depend_on_the_chunks() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3)).double()
    images, labels = torch.rand(300, 1, 2, 2, dtype=torch.float64), torch.randint(3, (300,))
    whole = loss_shape(network, images, labels, 0.1)
    first = loss_shape(network, images[:100], labels[:100], 0.1)
    rest = loss_shape(network, images[100:], labels[100:], 0.1)
    for name in ("length", "turn", "error"):
        mean = (100 * getattr(first, name) + 200 * getattr(rest, name)) / 300
        assert math.isclose(getattr(whole, name), mean, rel_tol=1e-9)
    assert whole.turn > 0


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    values = torch.tensor([0.3, 0.1, 0.3, 0.2, 0.1, 0.3])
    assert ranks(values).tolist() == [4.0, 0.5, 4.0, 2.0, 0.5, 4.0]
    assert ranks(values).add(1).tolist() == list(stats.rankdata(values))
