"""HopSkipJump: along the decision boundary towards the image, from predicted classes alone.

Source: Chen, Jordan & Wainwright, S&P 2020 (arXiv:1904.02144), Algorithm 2, by foolbox.
"""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapters.library import load_library
from steadygrad.attacks.adapters.minimal_foolbox import MinimalFoolboxAttack
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError

__all__ = ["HopSkipJump"]


@attack("hop-skip-jump", title="HopSkipJump", family="query", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class HopSkipJump(MinimalFoolboxAttack):
    """Find a small perturbation by asking the model for nothing but the class that it predicts.

    A random image of another class is moved to the boundary by bisection; there, the direction of
    the boundary is estimated from the classes of random neighbours, again and again.

    Args:
        eps: radius in ``norm``: an image counts as broken if it is misclassified within it.
            ``closest`` reports the distances found, whatever ``eps``.
        norm: "linf" or "l2".
        steps: estimates of the boundary, at least 1. Step t asks about ``first_queries * sqrt(t)``
            neighbours, so that 10 steps need some 3,000 queries an image, and 64 some 35,000.
        first_queries: neighbours asked about in the first step, at least 1.
        most_queries: in any step, at least ``first_queries``.
        directions: random images that are tried as beginnings, at least 1; an image that none of
            them leads to another class returns as it was.

    Raises:
        HyperparameterError: a setting is out of range.
        MissingExtraError: ``foolbox`` is not installed.
    """

    steps: int = 64
    first_queries: int = 100
    most_queries: int = 10_000
    directions: int = 100

    label: ClassVar[str] = "HopSkipJump"
    counts: ClassVar[tuple[str, ...]] = ("steps", "first_queries", "directions")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most_queries < self.first_queries:
            raise HyperparameterError(
                f"expected most_queries >= first_queries, got {self.most_queries} and "
                f"{self.first_queries}"
            )

    def _attack(self) -> Any:
        return load_library("foolbox", ".attacks").HopSkipJumpAttack(
            steps=self.steps,
            initial_gradient_eval_steps=self.first_queries,
            max_gradient_eval_steps=self.most_queries,
            constraint=self.norm,
        )

    def _perturb(
        self,
        model: ShieldedModel,
        images: Images,
        labels: Labels,
        *,
        classes: int,  # noqa: ARG002  (foolbox counts for itself)
        seed: int,  # noqa: ARG002  (foolbox draws from the global generators)
        eps: float | None,  # noqa: ARG002  (it minimizes, whatever the radius)
    ) -> Images:
        attacks = load_library("foolbox", ".attacks")
        wrapped = load_library("foolbox", ".models").PyTorchModel(
            model, bounds=(0, 1), device=images.device
        )
        begin = attacks.LinearSearchBlendedUniformNoiseAttack(directions=self.directions, steps=50)
        with warnings.catch_warnings():
            # It warns of images with nowhere to begin, which are told apart here.
            warnings.simplefilter("ignore", UserWarning)
            _, starts, has_start = begin(wrapped, images, labels, epsilons=None)
        found, rows = images.clone(), has_start.nonzero().squeeze(1)
        if len(rows):
            # foolbox refuses a whole batch if one image of it has nowhere to begin.
            _, found[rows], _ = self._attack()(
                wrapped, images[rows], labels[rows], epsilons=None, starting_points=starts[rows]
            )
        return found
