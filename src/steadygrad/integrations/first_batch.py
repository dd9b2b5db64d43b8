"""Penalties that have to know the images, in loops that tell of them with the first batch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from steadygrad._typing import Images, Labels
from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import CheckpointError, ShapeError
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
        self._kept: dict[str, Any] = {}  # of a checkpoint, until the first batch comes
        # A part keeps nothing; an object that was prepared before it came here may have learned.
        self._at_first: dict[str, Any] = getattr(self._part, "state_dict", dict)()

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
            made = prepared(self._part, facts)
            if self._kept:
                made.load_state_dict(self._kept)
            self._prepared, self._kept = made, {}
        result: PenalizedLoss = self._prepared(model, images, labels, **options)
        return result

    def forget(self) -> None:
        """Begin anew, as for another network: nothing is prepared or learned."""
        self._prepared, self._kept = None, dict(self._at_first)

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's name and what it has learned, for a checkpoint."""
        learned = self._kept or getattr(self._prepared, "state_dict", dict)()
        return {"penalty": self._name, "learned": learned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; what another penalty has learned is left out.

        Raises:
            CheckpointError: it is no such state. One that does not fit the images or the penalty's
                covariance is refused when the first batch comes.
        """
        learned = state.get("learned") if isinstance(state, Mapping) else None
        if not isinstance(learned, dict):
            raise CheckpointError("expected the state of a penalty in the checkpoint, got another")
        self._prepared = None
        self._kept = dict(learned) if state.get("penalty") == self._name else {}

    @property
    def _name(self) -> str:
        text = PENALTIES.text(self._part)
        # Of what text cannot hold this is the repr, which tells what an object has learned so far.
        return type(self._part).__name__ if text == repr(self._part) else text
