"""Recipes as parts: settings that were measured to go together, in terms of a radius alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from steadygrad.checks import check_eps
from steadygrad.datasets import AUGMENTATIONS, AugmentationStep, Noise, UniformNoise
from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.training.averaging import ExponentialMovingAverage
from steadygrad.training.clipping import ClipNorm
from steadygrad.training.optimizers import SGD
from steadygrad.training.schedules import Linear

__all__ = ["RECIPES", "TrainingRecipe", "WideNoise", "recipe", "with_recipe"]

C = TypeVar("C", bound=type[Any])


class TrainingRecipe(Protocol):
    """Proposes settings of ``TrainingConfig``."""

    def settings(self) -> Mapping[str, Any]:
        """Return the proposed settings; ``augmentation`` comes after the user's own."""
        ...


RECIPES: Family[TrainingRecipe] = Family(
    "recipe", "steadygrad.training", group="steadygrad.recipes"
)
"""Every registered recipe."""


def recipe(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``TrainingRecipe`` under ``name``."""
    return RECIPES.register(name)


@recipe("wide-noise")
@dataclass(frozen=True, kw_only=True)
class WideNoise:
    """The squared L1 penalty at a neighbour farther away than the radius, and averaged weights.

    Loss and penalty are taken at ``clamp(x + U(-a, a), 0, 1)`` with ``a = width * eps``. The
    strength is ``weight * eps^2``, so that the penalty is ``weight * (eps * |g|_1)^2``: the square
    of how much the loss grows to first order within the ball. Besides: stochastic gradient descent
    whose rate falls linearly over the last third, weights averaged with decay 0.998, parameter
    gradients cut at length 5. Ten epochs of MNIST are enough.

    Args:
        eps: radius in the L-infinity norm, in (0, 1].
        width: half-width of the noise in units of eps, at least 0.
        weight: positive.
        learning_rate: at the start, positive; at 0.05 the complex MNIST network does not learn.

    Source: ours; ``steadygrad experiment run recipe/mnist-choice``, docs/science/recipe.md.
    """

    positional: ClassVar[str] = "eps"

    eps: float
    width: float = 1.5
    weight: float = 3.0
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.eps == 0:
            raise HyperparameterError("expected eps > 0 for a recipe, got 0")
        if not 0 <= self.width < float("inf"):
            raise HyperparameterError(f"expected width >= 0 in units of eps, got {self.width}")
        if not 0 < self.weight < float("inf"):
            raise HyperparameterError(f"expected weight > 0, got {self.weight}")
        if not 0 < self.learning_rate < float("inf"):
            raise HyperparameterError(f"expected learning_rate > 0, got {self.learning_rate}")

    def settings(self) -> Mapping[str, Any]:
        """Return penalty, noise, optimizer, averaging, schedule and clipping."""
        half_width = _six_digits(min(1.0, self.width * self.eps))
        return {
            "penalty": SquaredNormPenalty(strength=_six_digits(self.weight * self.eps**2)),
            "augmentation": (UniformNoise(half_width),) if half_width > 0 else (),
            "optimizer": SGD(learning_rate=self.learning_rate),
            "averaging": ExponentialMovingAverage(rate=0.998),
            "schedule": Linear(fall_from=2 / 3),
            "clipping": ClipNorm(length=5.0),
        }


def with_recipe(
    recipe: TrainingRecipe | str | Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    base: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return settings of ``TrainingConfig``: a recipe's over those of ``base``, given ones on top.

    Args:
        recipe: as object, text (``"wide-noise:0.2"``) or table.
        settings: what the user chose. Its ``augmentation`` comes before the recipe's.
        base: what the recipe takes the place of, such as the settings of a file. Its
            ``augmentation`` counts where ``settings`` have none, without ``uniform`` and
            ``gaussian`` noise if the recipe says which noise there is.

    Raises:
        UnknownNameError, HyperparameterError: there is no such recipe, or it refuses a setting; an
            augmentation is none.
    """
    below = dict(base or {})
    proposed = dict(RECIPES.of(recipe).settings())
    noise = proposed.pop("augmentation", None)
    own = _steps(settings.get("augmentation"))
    if "augmentation" not in settings:
        own = _steps(below.get("augmentation"))
        if noise is not None:
            own = tuple(step for step in own if not isinstance(step, Noise))
    return below | proposed | dict(settings) | {"augmentation": (*own, *(noise or ()))}


def _steps(given: Any) -> tuple[AugmentationStep, ...]:
    if isinstance(given, str):
        given = [step for step in given.split("+") if step != "none"]
    if not isinstance(given, list | tuple | None):
        raise HyperparameterError(f"expected augmentation as a list of parts, got {given!r}")
    return tuple(AUGMENTATIONS.of(step) for step in given or ())


def _six_digits(value: float) -> float:
    # What a reader of the configuration would write: 0.3, and not 0.30000000000000004.
    return float(f"{value:.6g}")
