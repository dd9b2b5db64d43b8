"""Penalties that have to know the images, in loops that tell of them with the first batch."""

from collections.abc import Callable, Iterator
from typing import Any

from steadygrad._typing import Images, Labels
from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import ShapeError
from steadygrad.penalties import PENALTIES, PenalizedLoss, Penalty

__all__ = ["PreparedByFirstBatch"]


class PreparedByFirstBatch:
    """A penalty that is prepared when the first batch comes, and kept: a covariance learns on.

    Args:
        penalty: a part of ``steadygrad.penalties.PENALTIES``, or its text.
        batches: gives one pass over the training images, for a covariance that is taken of them;
            None where there are none.

    Raises:
        UnknownNameError, HyperparameterError: it is no penalty, or refused.
    """

    def __init__(
        self, penalty: Penalty | str, batches: Callable[[], Iterator[Images]] | None = None
    ) -> None:
        self.given, self._part, self._batches = penalty, PENALTIES.of(penalty), batches
        self._prepared: Any = None

    def __call__(self, model: Any, images: Images, labels: Labels, **options: Any) -> PenalizedLoss:
        """Return what the penalty does."""
        if self._prepared is None:
            if images.ndim != 4:
                raise ShapeError(
                    "expected images (batch, channels, height, width), got shape "
                    f"{tuple(images.shape)}"
                )
            channels, height, width = images.shape[1:]
            facts = DataFacts((channels, height, width), self._batches)
            self._prepared = prepared(self._part, facts)
        result: PenalizedLoss = self._prepared(model, images, labels, **options)
        return result
