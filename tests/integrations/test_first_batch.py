"""Penalties that have to know the images are prepared once, whatever loop they are in."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.integrations import PenalizedTraining
from steadygrad.integrations.first_batch import PreparedByFirstBatch
from steadygrad.penalties import PENALTIES

LEARNING = "sgr:strength=0.1,covariance=stationary,covariance.source=gradient"


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.GELU(), nn.Linear(8, 3)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.rand(6, 2, 4, 4).double(), torch.randint(3, (6,))) for _ in range(3)]


@pytest.mark.parametrize("text", [LEARNING, "norm:eps=0.1"])
def test_a_penalty_is_prepared_once_and_learns_on(text: str) -> None:
    ours = PreparedByFirstBatch(text)
    expected = prepared(PENALTIES.parse(text), DataFacts((2, 4, 4)))
    for images, labels in batches():
        one, other = (each(network(), images, labels) for each in (ours, expected))
        torch.testing.assert_close(one.loss, other.loss, rtol=0, atol=0)


def test_a_covariance_of_the_training_images_takes_them() -> None:
    text = "sgr:strength=0.1,covariance=dataset"
    ours = PreparedByFirstBatch(text, lambda: (images for images, _ in batches()))
    facts = DataFacts((2, 4, 4), lambda: (images for images, _ in batches()))
    images, labels = batches()[0]
    expected = prepared(PENALTIES.parse(text), facts)(network(), images, labels)
    torch.testing.assert_close(ours(network(), images, labels).loss, expected.loss)


def test_settings_alone_say_what_is_missing() -> None:
    images, labels = batches()[0]
    with pytest.raises(HyperparameterError, match=r"call steadygrad.covariance.prepared\("):
        PENALTIES.parse(LEARNING)(network(), images, labels)
    with pytest.raises(ShapeError, match="expected images"):
        PreparedByFirstBatch(LEARNING)(network(), images[0], labels)


class Module(PenalizedTraining, nn.Module):
    """As much of a LightningModule as a step needs."""

    def __init__(self, penalty: Any) -> None:
        super().__init__()
        self.penalty, self.network = penalty, network()
        self.logged: dict[str, Tensor] = {}

    def log(self, name: str, value: Tensor) -> None:
        self.logged[name] = value

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def test_a_module_of_lightning_keeps_what_its_penalty_has_learned() -> None:
    module = Module(LEARNING)
    expected = PreparedByFirstBatch(LEARNING)
    for number, (images, labels) in enumerate(batches()):
        loss = module.training_step((images, labels), number)
        result = expected(network(), images, labels)
        torch.testing.assert_close(loss, result.loss, rtol=0, atol=0)
        torch.testing.assert_close(module.logged["train_penalty"], result.penalty.detach())
    module.penalty = "norm:eps=0.1"
    plain = PENALTIES.parse("norm:eps=0.1")(network(), *batches()[0]).loss
    torch.testing.assert_close(module.training_step(batches()[0], 0), plain)
