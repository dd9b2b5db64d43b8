"""Laws of the structured penalty: its equations and its two backends."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from steadygrad.covariance import (
    Covariance,
    DenseCovariance,
    Exponential,
    IdentityCovariance,
    RunningCovariance,
)
from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ShapeError,
    UnknownNameError,
)
from steadygrad.penalties import FiniteDifference, SquaredNormPenalty
from steadygrad.penalties.structured import (
    CovarianceNorm,
    StructuredPenalty,
    strength_from_lambda,
)
from structured_setting import (
    COVARIANCES,
    IMAGES,
    LABELS,
    SHAPE,
    parameter_gradient,
    perturbations,
    seeded,
    smooth,
    training_network,
)

each_covariance = pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)


def linear() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 4)).double()


def logit_form(model: nn.Module, covariance: Covariance) -> Tensor:
    """Eq. (13): Omega from the gradients of the logits, with ordinary autograd through a matrix."""
    matrix, total = covariance.dense(), torch.zeros((), dtype=torch.float64)
    for image, label in zip(IMAGES, LABELS, strict=True):
        image = image.clone().requires_grad_()
        logits = model(image[None])[0]
        gradients = torch.stack(
            [torch.autograd.grad(f, image, create_graph=True)[0].flatten() for f in logits]
        )
        average = logits.softmax(dim=0) @ gradients
        deviation = gradients[label] - average
        total = total + deviation @ matrix @ deviation
    return total / len(IMAGES) / 2


@each_covariance
def test_equals_the_logit_form(covariance: Covariance) -> None:
    model = smooth()
    omega = logit_form(model, covariance)
    result = StructuredPenalty(strength=strength_from_lambda(0.3), covariance=covariance)(
        model, IMAGES, LABELS
    )
    torch.testing.assert_close(result.penalty, 0.3 * omega)
    torch.testing.assert_close(result.data_loss, cross_entropy(model(IMAGES), LABELS))
    torch.testing.assert_close(result.loss, result.data_loss + result.penalty)
    torch.testing.assert_close(result.logits, model(IMAGES))
    torch.testing.assert_close(
        parameter_gradient(model, result.penalty), parameter_gradient(model, 0.3 * omega)
    )


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
def test_equals_the_logit_form_on_random_logits(classes: int, scale: float) -> None:
    # Eq. (13): any logits f with any gradients; labels of low probability included.
    values = scale * torch.randn(30, classes, dtype=torch.float64, generator=seeded(classes))
    slopes = torch.randn(30, classes, 24, dtype=torch.float64, generator=seeded(classes + 1))
    labels = torch.arange(30) % classes
    images = torch.rand(30, *SHAPE, dtype=torch.float64, generator=seeded(2))

    def model(x: Tensor) -> Tensor:
        return values + torch.einsum("nkd,nd->nk", slopes, (x - images).flatten(start_dim=1))

    covariance = COVARIANCES["dense"]
    result = StructuredPenalty(strength=strength_from_lambda(1.0), covariance=covariance)(
        model, images, labels
    )
    average = torch.einsum("nk,nkd->nd", values.softmax(dim=1), slopes)
    deviation = slopes[range(30), labels] - average
    omega = torch.einsum("ni,ij,nj->n", deviation, covariance.dense(), deviation).mean() / 2
    torch.testing.assert_close(result.penalty, omega, rtol=1e-12, atol=0)


def test_the_stationary_operator_is_its_dense_matrix_to_float64_rounding() -> None:
    stationary, model = COVARIANCES["stationary"], smooth()
    dense = DenseCovariance(stationary.dense(), SHAPE)
    results = [
        StructuredPenalty(strength=0.7, covariance=each)(model, IMAGES, LABELS)
        for each in (stationary, dense)
    ]
    torch.testing.assert_close(results[0].penalty, results[1].penalty, rtol=1e-13, atol=0)
    gradients = [parameter_gradient(model, result.loss) for result in results]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


@each_covariance
def test_closed_form_on_softmax_regression(covariance: Covariance) -> None:
    model = linear()
    result = StructuredPenalty(strength=0.5, covariance=covariance)(model, IMAGES, LABELS)
    # Eq. (20): Omega = 1/2 E (w_y - <w>)' Sigma (w_y - <w>), and strength 1/2 is lambda 1.
    weight, probabilities = model[1].weight, model(IMAGES).softmax(dim=1)
    deviation = weight[LABELS] - probabilities @ weight
    expected = torch.einsum("ni,ij,nj->n", deviation, covariance.dense(), deviation).mean() / 2
    torch.testing.assert_close(result.penalty, expected)
    torch.testing.assert_close(
        parameter_gradient(model, result.penalty), parameter_gradient(model, expected)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_gives_the_gradient_norm_to_the_bit(dtype: torch.dtype) -> None:
    model, images = training_network().to(dtype), IMAGES.to(dtype)
    results = []
    for penalty in (
        StructuredPenalty(strength=0.7, covariance=IdentityCovariance(SHAPE)),
        SquaredNormPenalty(strength=0.7, norm="l2"),
    ):
        torch.manual_seed(0)  # the same dropout mask
        result = penalty(model, images, LABELS)
        results.append((result.loss.detach(), parameter_gradient(model, result.loss)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@each_covariance
def test_repeating_the_batch_changes_nothing(covariance: Covariance) -> None:
    penalty, model = StructuredPenalty(strength=1.0, covariance=covariance), smooth()
    once = penalty(model, IMAGES, LABELS)
    thrice = penalty(model, IMAGES.repeat(3, 1, 1, 1), LABELS.repeat(3))
    torch.testing.assert_close(thrice.penalty, once.penalty)


@each_covariance
@pytest.mark.parametrize("order", [1, 2])
def test_the_finite_difference_converges_with_its_order(covariance: Covariance, order: Any) -> None:
    model = smooth()
    exact = StructuredPenalty(strength=1.0, covariance=covariance)(model, IMAGES, LABELS)
    expected = parameter_gradient(model, exact.penalty)
    errors = []
    for step in (0.08, 0.04):
        backend = FiniteDifference(step_size=step, order=order)
        result = StructuredPenalty(strength=1.0, covariance=covariance, backend=backend)(
            model, IMAGES, LABELS
        )
        torch.testing.assert_close(result.penalty, exact.penalty)
        errors.append((parameter_gradient(model, result.penalty) - expected).norm())
    assert (errors[0] / errors[1]).item() == pytest.approx(2**order, rel=0.15)
    assert errors[1] < 0.1 * expected.norm()


def test_strength_zero_is_the_plain_loss_to_the_bit() -> None:
    running = RunningCovariance()
    penalty = StructuredPenalty(strength=0.0, covariance=running, source="pgd")
    result = penalty(smooth(), IMAGES, LABELS)
    plain = cross_entropy(smooth()(IMAGES), LABELS, reduction="none").mean()
    assert torch.equal(result.loss, plain)
    assert running.updates == 0


def test_never_negative_and_zero_where_the_covariance_is_blind() -> None:
    # A singular Sigma along one direction, in float32, and a gradient at a right angle to it.
    direction = torch.randn(24, generator=seeded(0))
    covariance = DenseCovariance(torch.outer(direction, direction), SHAPE)
    gradients = torch.randn(500, 24, generator=seeded(1))
    gradients -= (gradients @ direction)[:, None] * direction / direction.square().sum()
    norm = CovarianceNorm(covariance)
    images = gradients.view(500, *SHAPE)
    squared = norm.squared(images)
    raw = (images * covariance.apply(images)).sum(dim=(1, 2, 3))
    assert raw.min() < 0
    assert squared.min() == 0
    assert squared.max() < 1e-5 * (raw.abs().max() + 24 * 24)
    length, steepest = norm.steepest(images)
    assert length.isfinite().all() and steepest.isfinite().all()


def test_the_steepest_direction_attains_the_norm() -> None:
    gradient = torch.randn(4, *SHAPE, dtype=torch.float64, generator=seeded())
    gradient[2] = 0
    for covariance in COVARIANCES.values():
        norm = CovarianceNorm(covariance)
        length, direction = norm.steepest(gradient)
        torch.testing.assert_close((direction * gradient).sum(dim=(1, 2, 3)), length)
        torch.testing.assert_close(length.square(), norm.squared(gradient))
        assert (direction[2] == 0).all()


def test_the_mean_shift_is_equation_12() -> None:
    model, covariance = smooth(), COVARIANCES["dense"]
    mean = torch.randn(SHAPE, dtype=torch.float64, generator=seeded(3))
    result = StructuredPenalty(
        strength=strength_from_lambda(0.3), covariance=covariance, mean=mean
    )(model, IMAGES, LABELS)
    images = IMAGES.clone().requires_grad_()
    log_probability = log_softmax(model(images), dim=1)[range(6), LABELS].sum()
    (gradient,) = torch.autograd.grad(log_probability, images, create_graph=True)
    shift = -(gradient * mean).sum() / 6
    expected = 0.3 * (shift + logit_form(model, covariance))
    torch.testing.assert_close(result.penalty, expected)
    torch.testing.assert_close(
        parameter_gradient(model, result.penalty), parameter_gradient(model, expected)
    )


def test_the_running_mean_is_the_one_of_the_perturbations() -> None:
    running = RunningCovariance("dense")
    running.update(perturbations())
    shifted = StructuredPenalty(strength=1.0, covariance=running, mean="running")
    fixed = StructuredPenalty(strength=1.0, covariance=running.current, mean=running.mean)
    first, second = (penalty(smooth(), IMAGES, LABELS).penalty for penalty in (shifted, fixed))
    assert torch.equal(first, second)
    assert running.mean.abs().max() > 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"strength": -0.1}, HyperparameterError, r"strength >= 0, got -0\.1"),
        ({"strength": math.nan}, HyperparameterError, "strength >= 0"),
        ({"every": 0}, HyperparameterError, "every >= 1"),
        ({"source": "gradient"}, HyperparameterError, "RunningCovariance to learn"),
        (
            {"source": "fgms", "covariance": RunningCovariance()},
            UnknownNameError,
            "'fgms' .did you mean 'fgsm'.*; choose one of gradient, fgsm, pgd, deepfool",
        ),
        ({"covariance": "exponential:2"}, HyperparameterError, r"built for images, got .*prepared"),
        ({"covariance": Exponential(decay_length=2)}, HyperparameterError, "built for images"),
        ({"mean": "running"}, HyperparameterError, "with a RunningCovariance"),
        ({"mean": torch.full(SHAPE, math.nan)}, HyperparameterError, "NaN"),
        ({"backend": "magic"}, UnknownNameError, "magic"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        StructuredPenalty(**{"strength": 1.0, "covariance": COVARIANCES["identity"]} | settings)


def test_bad_input_is_refused() -> None:
    penalty = StructuredPenalty(strength=1.0, covariance=COVARIANCES["stationary"])
    with pytest.raises(ImageError):
        penalty(smooth(), IMAGES * 255, LABELS)
    with pytest.raises(LabelError):
        penalty(smooth(), IMAGES, LABELS.float())
    with pytest.raises(ShapeError, match=r"\(batch, 2, 4, 3\)"):
        penalty(smooth(), IMAGES.transpose(2, 3), LABELS)
    shifted = StructuredPenalty(
        strength=1.0, covariance=COVARIANCES["identity"], mean=torch.ones(1, 4, 3)
    )
    with pytest.raises(ShapeError, match="mean of shape"):
        shifted(smooth(), IMAGES, LABELS)
