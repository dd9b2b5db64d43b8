"""A mixture of clean and attacked images, for adversarial training on a part of each batch."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.base import Attack
from steadygrad.attacks.part import ATTACKS, attack
from steadygrad.batch_share import current_share, first_of_batch
from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import HyperparameterError
from steadygrad.parts import read_nested

__all__ = ["Mixture"]


@attack("mixture", title="mixture", family="other", has_eps=False)
@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Attack the first ``round(fraction * batch)`` images, half rounding up; leave the others.

    attack: any other, ``mixture:attack=pgd,attack.eps=0.1,fraction=0.5``.
    fraction: in (0, 1]; 0.5 is half clean, half adversarial. The order of a shuffled batch is
        random already, so no draw is spent on choosing.
    """

    attack: Annotated[Attack, ATTACKS]
    fraction: float = 0.5

    def __post_init__(self) -> None:
        read_nested(self)
        if not 0 < self.fraction <= 1:
            raise HyperparameterError(f"expected a fraction in (0, 1], got {self.fraction}")

    def prepared(self, facts: DataFacts) -> "Mixture":
        """Return the mixture with its attack prepared for these images."""
        return replace(self, attack=prepared(self.attack, facts))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return a new batch whose first images are attacked; the inputs stay as they are."""
        share = current_share()
        whole = len(images) if share is None else share.total
        attacked = int(self.fraction * whole + 0.5)
        if not attacked:
            return images.detach().clone()
        with first_of_batch(attacked) as own:
            some = slice(0, own)
            adversarial = self.attack(model, images[some], labels[some], generator=generator)
            share = current_share()
        attacked = own if share is None else share.size
        adversarial = adversarial[:attacked]
        return torch.cat((adversarial, images[attacked:].detach()))
