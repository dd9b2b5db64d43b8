"""Memory: answers that depend on what was shown before, and robustness at the audited images only.

A model may remember what it was shown and answer later queries near it with the remembered answer;
or look its answer up among the very images of the audit. Attacks start at those images and fail,
though the network underneath is as weak as any.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import EQUAL_PASSES, Sample
from steadygrad.seeds import derived_generator

__all__ = ["CallHistory", "FreshImages"]

_SHARE = 0.6
"""Of an image in its mixture with another of its class."""


@diagnostic(
    "call-history",
    question="Does an answer depend on what the model was shown before?",
    unit="fraction of examples answered otherwise by a copy that has not seen the one nearby",
    role="mechanism",
    cause="memory of earlier calls",
)
@dataclass(frozen=True, kw_only=True)
class CallHistory(Diagnostic):
    """Attack mixtures of images on one copy of the model; ask another, that saw none, about them.

    A mixture of two images of a class is new to the model. One copy is shown it and then attacked
    around it; the other is shown the attack's result alone. A model without memory gives both the
    same answer, to the rounding. Models that cannot be copied, and those that draw at random even
    with a fixed seed, are not tested.
    """

    threshold: float = 0.05
    steps: int = 10

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if not isinstance(sample.subject.model, nn.Module):
            return self.untested("A plain function has no copy that has seen less.")
        if sample.is_random:
            return self.untested("The model is random: its answers differ without a memory too.")
        try:
            shown, unseen = (copy.deepcopy(sample.subject.model).eval() for _ in range(2))
        except Exception as error:  # what a stranger's module does when copied
            return self.untested(f"The model cannot be copied: {type(error).__name__}.")
        images, labels = _mixtures(sample)
        if len(images) == 0:
            return self.untested("No two examples are of the same class, so none can be mixed.")
        before = _answers(shown, images)
        attacked = sample.pgd(self.steps)(
            _Differentiable(shown), images, labels, generator=_draws(sample)
        ).to(images.dtype)
        with_history, without = _answers(shown, attacked), _answers(unseen, attacked)
        spread = (before.amax(dim=1) - before.amin(dim=1)).clamp_min(1e-12)
        apart = (with_history - without).abs().amax(dim=1) / spread
        fraction = (apart > EQUAL_PASSES).double().mean().item()
        return self.answered(
            fraction,
            passed="What was shown before changes no answer.",
            suspicious=(
                f"On {fraction:.0%} of the examples the answer changes with what was shown before: "
                "the model remembers. Attacks that begin at the image itself meet the memory, not "
                "the network; attack a copy for each query, or the network without the memory."
            ),
            evidence={"examples": len(images), "largest_difference": float(apart.max())},
        )


@diagnostic(
    "fresh-images",
    question="Is the model robust at the audited images only?",
    unit="points of accuracy under attack lost at harmless new variants of the images",
    role="mechanism",
    cause="memorised images",
)
@dataclass(frozen=True, kw_only=True)
class FreshImages(Diagnostic):
    """Compare accuracy under PGD at the examples with that at two kinds of new variants of them.

    The variants: mixtures of two examples of a class, and examples moved by one pixel. Only those
    that the model classifies correctly count, each beside the example that it was made of. A model
    that looks its answer up is weaker at both; a network is about as robust at one of them at
    least: mixtures are paler than images, and a pixel is much where images are small. The smaller
    loss counts, and the threshold leaves room for it.
    """

    threshold: float = 25.0
    steps: int = 20

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        attack = sample.pgd(self.steps)
        kept_at_images = ~sample.broken_by(attack)
        least: tuple[float, float, float, str] | None = None
        evidence: dict[str, float | int | None] = {}
        for name, (images, labels, rows) in _variants(sample).items():
            is_right = sample.logits(images).argmax(dim=1) == labels
            if int(is_right.sum()) < _FEWEST:
                continue
            found = attack(
                sample.model, images[is_right], labels[is_right], generator=_draws(sample)
            )
            kept = sample.logits(found.to(images.dtype)).argmax(dim=1) == labels[is_right]
            audited = kept_at_images[rows[is_right.cpu()]].double().mean().item()
            fresh = kept.double().mean().item()
            evidence |= {
                f"{name}_examples": int(is_right.sum()),
                f"{name}_at_images": audited,
                f"{name}_at_fresh": fresh,
            }
            if least is None or audited - fresh < least[0]:
                least = audited - fresh, audited, fresh, name
        if least is None:
            return self.untested("Too few variants of the examples are classified correctly.")
        lost, audited, fresh, name = least
        return self.answered(
            max(100 * lost, 0.0),
            passed="New variants of the images are about as robust as the images themselves.",
            suspicious=(
                f"PGD leaves {audited:.0%} of the audited images and at most {fresh:.0%} of new "
                f"ones ({_MADE_BY[name]}): the robustness is that of the audited images alone. "
                "Audit on images that the model's makers have never had."
            ),
            evidence={"examples": evidence[f"{name}_examples"]} | evidence,
        )


_FEWEST = 8
"""Variants that are classified correctly, below which accuracies say nothing."""

_MADE_BY = {
    "mixed": "mixed from two of the same class",
    "moved": "moved by one pixel",
}


def _variants(sample: Sample) -> dict[str, tuple[Images, Labels, Tensor]]:
    """Return new images by how they were made: images, labels, and the rows they were made of."""
    images, labels = _mixtures(sample)
    found = {
        "moved": (_moved(sample.images), sample.labels, torch.arange(len(sample), device="cpu"))
    }
    if len(images):
        found["mixed"] = images, labels, _mixed_rows(sample)
    return found


def _moved(images: Images) -> Images:
    """Return the images one pixel to the right, their left column doubled."""
    return torch.cat([images[..., :1], images[..., :-1]], dim=-1)


def _mixed_rows(sample: Sample) -> Tensor:
    """Return the rows of the sample that have another of their class, int64."""
    labels = sample.labels.cpu()
    counts = torch.bincount(labels)
    return (counts[labels] > 1).nonzero().squeeze(1)


def _mixtures(sample: Sample) -> tuple[Images, Labels]:
    """Return each such example mixed with the next of its class, and its label."""
    labels, rows = sample.labels.cpu(), _mixed_rows(sample).tolist()
    partners = []
    for row in rows:
        alike = (labels == labels[row]).nonzero().squeeze(1).tolist()
        partners.append(alike[(alike.index(row) + 1) % len(alike)])
    first, second = (sample.images[index] for index in (rows, partners))
    return _SHARE * first + (1 - _SHARE) * second, sample.labels[rows]


def _draws(sample: Sample) -> torch.Generator:
    return derived_generator(sample.subject.seed, "memory")


@torch.no_grad()
def _answers(model: Classifier, images: Images) -> Tensor:
    return model(images)


class _Differentiable:
    """A copy, differentiable at least in name."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def __call__(self, images: Images) -> Tensor:
        return self.model(images) + 0 * images.flatten(start_dim=1).sum(dim=1, keepdim=True)
