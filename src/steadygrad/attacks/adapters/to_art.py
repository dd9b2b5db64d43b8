"""Attacks of ours as evasion attacks of ART."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.adapters.library import load_library
from steadygrad.attacks.base import Attack, with_eps
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.checks import check_batch_size
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["to_art"]

Array = np.ndarray[Any, Any]


def to_art(attack: Attack | DeepFool, estimator: Any, *, batch_size: int = 256) -> Any:
    """Return an attack of ours as an evasion attack of ART on one estimator.

    estimator: a ``PyTorchClassifier`` with clip_values (0, 1); its preprocessing becomes part of
        the model, where it can be differentiated.
    batch_size: examples attacked together, at least 1.

    ``generate(x, y)`` takes labels as class indices or one-hot; without them the attack leaves
    the predicted classes. ``set_params(eps=...)`` moves the radius. Randomness comes from torch's
    global generator.
    Raises: HyperparameterError, for another estimator, range or batch size; MissingExtraError.
    """
    base = load_library("art", ".attacks.attack").EvasionAttack
    classifier = load_library("art", ".estimators.classification").PyTorchClassifier
    if not isinstance(estimator, classifier):
        raise HyperparameterError(
            f"expected a PyTorchClassifier of ART, got {type(estimator).__name__}"
        )
    if estimator.clip_values is None or tuple(map(float, estimator.clip_values)) != (0, 1):
        raise HyperparameterError(
            f"expected an estimator with clip_values (0, 1), got {estimator.clip_values}"
        )
    check_batch_size(batch_size)
    has_eps = not isinstance(attack, DeepFool)

    # The base class exists only where ART does, hence a class made when it is asked for.
    class SteadygradAttack(base):  # type: ignore[misc, valid-type]  # an untyped base
        """An attack of steadygrad on one estimator."""

        attack_params: ClassVar[list[str]] = ["batch_size", *(["eps"] if has_eps else [])]
        _estimator_requirements = (classifier,)

        def __init__(self) -> None:
            super().__init__(estimator=estimator)
            self.ours, self.batch_size = attack, batch_size
            if not isinstance(attack, DeepFool):
                self.eps = attack.eps

        def generate(self, x: Array, y: Array | None = None, **kwargs: Any) -> Array:  # noqa: ARG002 - ART passes them
            """Return adversarial images, shaped like ``x``."""
            ours = self.ours if isinstance(self.ours, DeepFool) else with_eps(self.ours, self.eps)
            model = _logits_of(self.estimator)
            labels = _class_indices(self.estimator.predict(x) if y is None else y)
            classes = labels.to(self.estimator.device)
            batches = zip(
                torch.split(_on_device(x, self.estimator), self.batch_size),
                torch.split(classes, self.batch_size),
                strict=True,
            )
            with evaluation_mode(self.estimator.model):
                found = [ours(model, *batch).cpu().numpy() for batch in batches]
            return np.concatenate(found).astype(x.dtype)

    return SteadygradAttack()


def _on_device(x: Array, estimator: Any) -> Images:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(estimator.device)


def _class_indices(labels: Array) -> Labels:
    """Return class indices from class indices, one-hot rows or scores."""
    indices = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels
    return torch.from_numpy(indices.reshape(-1)).to(torch.int64)


def _logits_of(estimator: Any) -> Classifier:
    """Return the estimator's preprocessing and model as one differentiable callable."""
    differentiable = load_library("art", ".defences.preprocessor.preprocessor")
    steps = [step for step in estimator.preprocessing_operations if step.apply_predict]
    for step in steps:
        if not isinstance(step, differentiable.PreprocessorPyTorch):
            raise HyperparameterError(
                f"expected preprocessing that PyTorch can differentiate, got {type(step).__name__}"
            )

    def logits(images: Tensor) -> Logits:
        for step in steps:
            images, _ = step.forward(images, None)
        outputs: Logits = estimator.model(images)
        return outputs

    return logits
