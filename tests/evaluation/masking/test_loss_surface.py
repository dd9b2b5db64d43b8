"""The loss surface around an example: the plane of a linear model, and its file."""

import pytest
import torch

from evaluation.masking.conftest import MakeSample
from evaluation.masking.known_models import Linear, linear
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.masking.loss_surface import LossSurface, loss_surface


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_surface_of_a_linear_model_is_a_plane(sample_of: MakeSample, norm: str) -> None:
    model = Linear()
    surface = loss_surface(linear(sample_of, model, norm=norm), 0, points=5)
    weight = model.weight.detach()
    steepness = float(weight.abs().sum() if norm == "linf" else weight.norm())
    assert surface.offsets == pytest.approx((-0.2, -0.1, 0.0, 0.1, 0.2))
    middle = surface.margin[2]
    assert middle == pytest.approx([0.5 - offset * steepness for offset in surface.offsets])
    rises = torch.tensor(surface.margin) - torch.tensor(middle)
    torch.testing.assert_close(rises, rises[:, :1].expand(5, 5), atol=1e-5, rtol=0)
    assert rises[3, 0] == pytest.approx(-float(rises[1, 0]), abs=1e-5)
    losses = torch.nn.functional.softplus(-torch.tensor(surface.margin))
    torch.testing.assert_close(torch.tensor(surface.cross_entropy), losses, atol=1e-5, rtol=0)


def test_surfaces_go_to_json_and_back(sample_of: MakeSample) -> None:
    surface = loss_surface(linear(sample_of), 3, points=3)
    assert surface.example == 3
    again = LossSurface.from_json(surface.to_json())
    assert LossSurface.from_json(again.to_json()) == again
    assert again.margin[1] == pytest.approx(surface.margin[1], rel=1e-5)
    with pytest.raises(HyperparameterError, match="expected an odd number of points >= 3, got 4"):
        loss_surface(linear(sample_of), 0, points=4)
