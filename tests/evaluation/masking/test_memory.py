"""Models that remember what they were shown, or look up the audited images, are found out."""

import copy

import pytest
import torch
from torch import Tensor, nn

from evaluation.masking.conftest import HONEST, Digits, MakeSample, Noisy
from evaluation.masking.test_diagnosis import subject_of
from steadygrad.evaluation.masking import CallHistory, FreshImages, diagnose


class Remembers(nn.Module):
    """Keeps the answer to whatever is new, and gives it again to anything within ``radius``."""

    def __init__(self, model: nn.Module, radius: float = 0.2) -> None:
        super().__init__()
        self.model, self.radius = model, radius
        self.shown = torch.zeros(0, 1, 8, 8)
        self.classes = torch.zeros(0, dtype=torch.int64)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        classes = logits.argmax(dim=1)
        still = images.detach().float()
        if len(self.shown):
            distances = (still.unsqueeze(1) - self.shown).abs().amax(dim=(2, 3, 4))
            nearest, index = distances.min(dim=1)
            is_known = nearest <= self.radius
            classes = torch.where(is_known, self.classes[index], classes)
        else:
            is_known = torch.zeros(len(images), dtype=torch.bool)
        self.shown = torch.cat((self.shown, still[~is_known]))
        self.classes = torch.cat((self.classes, classes[~is_known]))
        return on_top(logits, classes)


class LooksUp(nn.Module):
    """Answers near the given images with their labels, elsewhere with the network's answer."""

    def __init__(self, model: nn.Module, data: Digits, radius: float = 0.2) -> None:
        super().__init__()
        self.model, self.radius = model, radius
        self.images, self.labels = data

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        still = images.detach().to(self.images)
        distances = (still.unsqueeze(1) - self.images).abs().amax(dim=(2, 3, 4))
        nearest, index = distances.min(dim=1)
        return on_top(
            logits, torch.where(nearest <= self.radius, self.labels[index], logits.argmax(dim=1))
        )


def on_top(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logits with that of each class raised above the highest; gradients flow on."""
    highest = logits.detach().amax(dim=1, keepdim=True)
    own = logits.detach().gather(1, classes.unsqueeze(1))
    return logits.scatter_add(1, classes.unsqueeze(1), highest - own + 0.1 * (own < highest))


@pytest.mark.parametrize("name", HONEST)
def test_honest_networks_have_no_memory_and_are_as_robust_elsewhere(
    name: str, honest: dict[str, nn.Module], sample_of: MakeSample
) -> None:
    for eps in (0.05, 0.1):
        sample = sample_of(honest[name], eps=eps, examples=64)
        assert CallHistory()(sample).measured == 0
        finding = FreshImages()(sample)
        assert finding.status == "passed"
        assert finding.measured < 15


def test_a_memory_of_earlier_calls_is_found(honest: dict[str, nn.Module], held_out: Digits) -> None:
    model = Remembers(copy.deepcopy(honest["plain"]))
    subject = subject_of(model, held_out)
    findings, verdict = diagnose(subject)
    found = {finding.name: finding for finding in findings}
    assert found["call-history"].status == "suspicious", found["call-history"]
    assert verdict.level == "masked" and "memory of earlier calls" in verdict.causes


def test_a_look_up_of_the_audited_images_is_found(
    honest: dict[str, nn.Module], held_out: Digits
) -> None:
    data = held_out[0][:40], held_out[1][:40]
    findings, verdict = diagnose(subject_of(LooksUp(honest["plain"], data), held_out))
    found = {finding.name: finding for finding in findings}
    assert found["fresh-images"].status == "suspicious", found["fresh-images"]
    assert verdict.level == "masked" and "memorised images" in verdict.causes


def test_what_cannot_be_told_is_not_tested(
    honest: dict[str, nn.Module], sample_of: MakeSample
) -> None:
    def function(images: Tensor) -> Tensor:
        return honest["plain"](images)

    assert "no copy" in CallHistory()(sample_of(function)).meaning
    assert "random" in CallHistory()(sample_of(Noisy(honest["plain"]))).meaning
    lonely = sample_of(honest["plain"], examples=1)
    assert "none can be mixed" in CallHistory()(lonely).meaning
    assert "Too few variants" in FreshImages()(lonely).meaning


class BrighterHalf(nn.Module):
    """Compares the bright pixels of the upper half with those of the lower one."""

    def forward(self, images: Tensor) -> Tensor:
        halves = images[..., :4, :], images[..., 4:, :]
        return torch.stack([(half**8).flatten(1).sum(dim=1) for half in halves], dim=1)


def test_mixtures_that_are_merely_paler_accuse_no_one(sample_of: MakeSample) -> None:
    """Bars of brightness 1 hold out against eps 0.35, their mixtures (0.6 and 0.4) do not."""
    images, labels = torch.zeros(32, 1, 8, 8), torch.arange(32) % 2
    for row in range(32):
        images[row, 0, 4 * int(labels[row]) : 4 * int(labels[row]) + 4, row // 2 % 7] = 1.0
    finding = FreshImages()(sample_of(BrighterHalf(), images, labels, eps=0.35))
    assert finding.evidence["mixed_at_images"] == 1 and finding.evidence["mixed_at_fresh"] < 0.5
    assert finding.evidence["moved_at_fresh"] == 1
    assert (finding.status, finding.measured) == ("passed", 0.0)
