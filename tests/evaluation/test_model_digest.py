"""Digests tell weights apart, and nothing else."""

import hashlib

import pytest
import torch
from torch import nn
from torch.ao.quantization import quantize_dynamic

from steadygrad.errors import ModelError
from steadygrad.evaluation import model_digest
from steadygrad.evaluation.provenance import (
    model_fingerprint,
    structure_digest,
    tensors_digest,
    weights_digest,
)


def network(seed: int = 0, activation: nn.Module | None = None) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), activation or nn.ReLU(), nn.BatchNorm1d(4))


def test_is_the_hash_of_names_dtypes_shapes_and_bytes() -> None:
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor(7)
    expected = hashlib.sha256(
        b"1 a torch.int64  " + (7).to_bytes(8, "little")
        + b"1 b torch.float32 1x2 " + first.numpy().tobytes()
    )  # fmt: skip
    assert tensors_digest({"b": first, "a": second}) == expected.hexdigest()


def test_equal_weights_have_equal_digests() -> None:
    model = network()
    digest = model_digest(model)
    assert digest == model_digest(network())
    model.train()
    model.requires_grad_(False)
    model.to(memory_format=torch.contiguous_format)
    assert model_digest(model) == digest


@pytest.mark.parametrize("change", ["weight", "buffer", "dtype", "shape", "name"])
def test_whatever_differs_changes_the_digest(change: str) -> None:
    model = network()
    digest = model_digest(model)
    if change == "weight":
        model[0].weight.data[2, 1] = torch.nextafter(
            model[0].weight.data[2, 1], torch.tensor(torch.inf)
        )
    elif change == "buffer":
        model[2].running_mean[0] = 1e-30
    elif change == "dtype":
        model.double()
    elif change == "shape":
        model[0].weight.data = model[0].weight.data.view(3, 4)
    else:
        model = nn.Sequential(*model[:2], nn.Identity(), model[2])
    assert model_digest(model) != digest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.bool, torch.float64])
def test_tensors_of_any_kind(dtype: torch.dtype) -> None:
    one, other = torch.zeros(3).to(dtype), torch.tensor([0.0, 1.0, 0.0]).to(dtype)
    assert tensors_digest({"x": one}) != tensors_digest({"x": other})
    assert tensors_digest({"x": other}) == tensors_digest({"x": other.repeat(2)[:3]})


def test_memory_layout_plays_no_part() -> None:
    matrix = torch.arange(6.0).view(2, 3)
    assert tensors_digest({"x": matrix.T}) == tensors_digest({"x": matrix.T.contiguous()})
    assert tensors_digest({"x": matrix.T}) != tensors_digest({"x": matrix.view(3, 2)})


def test_structure_is_how_a_module_prints() -> None:
    assert model_digest(network()) == model_digest(network(activation=nn.Tanh()))
    assert structure_digest(network()) != structure_digest(network(activation=nn.Tanh()))
    assert structure_digest(network()) == structure_digest(network(seed=1))


def test_what_has_no_weights_has_no_digest_of_them() -> None:
    assert weights_digest(lambda images: images) is None
    assert weights_digest(nn.Flatten()) is None
    assert weights_digest(network()) == model_digest(network())


class Extra(nn.Linear):
    """A layer with a state of its own beside its tensors."""

    def __init__(self, extra: object) -> None:
        super().__init__(2, 2)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.extra = extra

    def get_extra_state(self) -> object:
        return self.extra

    def set_extra_state(self, state: object) -> None:
        pass


def test_numbers_texts_and_containers_of_a_state_count() -> None:
    states = [{"steps": 3}, {"steps": 4}, (3, "a"), (3, "b"), [torch.zeros(1), None], torch.qint8]
    assert len({model_digest(Extra(state)) for state in states}) == len(states)
    assert model_digest(Extra({"steps": 3})) == model_digest(Extra({"steps": 3}))


def test_a_state_that_nobody_can_read_is_refused_or_has_no_digest() -> None:
    with pytest.raises(ModelError, match="tensors, numbers and texts, got object as"):
        model_digest(Extra(object()))
    assert weights_digest(Extra(object())) is None


class Shaken(nn.Module):
    """A network whose logits are off by rounding, as on another machine."""

    def __init__(self, model: nn.Module, size: float) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.model(images)
        draws = torch.Generator().manual_seed(1)
        return logits * (1 + self.size * torch.randn(logits.shape, generator=draws))


class Changed(nn.Module):
    """The same weights and layers with a factor on the logits and an input in so many levels."""

    def __init__(self, model: nn.Module, factor: float = 1.0, levels: int = 0) -> None:
        super().__init__()
        self.model, self.factor, self.levels = model, factor, levels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.levels:
            images = images + ((self.levels * images).round() / self.levels - images).detach()
        return self.factor * self.model(images)


@pytest.mark.parametrize("classes", [10, 1000])
def test_fingerprints_bear_rounding_and_tell_apart_what_computes_something_else(
    classes: int,
) -> None:
    images = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, classes)).eval()
    exact, shaken = (model_fingerprint(Shaken(model, size), images, "cpu") for size in (0, 1e-6))
    assert exact == shaken
    others = [Changed(model), Changed(model, factor=1.01), Changed(model, levels=15)]
    assert len({model_fingerprint(each, images, "cpu") for each in others}) == len(others)


@pytest.mark.filterwarnings("ignore")
def test_quantised_networks_have_digests_too() -> None:
    networks = [nn.Sequential(nn.Linear(3, 4)).eval() for _ in range(2)]
    first, second = (quantize_dynamic(each, {nn.Linear}) for each in networks)
    again = quantize_dynamic(networks[0], {nn.Linear})
    assert model_digest(first) == model_digest(again) != model_digest(second)
