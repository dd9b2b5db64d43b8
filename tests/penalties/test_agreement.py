"""The finite difference's own step, and its comparison with the exact gradient on a first batch."""

import logging
from typing import Any

import pytest
import torch
from torch import nn

from conv_network import conv_network
from steadygrad.errors import HyperparameterError
from steadygrad.held_statistics import held_statistics
from steadygrad.models import build_model
from steadygrad.penalties import (
    L2,
    BackendAgreement,
    CovarianceNorm,
    DoubleBackprop,
    FiniteDifference,
    NormPenalty,
    SquaredNormPenalty,
    StructuredPenalty,
    compare_backends,
    first_agreement,
    note_first_agreement,
)
from structured_setting import COVARIANCES, IMAGES, LABELS, SHAPE, parameter_gradient, smooth

X = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(4, (12,), generator=torch.Generator().manual_seed(1))


def gelu() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.GELU(),
        nn.Linear(32, 4),
    )


def complex_network() -> nn.Module:
    torch.manual_seed(0)
    return build_model("yeats2021-mnist-complex", input_shape=(1, 8, 8), num_classes=4)


def relu(width: int = 256) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), *layers, nn.Linear(width, 4))


# The step.


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("build", [gelu, complex_network])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_automatic_step_agrees_with_the_exact_gradient(
    dtype: torch.dtype, build: Any, norm: str, power: int, order: Any
) -> None:
    agreement = compare_backends(
        FiniteDifference(order=order), build().to(dtype), X.to(dtype), Y, norm=norm, power=power
    )
    assert agreement.cosine > 0.99
    assert agreement.length_ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("build", "order", "least"),
    [(gelu, 1, 0.98), (gelu, 2, 0.99), (complex_network, 1, 0.8), (complex_network, 2, 0.9)],
)
def test_the_automatic_step_holds_under_half_precision(
    build: Any, order: Any, least: float
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        agreement = compare_backends(FiniteDifference(order=order), build(), X, Y)
    assert agreement.cosine > least


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("order", [1, 2])
def test_both_backends_mean_the_same_under_batch_norm(
    order: Any, statistics: Any, power: int
) -> None:
    model = conv_network(SHAPE, classes=4, dropout=0.3).double()
    model(IMAGES)  # running statistics of their own
    agreement = compare_backends(
        FiniteDifference(order=order, statistics=statistics),
        model,
        IMAGES,
        LABELS,
        power=power,
    )
    assert agreement.cosine > 0.9999
    # What moved every image equally far measured another derivative.
    if statistics == "batch" and power == 2:
        old = FiniteDifference(order=2, step_size=1e-5)
        assert compare_backends(old, model, IMAGES, LABELS).cosine < agreement.cosine - 1e-4


@pytest.mark.parametrize("backend", [DoubleBackprop, FiniteDifference])
def test_running_statistics_give_each_image_its_own_gradient(backend: Any) -> None:
    model = conv_network(SHAPE, classes=4, dropout=0.0).double()
    model(IMAGES)
    penalty = SquaredNormPenalty(strength=1.0, backend=backend(statistics="running"))
    with held_statistics(model):
        together = penalty(model, IMAGES, LABELS)
    state = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with held_statistics(model):
        model(IMAGES)  # what the penalty's data pass learns before
        model.eval()
        alone = [
            penalty(model, IMAGES[i : i + 1], LABELS[i : i + 1]).penalty for i in range(len(IMAGES))
        ]
        model.train()
    torch.testing.assert_close(together.penalty, torch.stack(alone).mean())
    plain = SquaredNormPenalty(strength=0.0)(model, IMAGES, LABELS)
    assert torch.equal(together.data_loss, plain.data_loss)
    assert any(not torch.equal(buffer, state[name]) for name, buffer in model.named_buffers())


def test_a_difference_along_a_covariance_with_a_mean_agrees() -> None:
    mean = 0.1 * torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    norm = CovarianceNorm(COVARIANCES["dense"], mean)
    agreement = compare_backends(FiniteDifference(order=2), smooth(), IMAGES, LABELS, norm=norm)
    assert agreement.cosine > 0.9999
    results = [
        StructuredPenalty(
            strength=1.0, covariance=COVARIANCES["dense"], mean=mean, backend=backend
        )(smooth(), IMAGES, LABELS)
        for backend in ("double-backprop", "finite-difference")
    ]
    torch.testing.assert_close(results[0].penalty, results[1].penalty)


def test_a_step_of_ones_own_is_the_formula() -> None:
    # (loss(x + h v) - loss(x)) / h, weighted by twice the length: what it has always been.
    model, h = smooth(), 0.05
    images = IMAGES.clone().requires_grad_()
    losses = nn.functional.cross_entropy(model(images), LABELS, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), images, retain_graph=True)
    length, direction = L2().steepest(gradient)
    moved = nn.functional.cross_entropy(model(IMAGES + h * direction), LABELS, reduction="none")
    expected = (2 * length * ((moved - losses) / h)).mean()
    terms = FiniteDifference(step_size=h)(model, IMAGES, LABELS, L2())
    assert torch.equal(
        parameter_gradient(model, terms.norms.mean()), parameter_gradient(model, expected)
    )


# The comparison.


def test_the_first_batch_is_compared_once_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    model, penalty = gelu(), SquaredNormPenalty(strength=1.0, backend=FiniteDifference())
    assert first_agreement(model) is None
    with caplog.at_level(logging.INFO, logger="steadygrad"):
        penalty(model, X, Y)
        penalty(model, X, Y)
    assert sum("cosine" in record.message for record in caplog.records) == 1
    agreement = first_agreement(model)
    assert agreement is not None and agreement.cosine > 0.99


def test_the_comparison_leaves_no_trace() -> None:
    def step(minimum: float | None) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        torch.manual_seed(3)
        model = conv_network(SHAPE, classes=4, dropout=0.3).double()
        backend = FiniteDifference(step_size=1e-4, minimum_cosine=minimum)
        result = SquaredNormPenalty(strength=0.1, backend=backend)(model, IMAGES, LABELS)
        result.loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        buffers = [buffer.clone() for buffer in model.buffers()]
        return parameter_gradient(model, model(IMAGES).sum()), buffers, torch.get_rng_state()

    compared, not_compared = step(-1.0), step(None)
    assert torch.equal(compared[0], not_compared[0])
    assert all(map(torch.equal, compared[1], not_compared[1]))
    assert torch.equal(compared[2], not_compared[2])


def test_kinks_are_refused_with_the_ways_out() -> None:
    penalty = NormPenalty(eps=0.01, backend=FiniteDifference())
    message = r"within cosine 0\.8 of the exact one, got .*double-backprop.*GELU.*step_size of your"
    with pytest.raises(HyperparameterError, match=message):
        penalty(relu(), X, Y)
    NormPenalty(eps=0.01, backend=FiniteDifference(step_size=0.01))(relu(), X, Y)
    NormPenalty(eps=0.01, backend=FiniteDifference(minimum_cosine=-1.0))(relu(), X, Y)


def test_a_resumed_training_does_not_compare_a_later_batch() -> None:
    model, before = relu(), BackendAgreement(cosine=0.9, length_ratio=1.1)
    note_first_agreement(model, before)
    NormPenalty(eps=0.01, backend=FiniteDifference())(model, X, Y)
    assert first_agreement(model) is before


def test_a_model_without_a_parameter_to_learn_is_not_compared() -> None:
    frozen = smooth().requires_grad_(False)
    found = SquaredNormPenalty(strength=0.3, backend=FiniteDifference())(frozen, IMAGES, LABELS)
    exact = SquaredNormPenalty(strength=0.3)(frozen, IMAGES, LABELS)
    torch.testing.assert_close(found.penalty, exact.penalty)
    assert first_agreement(frozen) is None


def test_a_model_without_second_derivative_is_not_compared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Hardsigmoid(), nn.Linear(6, 4))
    with caplog.at_level(logging.INFO, logger="steadygrad"):
        NormPenalty(eps=0.01, backend=FiniteDifference())(model, X, Y)
    assert "not compared" in caplog.text


class Phases(nn.Module):
    """A complex product, by one complex parameter or by a pair of real numbers for each entry."""

    def __init__(self, *, pairs: bool) -> None:
        super().__init__()
        drawn = torch.randn(4, 64, 2, generator=torch.Generator().manual_seed(0)).double()
        self.weight = nn.Parameter(drawn if pairs else torch.view_as_complex(drawn))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weight = self.weight if self.weight.is_complex() else torch.view_as_complex(self.weight)
        z = images.flatten(start_dim=1).to(weight.dtype) @ weight.T
        return torch.view_as_real(z).square().sum(dim=-1).add(1e-6).sqrt()


def test_complex_parameters_count_with_both_parts() -> None:
    coarse = FiniteDifference(step_size=0.3)
    found, expected = (
        compare_backends(coarse, Phases(pairs=pairs), X.double(), Y) for pairs in (False, True)
    )
    assert found.cosine == pytest.approx(expected.cosine, rel=1e-9)
    assert found.length_ratio == pytest.approx(expected.length_ratio, rel=1e-9)
    assert expected.cosine < 0.999  # the step is coarse enough to tell them apart
