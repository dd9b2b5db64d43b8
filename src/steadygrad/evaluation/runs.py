"""Evaluating a run of ``steadygrad train``: its network, its images, and the curve that is kept."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import torch

from steadygrad.attacks import ATTACKS, Attack, LongRangeCorrelated, describe_attack, norm_of
from steadygrad.attacks.ball import Norm
from steadygrad.covariance import (
    Covariance,
    CovarianceFile,
    DataFacts,
    Dataset,
    ImageShape,
    built,
)
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.datasets.loading import Split
from steadygrad.devices import resolve_device
from steadygrad.errors import HyperparameterError, ModelError, UnknownNameError
from steadygrad.evaluation.curve import AccuracyCurve, parse_eps_grid
from steadygrad.evaluation.pictures import select_gallery
from steadygrad.evaluation.results_file import write_evaluation
from steadygrad.evaluation.sweep import accuracy_curve, bisected_curve
from steadygrad.store import make_folder
from steadygrad.training import ModelSpec, TrainedRun, TrainingConfig, load_run_model

__all__ = ["DEFAULT_EPS", "RunData", "Search", "evaluate_run", "load_run_data"]

Search: TypeAlias = Literal["sweep", "bisection", "separate"]
"""How a curve is found: every radius in turn, by bisection, or every radius anew."""

DEFAULT_EPS: dict[Norm, str] = {"linf": "0:0.3:0.02", "l2": "0:3:0.2"}

_SEARCHES: dict[Search, Callable[..., AccuracyCurve]] = {
    "sweep": accuracy_curve,
    "bisection": bisected_curve,
    "separate": partial(accuracy_curve, reuse_broken=False),
}


@dataclass(frozen=True)
class RunData:
    """A run's latest network, the images chosen, and where data lies (None: the hub)."""

    trained: TrainedRun
    images: ImageDataset
    data_dir: Path | None


def load_run_data(
    run: Path,
    *,
    limit: int | None,
    dataset_name: str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    device: str = "auto",
) -> RunData:
    """Load the network of a run and the first ``limit`` images of a split, the run's by default.

    Raises: CheckpointError; DatasetError; ModelError, if the network was built for other images or
        classes.
    """
    trained = load_run_model(run, resolve_device(device))
    config = trained.config
    if data_dir is None:
        data_dir = getattr(config.data, "data_dir", None)
    images = load_dataset(
        dataset_name or config.data,
        split,
        data_dir=data_dir,
        limit=limit,
        validation_size=config.validation_size,
    )
    _check_fit(trained.spec, images)
    return RunData(trained, images, data_dir)


def evaluate_run(
    run: Path,
    attack: Attack | str = "pgd",
    eps_values: Iterable[float] | str | None = None,
    *,
    covariance: str | None = None,
    limit: int | None = 1000,
    dataset_name: str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    search: Search = "sweep",
    batch_size: int = 250,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    keep: bool = True,
) -> tuple[AccuracyCurve, Path | None]:
    """Attack the network of a run and keep the curve in the run's folder.

    Args:
        run: folder of a training.
        attack: an attack or its text, such as "pgd:steps=20".
        eps_values: radii, or a text as ``parse_eps_grid`` reads it; None takes the text's own eps,
            else ``DEFAULT_EPS`` in the attack's norm.
        covariance: of the attack "lrc", in place of its exponential one: "dataset", for that of the
            images that the run was trained on, or the path of a covariance file.
        limit: the first so many images; None takes all.
        dataset_name: None takes the run's.
        data_dir: folder with local copies; None takes the run's.
        split: which images.
        search: how the curve is found.
        batch_size: images attacked together, at least 1.
        seed: of the attack's random draws.
        device: where the work is done.
        progress: called as ``progress(done, total)``.
        keep: whether the curve is written; whether it can be is seen to before any work.

    Returns:
        The curve, and the path of its JSON file; None if it is not kept.

    Raises:
        UnknownNameError: there is no such attack, search or data set.
        HyperparameterError: a setting is refused.
        CheckpointError: the run is missing or damaged.
        DatasetError: the images cannot be read.
        ModelError: the network is of other images.
        OutputError: the result cannot be written.
    """
    if search not in _SEARCHES:
        raise UnknownNameError(f"expected search one of {', '.join(_SEARCHES)}, got {search!r}")
    chosen, radii = _attack_and_radii(attack, eps_values)
    if covariance is not None:
        _refuse_beside_covariance(chosen)
    loaded = load_run_data(
        run,
        limit=limit,
        dataset_name=dataset_name,
        data_dir=data_dir,
        split=split,
        device=device,
    )
    if keep:
        make_folder(run / "evaluations")  # what cannot be written is refused before the work
    trained, data, config = loaded.trained, loaded.images, loaded.trained.config
    described: dict[str, Any] = {}
    if covariance is not None:
        found, described["covariance"] = _noise_covariance(
            covariance, data.input_shape, config, loaded.data_dir
        )
        untyped: Any = chosen
        chosen = dataclasses.replace(untyped, covariance=found)
    images, labels = data.images(), data.labels
    curve = _SEARCHES[search](
        trained.model,
        images,
        labels,
        chosen,
        radii,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    curve = dataclasses.replace(curve, attack=curve.attack | described)
    if not keep:
        return curve, None
    gallery = select_gallery(trained.model, images, labels, chosen, curve)
    path = write_evaluation(
        run, curve, labels=labels, dataset=data, model_name=trained.spec.name, gallery=gallery
    )
    return curve, path


def _attack_and_radii(
    attack: Attack | str, eps_values: Iterable[float] | str | None
) -> tuple[Attack, tuple[float, ...]]:
    """Return the attack, and its radii: those given, the text's own, or the default ones."""
    chosen = ATTACKS.parse(attack, eps=0.0) if isinstance(attack, str) else attack
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
        raise HyperparameterError(f"covariance has no effect with {name!r}; it is of lrc")
    for name in ("decay_length", "inter_channel"):
        value, default = (getattr(of, name) for of in (attack, LongRangeCorrelated))
        if value != default:
            raise HyperparameterError(
                f"{name} {value:g} has no effect along with a covariance; leave one of them out"
            )


def _noise_covariance(
    text: str, image_shape: tuple[int, ...], config: TrainingConfig, data_dir: Path | None
) -> tuple[Covariance, dict[str, Any]]:
    """Return the covariance that ``text`` names, and what it is, for records.

    Raises: UnknownNameError; CheckpointError, if the file is missing or damaged; ShapeError, if the
        covariance is of another image size; DatasetError.
    """
    shape = cast("ImageShape", tuple(image_shape))
    if text == "dataset":
        train = load_dataset(
            config.data,
            "train",
            data_dir=data_dir,
            limit=config.limit_train,
            validation_size=config.validation_size,
        )
        facts = DataFacts(shape, lambda: iter(torch.split(train.pixels, 1000)))
        covariance = built(Dataset(), facts)
        return covariance, {"dataset": config.data_title, "n": len(train)}
    path = Path(text)
    if not (path.is_file() or path.suffix == ".safetensors" or os.sep in text):
        raise UnknownNameError(
            f"expected covariance 'dataset' or the path of a covariance file, got {text!r}"
        )
    covariance = built(CovarianceFile(path), DataFacts(shape))
    # The name alone would let a changed file pass for the same attack.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return covariance, {"file": path.name, "digest": digest}


def _check_fit(spec: ModelSpec, data: ImageDataset) -> None:
    """Refuse images or classes that the network was not built for."""
    read, given = ("x".join(map(str, shape)) for shape in (spec.input_shape, data.input_shape))
    if read != given:
        raise ModelError(f"the network reads images of {read}, those of {data.name} are {given}")
    if spec.num_classes != data.num_classes:
        raise ModelError(
            f"the network tells {spec.num_classes} classes apart, {data.name} has "
            f"{data.num_classes}"
        )
