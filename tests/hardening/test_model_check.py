"""Laws of steadygrad.hardening.model_check."""

import copy
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import hardsigmoid

import steadygrad
from steadygrad.errors import HyperparameterError, ImageError, LabelError, ModelError
from steadygrad.evaluation import accuracy
from steadygrad.hardening import ModelCheck, check_model, step_costs
from steadygrad.models import Classifier, copied

SHAPE = (1, 8, 8)


def level(check: ModelCheck, topic: str) -> tuple[str, str]:
    (found,) = [finding for finding in check.findings if finding.topic == topic]
    return found.level, found.sentence


def test_a_relu_network_with_batch_norm_is_told_what_matters(trained: nn.Module) -> None:
    assert steadygrad.check_model is check_model
    before = {name: t.clone() for name, t in trained.state_dict().items()}
    check = check_model(trained, input_shape=SHAPE, repetitions=1)
    assert all(torch.equal(t, before[name]) for name, t in trained.state_dict().items())
    assert not trained.training and all(p.grad is None for p in trained.parameters())
    assert check.is_ready and check.classes == 10
    assert "wrap it as Classifier" in level(check, "normalisation")[1]
    assert "2 ReLU, with a second derivative of zero" in level(check, "activations")[1]
    assert "holds their running statistics" in level(check, "batch norm")[1]
    assert "cosine of" in level(check, "backends")[1]
    assert [cost.kind for cost in check.costs] == ["plain", "penalised", "PGD(3) training"]
    assert all(cost.seconds and cost.relative for cost in check.costs)


def test_steps_are_timed_as_harden_takes_them() -> None:
    modes: dict[str, set[bool]] = {"BatchNorm2d": set(), "Dropout": set()}
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.1), nn.Flatten(), nn.Linear(144, 3)
    )
    for module in (model[1], model[2]):
        module.register_forward_hook(
            lambda module, _inputs, _output: modes[type(module).__name__].add(module.training)
        )
    step_costs(model.eval(), torch.rand(4, *SHAPE), torch.zeros(4).long(), repetitions=1)
    assert modes == {"BatchNorm2d": {False}, "Dropout": {True, False}}
    assert not any(module.training for module in model.modules())


class Hard(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return hardsigmoid(self.linear(x.flatten(1)))


def test_what_has_no_second_derivative_is_a_problem() -> None:
    check = check_model(Hard(), input_shape=SHAPE, repetitions=1)
    assert not check.is_ready
    kind, sentence = level(check, "second derivative")
    assert kind == "problem" and "has no second derivative" in sentence
    (penalised,) = [cost for cost in check.costs if cost.kind == "penalised"]
    assert penalised.seconds is None and "no second derivative" in penalised.refused


def test_a_smooth_classifier_with_attention_and_dropout() -> None:
    body = nn.Sequential(
        nn.Flatten(2),
        nn.Linear(64, 16),
        nn.TransformerEncoderLayer(16, 2, 16, dropout=0.1, activation="gelu", batch_first=True),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    check = check_model(Classifier(body, mean=[0.5], std=[0.5]), input_shape=SHAPE, repetitions=1)
    assert check.is_ready
    assert level(check, "normalisation")[0] == level(check, "activations")[0] == "good"
    assert "differentiable operations" in level(check, "attention")[1]
    assert "3 Dropout" in level(check, "dropout")[1]
    assert "fused kernels" in level(check_model(body, input_shape=SHAPE), "attention")[1]


def test_a_network_that_gives_probabilities_is_told_so() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    for last, expected in ((nn.Softmax(1), "problem"), (nn.LogSoftmax(1), "note")):
        check = check_model(nn.Sequential(body, last), input_shape=SHAPE, repetitions=1)
        kind, sentence = level(check, "outputs")
        assert kind == expected and "probabilities" in sentence
        assert check.is_ready == (expected == "note")
    assert level(check_model(body, input_shape=SHAPE, repetitions=1), "outputs")[0] == "good"


def test_a_frozen_network_is_told_so_and_nothing_else_is_blamed(trained: nn.Module) -> None:
    frozen = copy.deepcopy(trained).requires_grad_(False)
    check = check_model(frozen, input_shape=SHAPE, repetitions=1)
    assert not check.is_ready
    (problem,) = [finding for finding in check.findings if finding.level == "problem"]
    assert "requires_grad is False for all" in problem.sentence
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(cost.seconds for cost in check.costs)


def test_bad_input() -> None:
    with pytest.raises(HyperparameterError, match="expected images or input_shape"):
        check_model(nn.Flatten())
    with pytest.raises(ModelError, match="cannot take images of 3x8x8"):
        check_model(Hard(), input_shape=(3, 8, 8))


def test_images_and_labels_that_cannot_be_used_are_not_blamed_on_the_network() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 4
    for given, of_them, error, message in (
        (images[:0], labels[:0], ImageError, "non-empty batch of images"),
        (images[0], labels[:1], ImageError, "non-empty batch of images"),
        (images * torch.nan, labels, ImageError, "got NaN"),
        (images * 255, labels, ImageError, "divide by 255"),
        (images, labels[:5], LabelError, r"labels of shape \(6,\), got \(5,\)"),
        (images, labels + 1, LabelError, "labels from 0 to 3, got 4"),
    ):
        with pytest.raises(error, match=message):
            check_model(network, given, of_them)


def test_a_compiled_network_is_checked_as_the_network_inside(trained: nn.Module) -> None:
    compiled = torch.compile(trained, backend="aot_eager")
    check = check_model(compiled, input_shape=SHAPE, repetitions=1)
    assert level(check, "second derivative")[0] == "good"


class Extra(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        assert state == {"calls": 1}


class Grumpy(nn.Module):
    """Raises in training mode, or on more than ``most`` images."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.linear, self.most = nn.Linear(64, 3), most

    def forward(self, x: Tensor) -> Tensor:
        if self.most is not None and len(x) > self.most:
            raise AssertionError(f"at most {self.most} images")
        if self.most is None and self.training:
            raise KeyError("only in training")
        return self.linear(x.flatten(1))


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.jit.trace(flat(nn.Linear(64, 3)), torch.rand(2, *SHAPE)),
        lambda: torch.export.export(
            flat(nn.Linear(64, 3)),
            (torch.rand(2, *SHAPE),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        ).module(),
        lambda: flat(nn.utils.weight_norm(nn.Linear(64, 3))),
        lambda: flat(nn.LazyLinear(3)),
    ],
    ids=["traced", "exported", "weight norm", "lazy"],
)
def test_networks_of_other_kinds_are_checked(build: Callable[[], nn.Module]) -> None:
    network = build()
    check = check_model(network, input_shape=SHAPE, repetitions=1)
    assert check.is_ready and check.parameters >= 64 * 3
    labels = torch.tensor([0, 1, 2])
    assert all(p.requires_grad and p.is_leaf for p in copied(network).parameters())
    assert 0 <= accuracy(network, torch.rand(3, *SHAPE), labels) <= 1


def test_an_expanded_buffer_stays() -> None:
    network = flat(nn.Linear(64, 3))
    network.register_buffer("expanded", torch.zeros(1).expand(5))
    assert check_model(network, input_shape=SHAPE, repetitions=1).is_ready


def test_what_cannot_be_trained_is_a_problem() -> None:
    check = check_model(Grumpy(), input_shape=SHAPE, repetitions=1)
    assert level(check, "training mode") == (
        "problem",
        "a step is refused: KeyError: 'only in training'",
    )
    state = level(check_model(flat(Extra(64, 3)), input_shape=SHAPE, repetitions=1), "state")
    assert state[0] == "problem" and "1._extra_state is no tensor" in state[1]
    one = level(
        check_model(flat(nn.Linear(64, 1)), input_shape=SHAPE, repetitions=1), "second derivative"
    )
    assert one[0] == "problem" and "torch.cat((torch.zeros_like(z), z), dim=1)" in one[1]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Grumpy(most=3), "does not take 8 images of 1x8x8: AssertionError: at most 3"),
        (lambda: flat(nn.Linear(64, 3)).to("meta"), "has no weights: it lies on the meta device"),
        (lambda: flat(nn.Linear(64, 3)).forward, "expected a torch.nn.Module, got method"),
    ],
)
def test_networks_that_cannot_be_asked(build: Callable[[], nn.Module], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        check_model(build(), input_shape=SHAPE)


def test_a_network_that_cannot_be_copied_says_why() -> None:
    network = flat(nn.Linear(64, 3))
    network.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(
        ModelError, match="can copy, got Sequential, which raises TypeError: cannot"
    ):
        check_model(network, input_shape=SHAPE)
