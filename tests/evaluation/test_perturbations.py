"""Perturbations are what the attack adds, from eval mode, in order; sources by name."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import FGSM, PGD, DeepFool, RandomNoise
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation import perturbation_batches, perturbation_source

HeldOut = tuple[Tensor, Tensor]


def test_the_named_sources_are_those_of_the_paper() -> None:
    eps = 8 / 255
    assert perturbation_source("pgd") == PGD(eps=eps, steps=10, reach=2, random_start=False)
    assert perturbation_source("pgd:eps=0.1,steps=40,random_start=true") == PGD(
        eps=0.1, steps=40, reach=2, random_start=True
    )
    assert perturbation_source("fgsm:eps=0.2") == FGSM(eps=0.2)
    assert perturbation_source("fgsm", eps=0.2) == FGSM(eps=0.2)
    assert perturbation_source("deepfool") == DeepFool(steps=100)
    assert perturbation_source("gradient") == "gradient"


def test_batches_join_to_what_the_attack_adds(trained: nn.Module, held_out: HeldOut) -> None:
    images, labels = (tensor[:25] for tensor in held_out)
    heard: list[tuple[int, int]] = []
    parts = list(
        perturbation_batches(
            trained,
            images,
            labels,
            FGSM(eps=0.1),
            batch_size=10,
            progress=lambda done, total: heard.append((done, total)),
        )
    )
    assert [len(part) for part in parts] == [10, 10, 5]
    assert heard == [(10, 25), (20, 25), (25, 25)]
    expected = FGSM(eps=0.1)(trained, images, labels) - images
    torch.testing.assert_close(torch.cat(parts), expected)


def test_the_gradient_is_that_of_each_image_alone(trained: nn.Module, held_out: HeldOut) -> None:
    images, labels = (tensor[:6] for tensor in held_out)
    (gradients,) = perturbation_batches(trained, images, labels, "gradient")
    for index in range(6):
        image = images[index : index + 1].clone().requires_grad_()
        loss = cross_entropy(trained(image), labels[index : index + 1])
        (expected,) = torch.autograd.grad(loss, image)
        torch.testing.assert_close(gradients[index], expected[0])


def test_the_model_is_in_eval_mode_only_while_it_is_attacked(held_out: HeldOut) -> None:
    images, labels = (tensor[:8] for tensor in held_out)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).train()
    source = perturbation_source("gradient")
    batches = perturbation_batches(model, images, labels, source, batch_size=4)
    first = next(batches)
    assert model.training
    assert model[1].training
    repeated = next(perturbation_batches(model, images, labels, source, batch_size=4))
    assert torch.equal(first, repeated)  # dropout was off


def test_the_seed_and_the_batch_decide_the_draws() -> None:
    grey, labels = torch.full((8, 1, 4, 4), 0.5), torch.zeros(8, dtype=torch.int64)

    def drawn(seed: int) -> Tensor:
        batches = perturbation_batches(
            nn.Flatten(), grey, labels, RandomNoise(eps=0.1), batch_size=4, seed=seed
        )
        return torch.cat(list(batches))

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    assert not torch.equal(drawn(0)[:4], drawn(0)[4:])


def test_what_a_source_lacks_or_refuses() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown attack 'cw'; choose one of .*fgsm, .*, gradient"
    ):
        perturbation_source("cw")
    with pytest.raises(HyperparameterError, match="deepfool has no setting 'eps'"):
        perturbation_source("deepfool:eps=0.1")
    with pytest.raises(HyperparameterError, match="fgsm has no setting 'steps'"):
        perturbation_source("fgsm:steps=3")
    with pytest.raises(HyperparameterError, match=r"eps > 0 .* got 0"):
        perturbation_source("pgd", eps=0)
    with pytest.raises(HyperparameterError, match="did you mean 8/255"):
        perturbation_source("pgd:eps=8")
    with pytest.raises(HyperparameterError, match="steps >= 1, got 0"):
        perturbation_source("pgd:steps=0")
    images, labels = torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        perturbation_batches(nn.Flatten(), images, labels, "gradient", batch_size=0)
