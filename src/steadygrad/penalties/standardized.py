"""A penalty in units of each image's own contrast: what it is at standardised images."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import HyperparameterError
from steadygrad.parts import read_nested
from steadygrad.penalties.backends import DoubleBackprop
from steadygrad.penalties.part import BACKENDS, PENALTIES, Backend, ExampleLoss, PenalizedLoss
from steadygrad.penalties.part import penalty as register

__all__ = ["Standardized"]


@register("standardized", title="At standardised images")
@dataclass(frozen=True, kw_only=True)
class Standardized:
    """Take a penalty with every input gradient multiplied by its image's standard deviation.

    A network that standardises each image, ``z = (x - mean) / std``, has the gradient
    ``std * dL/dx`` at ``z``, but for its components along the mean and along ``z`` itself, in which
    no standardised image can move. A strength that a paper states for standardised images is
    therefore ``std^2`` times as large at pixels, for each image by its own ``std``.

    Args:
        penalty: the other one, ``standardized:penalty=gn,penalty.strength=5``; by exact double
            backpropagation.

    Raises:
        HyperparameterError: it has another backend: a finite difference along the multiplied
            gradient would measure the loss where the multiplied step does not lead.

    Source: Roth et al., arXiv:1805.08736, section 4.1 ("we also standardize each image to have zero
        mean and unit variance when passing it to the classifier").
    """

    penalty: Annotated[Any, PENALTIES]

    def __post_init__(self) -> None:
        read_nested(self)
        if BACKENDS.of(self.backend) != DoubleBackprop():
            raise HyperparameterError(
                "expected backend double-backprop:statistics=batch of a penalty at standardised "
                f"images, got {BACKENDS.text(BACKENDS.of(self.backend))}"
            )

    @property
    def backend(self) -> Backend | str:
        """How the other penalty is differentiated."""
        found: Backend | str = getattr(self.penalty, "backend", DoubleBackprop())
        return found

    def prepared(self, facts: DataFacts) -> "_Prepared":
        """Return the penalty for these images.

        Raises: what the other penalty raises.
        """
        return _Prepared(prepared(self.penalty, facts))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        Raises: what the other penalty raises.
        """
        return _Prepared(self.penalty)(model, images, labels, loss=loss, generator=generator)


class _Prepared:
    """The penalty that is called, with the state of the one within."""

    def __init__(self, penalty: Any) -> None:
        self.penalty = penalty

    @property
    def fraction(self) -> float:
        """Of each batch, that is penalised."""
        found: float = getattr(self.penalty, "fraction", 1.0)
        return found

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        result: PenalizedLoss = self.penalty(
            _InContrastUnits(model), images, labels, loss=loss, generator=generator
        )
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the penalty within; empty for one that keeps none."""
        state: dict[str, Any] = getattr(self.penalty, "state_dict", dict)()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the penalty within its state back."""
        if state:
            self.penalty.load_state_dict(state)


class _InContrastUnits:
    """The model itself, whose derivatives by the images are multiplied by their deviations."""

    def __init__(self, model: Classifier) -> None:
        self.__self__ = model  # what was said once of the model is not said of each wrapper anew

    def __call__(self, images: Images) -> Logits:
        from steadygrad.layers import image_std  # half the time of importing penalties

        here = images.detach()
        return self.__self__(here + image_std(here) * (images - here))
