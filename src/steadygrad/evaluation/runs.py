"""A network's accuracy under an attack, radius by radius, and the curve that is kept."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import torch

from steadygrad.attacks import ATTACKS, Attack, LongRangeCorrelated, describe_attack, norm_of
from steadygrad.attacks.ball import AnyNorm
from steadygrad.covariance import (
    COVARIANCES,
    Covariance,
    CovarianceFile,
    DataFacts,
    Dataset,
    ImageShape,
    built,
)
from steadygrad.distributed import alone
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.continued_curve import continued_curve
from steadygrad.evaluation.curve import AccuracyCurve, parse_eps_grid
from steadygrad.evaluation.divided_batches import dividing_ranks
from steadygrad.evaluation.judged import JudgedModel, load_judged
from steadygrad.evaluation.pictures import select_gallery
from steadygrad.evaluation.results_file import write_evaluation
from steadygrad.evaluation.sweep import accuracy_curve, bisected_curve, distance_curve
from steadygrad.store import make_folder

__all__ = ["DEFAULT_EPS", "Search", "evaluate", "evaluate_run"]

Search: TypeAlias = Literal["sweep", "continued", "bisection", "separate", "distance"]
"""How a curve is found: every radius in turn, from where the one before ended, by bisection, every
radius anew, or from the distances that one run of a minimizing attack finds."""

DEFAULT_EPS: Mapping[AnyNorm, str] = {"linf": "0:0.3:0.02", "l2": "0:3:0.2", "l1": "0:30:2"}

_SEARCHES: dict[Search, Callable[..., AccuracyCurve]] = {
    "sweep": accuracy_curve,
    "continued": continued_curve,
    "bisection": bisected_curve,
    "separate": partial(accuracy_curve, reuse_broken=False),
    "distance": distance_curve,
}


def evaluate_run(
    run: Path,
    attack: Attack | str = "pgd",
    eps_values: Iterable[float] | str | None = None,
    *,
    limit: int | None = 1000,
    seed: int = 0,
) -> tuple[AccuracyCurve, Path | None]:
    """Attack the network of a run on its own test images and keep the curve in the run's folder.

    Args, raises and returns: as ``evaluate``; ``limit`` as ``load_judged``.
    """
    return evaluate(load_judged(run, limit=limit), attack, eps_values, seed=seed, folder=run)


def evaluate(
    judged: JudgedModel,
    attack: Attack | str = "pgd",
    eps_values: Iterable[float] | str | None = None,
    *,
    covariance: str | None = None,
    search: Search = "sweep",
    batch_size: int = 250,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    folder: Path | None = None,
) -> tuple[AccuracyCurve, Path | None]:
    """Attack a network at each radius and keep the curve.

    Args:
        judged: the network and its images.
        attack: an attack or its text, such as "pgd:steps=20".
        eps_values: radii, or a text as ``parse_eps_grid`` reads it; None takes the text's own eps,
            else ``DEFAULT_EPS`` in the attack's norm.
        covariance: of the attack "lrc", in place of its exponential one: "dataset", for that of the
            images that the network was trained on, or the path of a covariance file.
        search: how the curve is found.
        batch_size: images attacked together, at least 1.
        seed: of the attack's random draws.
        progress: called as ``progress(done, total)``.
        folder: the curve goes to ``folder/evaluations``; whether it can is seen to before any work.
            None keeps nothing; so do processes beside the main one, inside ``images_divided``.

    Returns:
        The curve, and the path of its JSON file; None if it is not kept.

    Raises:
        UnknownNameError: there is no such attack or search.
        HyperparameterError: a setting is refused.
        DatasetError, CheckpointError: the covariance cannot be read.
        OutputError: the result cannot be written.
    """
    if search not in _SEARCHES:
        raise UnknownNameError(f"expected search one of {', '.join(_SEARCHES)}, got {search!r}")
    chosen, radii = _attack_and_radii(attack, eps_values)
    if covariance is not None:
        _refuse_beside_covariance(chosen)
    if folder is not None:
        make_folder(folder / "evaluations")  # what cannot be written is refused before the work
    data = judged.images
    described: dict[str, Any] = {}
    if covariance is not None:
        found, described["covariance"] = _noise_covariance(covariance, judged)
        untyped: Any = chosen
        chosen = dataclasses.replace(untyped, covariance=found)
    images, labels = data.images(), data.labels
    curve = _SEARCHES[search](
        judged.model,
        images,
        labels,
        chosen,
        radii,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    curve = dataclasses.replace(curve, attack=curve.attack | described)
    if folder is None or not dividing_ranks().is_main:
        return curve, None
    with alone():
        gallery = select_gallery(judged.model, images, labels, chosen, curve)
    path = write_evaluation(
        folder,
        curve,
        labels=labels,
        dataset=data,
        model_name=judged.model_name,
        digest=judged.digest,
        gallery=gallery,
    )
    return curve, path


def _attack_and_radii(
    attack: Attack | str, eps_values: Iterable[float] | str | None
) -> tuple[Attack, tuple[float, ...]]:
    """Return the attack, and its radii: those given, the text's own, or the default ones."""
    chosen = ATTACKS.parse_with_eps(attack, eps=0.0) if isinstance(attack, str) else attack
    if not hasattr(chosen, "eps"):
        name = describe_attack(chosen)["name"]
        raise HyperparameterError(f"expected an attack with an eps, got {name!r}, which has none")
    norm = norm_of(chosen)
    own = chosen.eps if isinstance(attack, str) else 0.0
    if own and eps_values is not None:
        raise HyperparameterError(
            f"eps {own:g} of {attack!r} has no effect beside the radii given; leave one of them out"
        )
    if eps_values is None:
        return chosen, (own,) if own else parse_eps_grid(DEFAULT_EPS[norm], norm)
    if isinstance(eps_values, str):
        return chosen, parse_eps_grid(eps_values, norm)
    return chosen, tuple(eps_values)


def _refuse_beside_covariance(attack: Attack) -> None:
    if not isinstance(attack, LongRangeCorrelated):
        name = describe_attack(attack)["name"]
        raise HyperparameterError(f"covariance has no effect with {name!r}, only with lrc")
    if attack.covariance != LongRangeCorrelated.covariance:
        raise HyperparameterError(
            f"covariance {COVARIANCES.text(attack.covariance)} of the attack has no effect along "
            "with another one; leave one of them out"
        )


def _noise_covariance(text: str, judged: JudgedModel) -> tuple[Covariance, dict[str, Any]]:
    """Return the covariance that ``text`` names, and what it is, for records.

    Raises: UnknownNameError; CheckpointError, if the file is missing or damaged; ShapeError, if the
        covariance is of another image size; DatasetError.
    """
    shape = cast("ImageShape", tuple(judged.images.input_shape))
    if text == "dataset":
        train = judged.training_images()
        facts = DataFacts(shape, lambda: iter(torch.split(train.pixels, 1000)))
        title = train.name if judged.config is None else judged.config.data_title
        return built(Dataset(), facts), {"dataset": title, "n": len(train)}
    path = Path(text)
    if not (path.is_file() or path.suffix == ".safetensors" or os.sep in text):
        raise UnknownNameError(
            f"expected covariance 'dataset' or the path of a covariance file, got {text!r}"
        )
    part = CovarianceFile(path)
    return built(part, DataFacts(shape)), dict(part.record())
