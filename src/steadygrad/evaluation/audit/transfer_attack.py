"""Attacking another model, in the hope that what misleads it misleads the audited one too."""

from dataclasses import dataclass, field
from typing import Any

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, describe_attack, norm_of, with_eps
from steadygrad.attacks.ball import Norm
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["TransferAttack"]


@dataclass(frozen=True, kw_only=True)
class TransferAttack:
    """Run ``attack`` on ``source`` and hand over its images; the model attacked is never asked.

    eps: takes the place of the attack's own.
    source: images to logits, of the same classes; in eval mode meanwhile, on the images' device.
    source_name, source_digest: what a record says of it.
    """

    eps: float
    attack: Attack
    source: Classifier = field(repr=False)
    source_name: str
    source_digest: str | None = None

    @property
    def norm(self) -> Norm:
        """The norm of the attack's ball."""
        return norm_of(self.attack)

    def __call__(
        self,
        model: Classifier,  # noqa: ARG002  (what transfers knows nothing of it)
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        with evaluation_mode(self.source):
            return with_eps(self.attack, self.eps)(self.source, images, labels, generator=generator)

    def describe(self) -> dict[str, Any]:
        """Return name, source and the attack on it, as JSON can hold them."""
        return {
            "name": "transfer",
            "source": self.source_name,
            "source_digest": self.source_digest,
            "attack": describe_attack(self.attack),
        }
