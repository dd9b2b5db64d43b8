"""Counting queries: every image forward, every image differentiated, nothing else changed."""

import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, NES, PGD, DeepFool, RandomNoise
from steadygrad.attacks.adapters import from_torchattacks
from steadygrad.evaluation.auditing import QueryCount

Data = tuple[Tensor, Tensor]


def test_forward_and_backward_passes_are_counted_apart(trained: nn.Module, held_out: Data) -> None:
    images = held_out[0][:7].clone().requires_grad_()
    counted = QueryCount(trained)
    counted(images)
    assert (counted.queries, counted.gradients) == (7, 0)
    logits = counted(images)
    torch.autograd.grad(logits[:, 0].sum(), images, retain_graph=True)
    torch.autograd.grad(logits[:, 1].sum(), images)
    with torch.no_grad():
        counted(images[:2])
    assert (counted.queries, counted.gradients) == (16, 14)


def test_counts_of_attacks_are_those_of_their_definitions(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out[0][:20], held_out[1][:20]
    for attack, queries, gradients in (
        (RandomNoise(eps=0.1), 0, 0),
        (FGSM(eps=0.1), 20, 20),
        (PGD(eps=0.1, steps=5), 100, 100),
        (NES(eps=0.1, queries=64, steps=4), 64 * 20, 0),
    ):
        counted = QueryCount(trained)
        attack(counted, images, labels)
        assert (counted.queries, counted.gradients) == (queries, gradients), attack


def test_attacks_of_other_libraries_are_counted_too(trained: nn.Module, held_out: Data) -> None:
    import torchattacks

    counted = QueryCount(trained)
    attack = from_torchattacks(torchattacks.PGD, eps=0.1, alpha=0.02, steps=6)
    attack(counted, held_out[0][:5], held_out[1][:5])
    assert counted.gradients == 30
    assert counted.queries >= 30


def test_deepfool_counts_every_class_it_differentiates(trained: nn.Module, held_out: Data) -> None:
    counted = QueryCount(trained)
    DeepFool(steps=1, candidates=3)(counted, held_out[0][:6], held_out[1][:6])
    assert counted.gradients == 4 * 6


def test_everything_else_passes_through(trained: nn.Module, held_out: Data) -> None:
    trained.nickname = "digits"
    counted = QueryCount(trained)
    assert counted.nickname == "digits" and counted.training == trained.training
    assert torch.equal(counted(held_out[0]), trained(held_out[0]))
    assert next(iter(counted.parameters())) is trained[0].weight
    assert not hasattr(counted, "surname")
    plain = QueryCount(lambda images: images.flatten(start_dim=1))
    assert plain(held_out[0]).shape == (300, 64) and plain.queries == 300
