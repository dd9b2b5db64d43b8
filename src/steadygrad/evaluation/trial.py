"""One attack on some of the examples at one radius: the step every curve is made of."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, with_eps
from steadygrad.checks import check_finite_losses, check_logits
from steadygrad.seeds import derived_generator

__all__ = ["ProgressCount", "Trial"]


@dataclass(frozen=True, eq=False)
class Trial:
    """Everything but the radius and the rows. The model is in eval mode already.

    outcomes: of batches that were attacked before, by radius and number; further ones are added.
    """

    model: Classifier
    images: Images
    labels: Labels
    attack: Attack
    batch_size: int
    seed: int
    device: torch.device
    outcomes: MutableMapping[str, Tensor] | None = None

    def withstand(self, rows: Tensor, eps: float, report: Callable[[Tensor], None]) -> Tensor:
        """Attack the examples at ``rows`` (int64); return which are still right, bool, on the CPU.

        Examples are attacked in full batches, whichever rows they come from; ``report`` hears
        the outcome of each when it is done.
        Raises: ModelError, for outputs that are no finite logits.
        """
        if len(rows) == 0:
            return torch.zeros(0, dtype=torch.bool)
        attack = with_eps(self.attack, eps)
        survives = []
        for number, batch in enumerate(torch.split(rows, self.batch_size)):
            name = f"eps {eps!r}, batch {number}"
            outcome = None if self.outcomes is None else self.outcomes.get(name)
            if outcome is None or len(outcome) != len(batch):
                generator = derived_generator(self.seed, name)
                outcome = self._withstand_batch(attack, batch, generator)
                if self.outcomes is not None:
                    self.outcomes[name] = outcome
            survives.append(outcome)
            report(survives[-1])
        return torch.cat(survives)

    def _withstand_batch(self, attack: Attack, rows: Tensor, generator: torch.Generator) -> Tensor:
        images, labels = self.images[rows].to(self.device), self.labels[rows].to(self.device)
        adversarial = attack(self.model, images, labels, generator=generator)
        with torch.no_grad():
            logits = self.model(adversarial)
        check_logits(logits, len(images))
        check_finite_losses(logits)
        return (logits.argmax(dim=1) == labels).cpu()


class ProgressCount:
    """Tells ``progress(done, total)`` how many pairs of an example and a radius are settled."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def add(self, settled: int) -> None:
        self.done += settled
        if self.progress is not None:
            self.progress(self.done, self.total)
