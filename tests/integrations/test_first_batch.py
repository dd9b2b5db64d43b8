"""Penalties that have to know the images are prepared once, whatever loop they are in."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import CheckpointError, HyperparameterError, LabelError, ShapeError
from steadygrad.integrations import PenalizedTraining
from steadygrad.integrations.batches import images_and_labels, whole_pass
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

    def log(self, name: str, value: Tensor, *, batch_size: int) -> None:
        assert batch_size == 6
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


def test_what_a_penalty_has_learned_goes_on_from_its_state() -> None:
    """Also where it is saved again before the first batch, as a callback may do."""
    whole, first, again, second = (PreparedByFirstBatch(LEARNING) for _ in range(4))
    expected = [whole(network(), images, labels).loss for images, labels in batches()]
    first(network(), *batches()[0])
    again.load_state_dict(first.state_dict())
    second.load_state_dict(again.state_dict())
    for (images, labels), loss in zip(batches()[1:], expected[1:], strict=True):
        torch.testing.assert_close(second(network(), images, labels).loss, loss, rtol=0, atol=0)


def test_an_object_that_has_learned_is_restored_and_forgets() -> None:
    def prepared_penalty() -> Any:
        return prepared(PENALTIES.parse(LEARNING), DataFacts((2, 4, 4)))

    expected = prepared_penalty()
    losses = [expected(network(), images, labels).loss for images, labels in batches()]
    ours, other = (PreparedByFirstBatch(prepared_penalty()) for _ in range(2))
    ours(network(), *batches()[0])
    other.load_state_dict(ours.state_dict())
    torch.testing.assert_close(other(network(), *batches()[1]).loss, losses[1], rtol=0, atol=0)
    other.forget()
    torch.testing.assert_close(other(network(), *batches()[0]).loss, losses[0], rtol=0, atol=0)


def test_the_state_of_another_penalty_is_left_out_and_another_thing_refused() -> None:
    learned = PreparedByFirstBatch(LEARNING)
    for images, labels in batches():
        learned(network(), images, labels)
    other = PreparedByFirstBatch("norm:eps=0.1")
    other.load_state_dict(learned.state_dict())
    plain = PENALTIES.parse("norm:eps=0.1")(network(), *batches()[0]).loss
    torch.testing.assert_close(other(network(), *batches()[0]).loss, plain)
    with pytest.raises(CheckpointError, match="expected the state of a penalty"):
        other.load_state_dict({"learned": None})


@pytest.mark.parametrize(
    "batch", [None, torch.rand(2), [torch.rand(2)], {"image": torch.rand(2)}, ["a", "b"], {}]
)
def test_a_batch_without_images_and_labels_is_refused_in_one_sentence(batch: Any) -> None:
    with pytest.raises(LabelError, match=r"expected batches \(images, labels, \.\.\.\)"):
        images_and_labels(batch)


def test_a_whole_pass_is_the_same_in_every_process_and_leaves_the_draws_alone() -> None:
    class Noisy(torch.utils.data.Dataset[Tensor]):
        def __len__(self) -> int:
            return 7

        def __getitem__(self, number: int) -> Tensor:
            return number + torch.rand(1)

    passes = []
    for rank in (0, 1):
        torch.manual_seed(rank)
        before = torch.get_rng_state()
        sampler = torch.utils.data.DistributedSampler(Noisy(), num_replicas=2, rank=rank)
        loader = torch.utils.data.DataLoader(Noisy(), 2, sampler=sampler)
        passes.append(torch.cat(list(whole_pass(loader))))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*passes)
    assert passes[0].floor().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]
