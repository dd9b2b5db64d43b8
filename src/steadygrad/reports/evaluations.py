"""The evaluations stored in a run folder."""

import math
from pathlib import Path

from steadygrad.errors import CheckpointError
from steadygrad.evaluation import Evaluation, read_evaluation

__all__ = ["load_evaluations"]


def load_evaluations(run: Path) -> tuple[Evaluation, ...]:
    """Return the evaluations in a run folder, oldest first.

    Raises: CheckpointError, if one of them is damaged, or counts what cannot be counted.
    """
    evaluations = []
    for path in sorted((run / "evaluations").glob("*.json")):
        evaluation = read_evaluation(path)
        _check(evaluation, path)
        evaluations.append(evaluation)
    return tuple(sorted(evaluations, key=lambda evaluation: evaluation.created))


def _check(evaluation: Evaluation, path: Path) -> None:
    n, data = evaluation.curve.n, evaluation.dataset
    missing = [key for key in ("name", "split", "n") if key not in data]
    if missing or "name" not in evaluation.curve.attack:
        what = f"data set has no {missing[0]!r}" if missing else "attack has no name"
        raise CheckpointError(f"{path} is damaged: its {what}")
    if data["n"] != n:
        raise CheckpointError(f"{path} is damaged: it says n = {data['n']} for {n} images")
    largest = math.inf if evaluation.curve.attack.get("norm") == "l2" else 1
    for point in evaluation.curve.points:
        if not (0 <= point.correct <= point.n and 0 <= point.eps <= largest):
            raise CheckpointError(
                f"{path} is damaged: an accuracy of {point.accuracy:g} at eps {point.eps:g}"
            )
    radii = evaluation.curve.eps_values
    if list(radii) != sorted(set(radii)):
        raise CheckpointError(f"{path} is damaged: its eps do not ascend")
    gallery = evaluation.gallery
    if gallery is not None and (
        gallery.clean.ndim != 4
        or gallery.clean.shape != gallery.adversarial.shape
        or any(
            part.shape != gallery.clean.shape[:1]
            for part in (
                gallery.labels,
                gallery.clean_predictions,
                gallery.adversarial_predictions,
            )
        )
    ):
        raise CheckpointError(f"{path} is damaged: the shapes of its gallery do not fit together")
