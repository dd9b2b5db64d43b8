"""Laws of the structured penalty: its equations, its two backends, and how it learns Sigma."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from steadygrad.attacks import PGD
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.covariance import (
    Covariance,
    DenseCovariance,
    ExponentialCovariance,
    IdentityCovariance,
    RunningCovariance,
    estimate_covariance,
)
from steadygrad.errors import (
    CheckpointError,
    CovarianceError,
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

SHAPE = (2, 4, 3)
SOURCES = ["gradient", "fgsm", "pgd", "deepfool"]
each_source = pytest.mark.parametrize("source", SOURCES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IMAGES = 0.2 + 0.6 * torch.rand(6, *SHAPE, dtype=torch.float64, generator=seeded())
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])


def linear() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 4)).double()


def smooth() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def training_network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(48, 4),
        ).double()


def perturbations() -> Tensor:
    return torch.randn(30, *SHAPE, dtype=torch.float64, generator=seeded(1)) + 0.1


COVARIANCES: dict[str, Covariance] = {
    "identity": IdentityCovariance(SHAPE),
    "dense": estimate_covariance(perturbations(), "dense"),
    "stationary": estimate_covariance(perturbations(), "stationary"),
    "exponential": ExponentialCovariance(SHAPE, 2.0),
}
each_covariance = pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)


def parameter_gradient(model: nn.Module, scalar: Tensor) -> Tensor:
    gradients = torch.autograd.grad(scalar, list(model.parameters()), materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


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


def own_perturbations(source: str, model: nn.Module) -> Tensor:
    """What each source should show the covariance, computed by hand."""
    if source == "pgd":
        attack = PGD(
            eps=8 / 255,
            steps=10,
            step_size=8 / 255 / 5,
            random_start=False,
            start_from_prediction=True,
        )
        return attack(model, IMAGES, LABELS) - IMAGES
    if source == "deepfool":
        return DeepFool()(model, IMAGES, LABELS) - IMAGES
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(model(images), LABELS, reduction="sum"), images)
    return gradient if source == "gradient" else gradient.sign()


@each_source
@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_a_running_covariance_learns_before_the_penalty_is_taken(source: Any, backend: Any) -> None:
    model, running = smooth(), RunningCovariance("dense")
    result = StructuredPenalty(strength=1.0, covariance=running, source=source, backend=backend)(
        model, IMAGES, LABELS
    )
    expected = estimate_covariance(own_perturbations(source, model), "dense")
    torch.testing.assert_close(running.dense(), expected.dense())
    fixed = StructuredPenalty(strength=1.0, covariance=expected, backend=backend)
    torch.testing.assert_close(result.penalty, fixed(model, IMAGES, LABELS).penalty)
    torch.testing.assert_close(
        parameter_gradient(model, result.loss),
        parameter_gradient(model, fixed(model, IMAGES, LABELS).loss),
    )


@each_source
def test_a_source_leaves_no_gradient_and_no_mode_behind(source: Any) -> None:
    plain, learning = training_network(), training_network()
    for model in (plain, learning):
        model[3].eval()  # frozen by the user
    fixed = StructuredPenalty(strength=1.0, covariance=COVARIANCES["stationary"])
    fixed(plain, IMAGES, LABELS)
    modes = [module.training for module in learning.modules()]
    state = torch.get_rng_state()
    penalty = StructuredPenalty(
        strength=1.0, covariance=RunningCovariance("stationary"), source=source
    )
    penalty(learning, IMAGES, LABELS)
    assert [module.training for module in learning.modules()] == modes
    assert all(parameter.grad is None for parameter in learning.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    # Batch norm saw the batch once, as in a step without a source.
    for ours, theirs in zip(learning.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@each_source
@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_gradients_and_flags_that_were_there_stay(source: Any, backend: Any) -> None:
    model, images = training_network(), IMAGES.clone()
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(index))
    model[0].bias.requires_grad_(False)  # frozen by the user
    flags = [parameter.requires_grad for parameter in model.parameters()]
    penalty = StructuredPenalty(
        strength=1.0, covariance=RunningCovariance(), source=source, backend=backend
    )
    penalty(model, images, LABELS)
    for index, parameter in enumerate(model.parameters()):
        assert parameter.grad is not None and (parameter.grad == index).all()
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert torch.equal(images, IMAGES) and not images.requires_grad and images.grad is None


def test_modes_come_back_after_an_error_in_the_source() -> None:
    def broken(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("no attack today")

    model = training_network()
    penalty = StructuredPenalty(strength=1.0, covariance=RunningCovariance(), source=broken)
    with pytest.raises(RuntimeError, match="no attack today"):
        penalty(model, IMAGES, LABELS)
    assert all(module.training for module in model.modules())


def test_an_attack_of_ones_own_is_a_source() -> None:
    running, attack = RunningCovariance("dense"), PGD(eps=0.05, random_start=False)
    model = smooth()
    StructuredPenalty(strength=1.0, covariance=running, source=attack)(model, IMAGES, LABELS)
    expected = estimate_covariance(attack(model, IMAGES, LABELS) - IMAGES, "dense")
    torch.testing.assert_close(running.dense(), expected.dense())


@each_source
def test_every_third_batch_is_learned_from(source: Any) -> None:
    running = RunningCovariance()
    penalty = StructuredPenalty(strength=1.0, covariance=running, source=source, every=3)
    updates = []
    for _ in range(7):
        penalty(smooth(), IMAGES, LABELS)
        updates.append(running.updates)
    assert updates == [1, 1, 1, 2, 2, 2, 3]


def test_a_running_covariance_without_source_is_left_to_the_user() -> None:
    running = RunningCovariance()
    penalty = StructuredPenalty(strength=1.0, covariance=running)
    with pytest.raises(CovarianceError, match="before its first update"):
        penalty(smooth(), IMAGES, LABELS)
    running.update(perturbations())
    penalty(smooth(), IMAGES, LABELS)
    assert running.updates == 1


def test_useless_perturbations_are_passed_over() -> None:
    running, model = RunningCovariance(), smooth()
    penalty = StructuredPenalty(strength=1.0, covariance=running, source="gradient")
    nn.init.zeros_(model[1].weight)
    assert penalty(model, IMAGES, LABELS).penalty == 0
    assert running.updates == 0
    nn.init.constant_(model[1].weight, math.nan)
    assert penalty(model, IMAGES, LABELS).loss.isnan()
    assert running.updates == 0


def test_a_restored_state_continues_to_the_bit() -> None:
    def fresh() -> StructuredPenalty:
        running = RunningCovariance("stationary", decay=0.3)
        return StructuredPenalty(strength=1.0, covariance=running, source="fgsm", every=2)

    model, penalty, resumed = smooth(), fresh(), fresh()
    for _ in range(3):
        penalty(model, IMAGES, LABELS)
    state = penalty.state_dict()
    resumed.load_state_dict(state)
    for images in (IMAGES, IMAGES.flip(0), IMAGES.flip(3)):
        first, second = (each(model, images, LABELS) for each in (penalty, resumed))
        assert torch.equal(first.loss, second.loss)
    assert resumed.state_dict()["calls"] == 6
    fixed = StructuredPenalty(strength=1.0, covariance=COVARIANCES["identity"])
    fixed.load_state_dict(fixed.state_dict())
    with pytest.raises(CheckpointError, match="IdentityCovariance"):
        fixed.load_state_dict(state)


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
            "gradient, fgsm, pgd, deepfool, got 'fgms'",
        ),
        ({"mean": "running"}, HyperparameterError, "with a RunningCovariance"),
        ({"mean": torch.full(SHAPE, math.nan)}, HyperparameterError, "NaN"),
        (
            {"mean": torch.ones(SHAPE), "backend": "finite_difference"},
            HyperparameterError,
            "double_backprop along with a mean",
        ),
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
