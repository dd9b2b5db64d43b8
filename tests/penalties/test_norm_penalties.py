"""Laws of the penalties on a norm, whatever the norm and the backend."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.utils._python_dispatch import TorchDispatchMode

import steadygrad.covariance
import steadygrad.penalties
from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    UnknownNameError,
)
from steadygrad.penalties import (
    L2,
    PENALTIES,
    FiniteDifference,
    GradientNormPenalty,
    NormPenalty,
    SquaredNormPenalty,
)

IMAGES = torch.rand(6, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
NORMS = ("l1", "l2", "linf")
ORDERS = {"l1": 1, "l2": 2, "linf": float("inf")}


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).double()


@pytest.fixture
def smooth() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def parameter_gradient(model: nn.Module, scalar: Tensor) -> Tensor:
    gradients = torch.autograd.grad(scalar, list(model.parameters()), materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_closed_form_on_softmax_regression(linear: nn.Sequential, norm: str, backend: Any) -> None:
    result = SquaredNormPenalty(strength=0.7, norm=norm, backend=backend)(linear, IMAGES, LABELS)
    # For softmax regression the loss gradient is W'(p - onehot(y)).
    weight = linear[1].weight
    probabilities = linear(IMAGES).softmax(dim=1)
    gradient = (probabilities - one_hot(LABELS, 4)) @ weight
    expected = 0.7 * torch.linalg.vector_norm(gradient, ord=ORDERS[norm], dim=1).square().mean()
    torch.testing.assert_close(result.penalty, expected)
    torch.testing.assert_close(result.data_loss, cross_entropy(linear(IMAGES), LABELS))
    torch.testing.assert_close(result.loss, result.data_loss + result.penalty)
    torch.testing.assert_close(result.logits, linear(IMAGES))
    if backend == "double_backprop":
        torch.testing.assert_close(
            parameter_gradient(linear, result.penalty), parameter_gradient(linear, expected)
        )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("backend", ["double_backprop", FiniteDifference(order=2)])
def test_repeating_the_batch_changes_nothing(
    smooth: nn.Sequential, norm: str, backend: Any
) -> None:
    penalty = SquaredNormPenalty(strength=1.0, norm=norm, backend=backend)
    once = penalty(smooth, IMAGES, LABELS)
    thrice = penalty(smooth, IMAGES.repeat(3, 1, 1, 1), LABELS.repeat(3))
    torch.testing.assert_close(thrice.penalty, once.penalty)
    torch.testing.assert_close(
        parameter_gradient(smooth, thrice.loss), parameter_gradient(smooth, once.loss)
    )


@pytest.mark.parametrize("norm", NORMS)
def test_each_example_counts_by_its_own_gradient(smooth: nn.Sequential, norm: str) -> None:
    penalty = SquaredNormPenalty(strength=1.0, norm=norm)
    alone = [
        penalty(smooth, IMAGES[i : i + 1], LABELS[i : i + 1]).penalty for i in range(len(IMAGES))
    ]
    torch.testing.assert_close(penalty(smooth, IMAGES, LABELS).penalty, torch.stack(alone).mean())


def test_strength_zero_is_the_plain_loss_to_the_bit(smooth: nn.Sequential) -> None:
    result = SquaredNormPenalty(strength=0.0)(smooth, IMAGES, LABELS)
    plain = cross_entropy(smooth(IMAGES), LABELS, reduction="none").mean()
    assert torch.equal(result.loss, plain)
    assert torch.equal(parameter_gradient(smooth, result.loss), parameter_gradient(smooth, plain))
    assert result.penalty == 0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(NORMS),
    strength=st.floats(1e-6, 1e3),
    backend=st.sampled_from(["double_backprop", "finite_difference"]),
)
def test_the_penalty_is_never_negative_and_scales_with_its_strength(
    seed: int, norm: str, strength: float, backend: Any
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    images, labels = torch.rand(3, 1, 3, 4, dtype=torch.float64), torch.randint(4, (3,))
    unit, scaled = (
        SquaredNormPenalty(strength=s, norm=norm, backend=backend)(model, images, labels)
        for s in (1.0, strength)
    )
    assert unit.penalty >= 0
    torch.testing.assert_close(scaled.penalty, strength * unit.penalty)


@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_the_model_and_the_batch_are_left_alone(smooth: nn.Sequential, backend: Any) -> None:
    smooth.train()
    images = IMAGES.clone()
    SquaredNormPenalty(strength=1.0, backend=backend)(smooth, images, LABELS)
    assert torch.equal(images, IMAGES)
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in smooth.parameters())
    assert all(module.training for module in smooth.modules())


def test_a_bfloat16_forward_still_gives_a_float32_penalty() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 4))
    penalty = SquaredNormPenalty(strength=1.0)
    exact = penalty(model, IMAGES.float(), LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = penalty(model, IMAGES.float(), LABELS)
    assert narrow.loss.dtype == torch.float32
    torch.testing.assert_close(narrow.penalty, exact.penalty, rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"strength": -1.0}, HyperparameterError, r"strength >= 0, got -1\.0"),
        ({"strength": float("nan")}, HyperparameterError, "strength >= 0, got nan"),
        ({"strength": float("inf")}, HyperparameterError, "strength >= 0, got inf"),
        ({"strength": 1, "norm": "l3"}, UnknownNameError, "norm 'l3'; choose one of l1, l2, linf"),
        (
            {"strength": 1, "backend": "exact"},
            UnknownNameError,
            "backend 'exact'; choose one of double-backprop, finite-difference",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SquaredNormPenalty(**arguments)


NAN = IMAGES.clone().index_fill_(3, torch.tensor([1]), float("nan"))


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        ((IMAGES * 255).byte(), LABELS, ImageError, r"got torch.uint8; .*images.float\(\) / 255"),
        (IMAGES * 255, LABELS, ImageError, r"got values from .* to .*; divide by 255"),
        (IMAGES - 0.5, LABELS, ImageError, "put the normalisation inside the model"),
        (NAN, LABELS, ImageError, r"finite pixels in \[0, 1\], got NaN"),
        (IMAGES[0], LABELS, ImageError, r"got shape \(1, 3, 4\)"),
        (IMAGES[:0], LABELS[:0], ImageError, r"non-empty batch .* got shape \(0, 1, 3, 4\)"),
        (IMAGES.numpy(), LABELS, ImageError, "torch.Tensor, got ndarray"),
        (IMAGES, LABELS.float(), LabelError, "int64 class indices as labels, got torch.float32"),
        (IMAGES, LABELS[:2], LabelError, r"labels of shape \(6,\), got \(2,\)"),
        (IMAGES, LABELS + 1, LabelError, "labels from 0 to 3, got 4"),
        (IMAGES, LABELS - 1, LabelError, "labels from 0 to 3, got -1"),
    ],
)
def test_bad_batches_end_in_one_sentence(
    linear: nn.Sequential, images: Tensor, labels: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SquaredNormPenalty(strength=1.0)(linear, images, labels)


def test_outputs_that_are_not_one_row_per_image_are_refused() -> None:
    with pytest.raises(
        ModelError, match=r"shape \(6, classes\) from the model, got \(6, 1, 3, 4\)"
    ):
        SquaredNormPenalty(strength=1.0)(nn.Identity(), IMAGES, LABELS)


# The penalty of a radius.


@pytest.mark.parametrize(("ball", "order"), [("linf", 1), ("l2", 2)])
def test_the_penalty_of_a_radius_is_the_dual_norm_on_softmax_regression(
    linear: nn.Sequential, ball: Any, order: int
) -> None:
    result = NormPenalty(eps=0.1, ball=ball)(linear, IMAGES, LABELS)
    gradient = (linear(IMAGES).softmax(dim=1) - one_hot(LABELS, 4)) @ linear[1].weight
    expected = 0.1 * torch.linalg.vector_norm(gradient, ord=order, dim=1).mean()
    torch.testing.assert_close(result.penalty, expected)
    torch.testing.assert_close(
        parameter_gradient(linear, result.penalty), parameter_gradient(linear, expected)
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), ball=st.sampled_from(["linf", "l2"]))
def test_no_step_within_the_ball_raises_the_linearized_loss_further(seed: int, ball: Any) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.GELU(), nn.Linear(5, 4)).double()
    penalty = NormPenalty(eps=0.3, ball=ball)
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(model(images), LABELS, reduction="sum"), images)
    _, direction = penalty.norm.steepest(gradient)
    worst = (gradient * direction).sum() * 0.3 / len(IMAGES)
    torch.testing.assert_close(penalty(model, IMAGES, LABELS).penalty, worst)
    step = torch.randn_like(gradient).flatten(start_dim=1)
    length = step.norm(dim=1) if ball == "l2" else step.abs().amax(dim=1)
    other = 0.3 * step / length[:, None]
    assert (gradient.flatten(start_dim=1) * other).sum() / len(IMAGES) <= worst + 1e-12


@pytest.mark.parametrize("order", [1, 2])
def test_the_finite_difference_of_the_penalty_of_a_radius_agrees(
    smooth: nn.Sequential, order: Any
) -> None:
    exact = NormPenalty(eps=0.1)(smooth, IMAGES, LABELS)
    difference = NormPenalty(eps=0.1, backend=FiniteDifference(order=order))(smooth, IMAGES, LABELS)
    torch.testing.assert_close(difference.penalty, exact.penalty)
    torch.testing.assert_close(
        parameter_gradient(smooth, difference.penalty),
        parameter_gradient(smooth, exact.penalty),
        rtol=1e-4,
        atol=1e-8,
    )


def test_gn_is_the_squared_l2_norm_to_the_bit(smooth: nn.Sequential) -> None:
    gn = GradientNormPenalty(strength=0.3)(smooth, IMAGES, LABELS)
    squared = SquaredNormPenalty(strength=0.3, norm=L2())(smooth, IMAGES, LABELS)
    assert torch.equal(gn.loss, squared.loss)


@pytest.mark.parametrize("build", [{"eps": 8}, {"eps": -0.1}, {"eps": 1, "fraction": 0.0}])
def test_radii_and_fractions_outside_their_range_are_refused(build: dict[str, Any]) -> None:
    with pytest.raises(HyperparameterError):
        NormPenalty(**build)


# A fraction of the batch.

EVERY = [
    SquaredNormPenalty(strength=0.7),
    SquaredNormPenalty(strength=0.7, backend=FiniteDifference()),
    NormPenalty(eps=0.2, ball="l2"),
    GradientNormPenalty(strength=0.5),
]


@pytest.mark.parametrize("penalty", EVERY, ids=repr)
def test_a_fraction_penalises_the_first_images_and_all_bear_the_data_loss(
    smooth: nn.Sequential, penalty: Any
) -> None:
    half = dataclasses.replace(penalty, fraction=0.5)(smooth, IMAGES, LABELS)
    first = penalty(smooth, IMAGES[:3], LABELS[:3])
    torch.testing.assert_close(half.penalty, first.penalty)
    torch.testing.assert_close(half.data_loss, cross_entropy(smooth(IMAGES), LABELS))
    torch.testing.assert_close(half.logits, smooth(IMAGES))
    torch.testing.assert_close(
        parameter_gradient(smooth, half.penalty), parameter_gradient(smooth, first.penalty)
    )


@settings(max_examples=20, deadline=None)
@given(fraction=st.floats(0.01, 1.0))
def test_over_all_orders_of_a_batch_the_mean_penalty_is_that_of_the_whole(fraction: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    penalty = SquaredNormPenalty(strength=1.0, fraction=fraction)
    found = [penalty(model, IMAGES.roll(k, 0), LABELS.roll(k)).penalty for k in range(len(IMAGES))]
    whole = SquaredNormPenalty(strength=1.0)(model, IMAGES, LABELS).penalty
    torch.testing.assert_close(torch.stack(found).mean(), whole)


class Products(TorchDispatchMode):
    """Count multiplications in matrix products; torch's counter fails under autograd.grad."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            first, second = args[-2:]
            self.total += first.numel() * second.shape[1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_fraction_makes_a_step_cheaper(batch_norm: bool) -> None:
    middle = nn.BatchNorm1d(50) if batch_norm else nn.Identity()
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 50), middle, nn.GELU(), nn.Linear(50, 4))
    images, labels = IMAGES.float().repeat(4, 1, 1, 1), LABELS.repeat(4)
    products = []
    for fraction in (1.0, 0.5, 0.25):
        with Products() as counter:
            SquaredNormPenalty(strength=1.0, fraction=fraction)(
                model, images, labels
            ).loss.backward()
        products.append(counter.total)
    assert products[0] > products[1] > products[2]


def test_batch_norm_learns_from_the_whole_batch_once_when_a_fraction_is_penalised() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(12, 4)).double()
    for backend in ("double-backprop", "finite-difference"):
        model[0].reset_running_stats()
        SquaredNormPenalty(strength=1.0, fraction=0.5, backend=backend)(model, IMAGES, LABELS)
        assert model[0].num_batches_tracked == 1
        torch.testing.assert_close(model[0].running_mean, 0.1 * IMAGES.mean().reshape(1))


@pytest.mark.parametrize("batch", [2, 4, 5])
def test_a_batch_norm_of_features_never_meets_a_single_penalised_image(batch: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))
    images, labels = IMAGES[:batch], LABELS[:batch]
    penalty = SquaredNormPenalty(strength=0.001)
    few = dataclasses.replace(penalty, fraction=0.01)(model.double(), images, labels)
    two = penalty(model, images[:2], labels[:2])
    torch.testing.assert_close(few.penalty, two.penalty)
    with torch.no_grad():
        assert dataclasses.replace(penalty, fraction=0.01)(model, images, labels).penalty > 0
    model.eval()  # nothing is normalised by the batch: one image is enough
    one = dataclasses.replace(penalty, fraction=0.01)(model, images, labels)
    torch.testing.assert_close(one.penalty, penalty(model, images[:1], labels[:1]).penalty)


# Parts.


@pytest.mark.parametrize(
    "text",
    [
        "squared-norm:strength=0.1",
        "squared-norm:strength=0.1,norm=linf,fraction=0.5",
        "squared-norm:strength=0.1,backend=finite-difference,backend.order=2",
        "norm:eps=8/255,ball=l2",
        "gn:strength=0.5",
        "sgr:strength=0.1,covariance=exponential:4",
        "sgr:strength=0.1,covariance=radial,covariance.source=pgd,covariance.source.eps=0.1",
    ],
)
def test_text_table_and_constructor_are_one(text: str) -> None:
    part = PENALTIES.parse(text)
    assert PENALTIES.text(part) == text
    assert PENALTIES.build(PENALTIES.table(part)) == part
    assert eval(repr(part), vars(steadygrad.penalties) | vars(steadygrad.covariance)) == part


def test_a_misspelt_setting_names_the_nearest() -> None:
    with pytest.raises(HyperparameterError, match=r"'strenght' \(did you mean 'strength'\?\)"):
        SquaredNormPenalty(strenght=0.1)
    with pytest.raises(HyperparameterError, match=r"'strenght' \(did you mean 'strength'\?\)"):
        PENALTIES.parse("gn:strenght=0.1")


def test_names_with_underscores_are_still_understood() -> None:
    old = SquaredNormPenalty(strength=1, backend="finite_difference", norm="l2")
    assert old == SquaredNormPenalty(strength=1, backend=FiniteDifference(), norm=L2())
