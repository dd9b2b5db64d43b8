"""AutoAttack: four attacks without parameters to tune, each on what the ones before left standing.

Source: Croce & Hein, ICML 2020 (arXiv:2003.01690), by the authors' code (``pyautoattack``).
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapters.foreign import ForeignAttack
from steadygrad.attacks.adapters.library import library_version, load_library, require_library
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError, ModelError, UnknownNameError

__all__ = ["AutoAttack"]

Version: TypeAlias = Literal["standard", "plus", "rand"]
VERSIONS = ("standard", "plus", "rand")
MEMBERS = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")
FEWEST_CLASSES = {"apgd-dlr": 3, "apgd-t": 4}
"""The DLR loss divides by a difference of the first and third logit, its targeted form needs a
fourth."""
TARGETS = 9
LOGGER = "auto-attack"


@attack("autoattack", title="AutoAttack", family="ensemble", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class AutoAttack(ForeignAttack):
    """Run the ensemble; an image that none of its attacks breaks returns as it was.

    eps: radius in ``norm``, in units of the pixel range: at most 1 for "linf", any for "l2".
    version: "standard" runs APGD on the cross-entropy, targeted APGD on DLR and targeted FAB (9
        classes each) and Square (5,000 queries); "plus" adds untargeted APGD-DLR and FAB and gives
        5 restarts; "rand", for models with randomness in them, averages gradients over 20 passes.
    attacks: run these of the ensemble instead, in this order, with the version's settings:
        apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square.
    square_queries: of Square, an image, at least 1; 5,000 as published.
    Raises: HyperparameterError, UnknownNameError; MissingExtraError without ``pyautoattack``;
        when called, ModelError, if the model has too few classes for a loss.

    A standard run takes some 7,000 forward passes for an image that stands. Models of fewer than
    ten classes have fewer targets. What the library's own checks suspect (randomness, softmax
    outputs, zero gradients, a Square that succeeds where gradients failed) goes to the logger
    "auto-attack" at level WARNING, and nowhere else. The library computes in float32.
    """

    version: Version = "standard"
    attacks: tuple[str, ...] | None = None
    square_queries: int = 5000

    working_dtype: ClassVar[torch.dtype | None] = torch.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.version not in VERSIONS:
            raise UnknownNameError(
                f"expected version one of {', '.join(VERSIONS)}, got {self.version!r}"
            )
        if self.attacks is not None:
            if not isinstance(self.attacks, tuple) or not self.attacks:
                raise HyperparameterError(
                    f"expected attacks as a tuple of names, got {self.attacks!r}"
                )
            for name in self.attacks:
                if name not in MEMBERS:
                    raise UnknownNameError(
                        f"expected attacks among {', '.join(MEMBERS)}, got {name!r}"
                    )
        if self.square_queries < 1:
            raise HyperparameterError(f"expected square_queries >= 1, got {self.square_queries}")
        require_library("pyautoattack")

    @property
    def is_ensemble(self) -> bool:
        """Whether several attacks run, of which more than one kind may be."""
        return self.attacks is None or len(self.attacks) > 1

    @property
    def label(self) -> str:
        """Library and version."""
        return f"AutoAttack ({self.version})"

    @property
    def is_minimal(self) -> bool:
        """False: FAB minimizes, but only what lies within eps counts."""
        return False

    def describe(self) -> dict[str, Any]:
        """Return library and settings, as JSON values."""
        return {
            "library": library_version("pyautoattack"),
            "norm": self.norm,
            "version": self.version,
            "attacks": None if self.attacks is None else list(self.attacks),
            "square_queries": self.square_queries,
        }

    def _perturb(
        self,
        model: ShieldedModel,
        images: Images,
        labels: Labels,
        *,
        classes: int,
        seed: int,
        eps: float | None,
    ) -> Images:
        with _logging_quietly():
            ensemble = load_library("pyautoattack").AutoAttack(
                model,
                eps=eps,
                norm={"linf": "Linf", "l2": "L2"}[self.norm],
                seed=seed,
                version=self.version,
                device=images.device,
            )
            if self.attacks is not None:
                ensemble.attacks_to_run = list(self.attacks)
            ensemble.square.n_queries = self.square_queries
            for name in ensemble.attacks_to_run:
                if classes < FEWEST_CLASSES.get(name, 2):
                    raise ModelError(
                        f"expected a model of at least {FEWEST_CLASSES.get(name, 2)} classes for "
                        f"{name} of AutoAttack, got {classes}"
                    )
            for targeted in (ensemble.apgd_targeted, ensemble.fab):
                targeted.n_target_classes = min(TARGETS, classes - 1)
            found: Images
            found, _ = ensemble.run_standard_evaluation(images, labels, batch_size=len(images))
        return found


@contextmanager
def _logging_quietly() -> Iterator[None]:
    """Keep warnings off the terminal unless someone listens, and keep a debugger's trace."""
    logger, silence, trace = logging.getLogger(LOGGER), logging.NullHandler(), sys.gettrace()
    logger.addHandler(silence)
    try:
        yield
    finally:
        logger.removeHandler(silence)
        sys.settrace(trace)  # the library's check for dynamic models takes it away
