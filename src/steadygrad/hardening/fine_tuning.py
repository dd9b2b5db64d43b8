"""Fine-tuning a trained network with the penalty of a radius, with a report before and after."""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.datasets import DataSource, ImageDataset, data_source, load_dataset
from steadygrad.datasets.sources import with_settings
from steadygrad.errors import CheckpointError, DatasetError, HyperparameterError
from steadygrad.hardening.report import HardeningReport, measure
from steadygrad.hardening.take_away import TakenAway, take_away
from steadygrad.models import (
    MODELS,
    Classifier,
    ModelSource,
    ModelSpec,
    ObjectModel,
    Smooth,
    bare,
    load_model,
    model_source,
    save_model,
    without_wrappers,
)
from steadygrad.parts import build_part
from steadygrad.penalties import CrossEntropy, NormPenalty
from steadygrad.seeds import derive_seed
from steadygrad.store import make_folder
from steadygrad.training import (
    RECIPES,
    AdamW,
    ClipNorm,
    Cosine,
    ExponentialMovingAverage,
    FineTuning,
    GivenImages,
    LoaderImages,
    Progress,
    Ramp,
    SilentProgress,
    TrainingConfig,
    TrainingImages,
    TrainingRecipe,
    TrainingResult,
    train,
    with_recipe,
)
from steadygrad.training.process_group import device_of_process, launched_ranks

__all__ = ["Hardened", "harden"]

Data = DataSource | ImageDataset | LoaderImages | Iterable[Any] | str | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Hardened:
    """A hardened network and what is known of it.

    Attributes:
        model: in eval mode, of averaged weights where the training averages.
        folder: everything that was written.
        report: before and after; None if the training was stopped, or no images were left for it,
            and in all processes but the main one.
        taken: the files that load without steadygrad; None if the training was stopped, and in all
            processes but the main one.
        is_finished: False if the training can be resumed.
    """

    model: nn.Module
    folder: Path
    report: HardeningReport | None
    taken: TakenAway | None
    is_finished: bool


def harden(
    model: nn.Module | ModelSource | str | Mapping[str, Any],
    train_data: Data,
    validation: Data | None = None,
    *,
    eps: float,
    norm: Norm = "linf",
    out: Path | str = "hardened",
    weights: Path | str | None = None,
    recipe: TrainingRecipe | str | None = None,
    penalty_radius: float | None = None,
    epochs: int = 5,
    activation: Literal["keep", "gelu", "silu"] = "keep",
    plain_epochs: float | None = None,
    freeze: Sequence[str] = (),
    early_rate: float = 1.0,
    batch_norm: Literal["learn", "hold"] | None = None,
    smoothing: float = 0.1,
    image_size: int | None = None,
    num_classes: int | None = None,
    report_images: int = 500,
    audited: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> Hardened:
    """Fine-tune a trained network so that its loss moves little within a ball of radius ``eps``.

    The radius is the only number that is needed: the penalty is ``NormPenalty(eps)``, whose value
    is the first-order growth of the loss within the ball, let in along a ramp. Batch norms hold
    their running statistics, unless the activation is new. The original network is kept beside the
    hardened one.

    Folder: ``original.safetensors``; ``run/`` of the training; ``report.json``, ``report.md`` and
    ``robustness.png``; ``export/`` as ``take_away`` writes it; ``audits/before`` and ``/after``.

    Args:
        model: as in ``steadygrad.models.model_source``; an ``nn.Module`` stays as it is. Wrappers
            (torch.compile, DistributedDataParallel, DataParallel) are taken off.
        train_data: a data set by name, path, part or as an object; a loader of (images, labels).
        validation: the same, for the report and for each epoch's accuracy; None cuts a tenth of a
            named training set, at most 1,000 images, and leaves a loader without.
        eps: radius in pixels, such as 2/255.
        norm: of the ball, "linf" or "l2".
        out: the folder.
        weights: a file that takes the place of the model's own weights.
        recipe: takes penalty and noise from a recipe for the radius, such as "wide-noise", in
            place of ``NormPenalty``; for "linf".
        penalty_radius: the radius that the penalty is taken for; None is ``eps``. A larger one
            buys robustness for clean accuracy, see ``search_hardening``.
        epochs: of fine-tuning, the plain ones included.
        activation: put a smooth activation in place of ReLU first; "keep" does not.
        plain_epochs: at the start, without the penalty; None is 1 with a new activation, else 0.
        freeze: names of modules that do not learn.
        early_rate: learning rate of the first layer as a share of the last one's.
        batch_norm: "hold" the running statistics, by which batch norms then normalise, or
            "learn" them; None is "learn" with a new activation, else "hold".
        smoothing: of the labels, in [0, 1). Without it the loss of an image that is learned by
            heart, its gradient and so the penalty vanish.
        image_size: scale and crop the images of a named set to this side; needed for sets of
            several sizes.
        num_classes: of a loader that does not tell.
        report_images: how many validation images both networks are measured on.
        audited: run the quick battery on them, before and after.
        resume: go on with the hardening in ``out``.
        overwrite: replace the one in ``out``.
        progress: as in ``steadygrad.training.train``.
        settings: of ``TrainingConfig``, in place of what is chosen here (``batch_size=64``,
            ``optimizer="sgd"``, ``mixing="mixup"``, ``penalty=...``, ``seed=1``).

    Raises:
        HyperparameterError, UnknownNameError: a setting is refused.
        ModelError, CheckpointError, DatasetError: model, weights or data do not fit, or FSDP has
            divided the model's parameters.
        OutputError: ``out`` is not empty or cannot be written.
        NonFiniteLossError: the training diverged; the last good checkpoint is kept.
    """
    check_eps(eps, norm)
    if eps == 0:
        raise HyperparameterError("expected eps > 0 to harden for, got 0")
    radius = eps if penalty_radius is None else penalty_radius
    check_eps(radius, norm)
    folder, progress = Path(out), progress or SilentProgress()
    if isinstance(model, nn.Module):
        model = without_wrappers(model)
    source = model_source(model, weights)
    sets = _data(train_data, validation, image_size, num_classes)
    plain = plain_epochs if plain_epochs is not None else float(activation != "keep")
    if not 0 <= plain < epochs:
        raise HyperparameterError(f"expected plain_epochs from 0 to below {epochs}, got {plain}")
    if batch_norm is None:
        batch_norm = "hold" if activation == "keep" else "learn"
    chosen: dict[str, Any] = {
        "model": _trained_source(source, activation),
        "penalty": NormPenalty(eps=radius, ball=norm),
        "ramp": Ramp(epochs=max((epochs - plain) / 2, 1e-6), after=plain),
        "loss": CrossEntropy(smoothing=smoothing),
        "tuning": FineTuning(freeze=tuple(freeze), early_rate=early_rate, batch_norm=batch_norm),
        "optimizer": AdamW(learning_rate=2e-4),
        "schedule": Cosine(warmup=min(0.5, epochs / 10), end=0.01),
        "averaging": ExponentialMovingAverage(),
        "clipping": ClipNorm(length=1.0),
        "epochs": epochs,
    }
    if recipe is not None:
        settings = _with_recipe(recipe, radius, norm, settings)
    config: TrainingConfig = build_part(
        TrainingConfig, "hardening", chosen | dict(sets.settings) | settings
    )
    if not launched_ranks().is_main:  # it trains; the main process alone measures and writes
        result = train(config, folder / "run", resume=resume, overwrite=overwrite)
        return Hardened(result.model, folder, None, None, result.is_finished)
    device = device_of_process(config.device)
    make_folder(folder)
    original = _original(source, sets.train, folder, config.seed, resume).to(device)
    _check_class_names(original, sets.train)
    if isinstance(original, Classifier):
        progress.message(f"{MODELS.text(source)}: {original.describe()}")
    result = train(config, folder / "run", resume=resume, overwrite=overwrite, progress=progress)
    if not result.is_finished:
        return Hardened(result.model, folder, None, None, False)
    report = None
    if sets.validation is not None:
        report = _report(
            source,
            config,
            original,
            result,
            sets.validation,
            folder,
            report_images,
            audited,
            eps,
            norm,
            progress,
        )
        report.write(folder)
    taken = take_away(
        result.model,
        folder / "export",
        input_shape=sets.train.input_shape,
        class_names=sets.train.class_names,
        name=MODELS.text(bare(source)),
        results=None if report is None else report.to_json(),
    )
    for note in taken.notes:
        progress.message(note)
    return Hardened(result.model, folder, report, taken, True)


@dataclass(frozen=True)
class _Sets:
    train: TrainingImages
    validation: TrainingImages | None
    settings: Mapping[str, Any]


def _data(
    train_data: Data, validation: Data | None, image_size: int | None, num_classes: int | None
) -> _Sets:
    held: TrainingImages | None
    if isinstance(train_data, ImageDataset | LoaderImages) or _is_loader(train_data):
        learned = _images(train_data, "train", image_size, num_classes)
        held = None
        if validation is not None:
            held = _images(validation, "validation", image_size, learned.num_classes)
    elif validation is None:
        named = data_source(cast("Any", train_data))
        if image_size is not None:
            named = with_settings(named, image_size=image_size)
        size = min(1000, max(1, len(load_dataset(named, "train")) // 10))
        learned = load_dataset(named, "train", validation_size=size)
        held = load_dataset(named, "validation", validation_size=size)
        return _Sets(learned, held, {"data": named, "validation_size": size})
    else:
        learned = _images(train_data, "train", image_size, num_classes)
        held = _images(validation, "test", image_size, num_classes)
    if held is not None and (
        held.input_shape != learned.input_shape or held.num_classes != learned.num_classes
    ):
        raise DatasetError(
            f"expected validation images like those trained on, {learned.input_shape} of "
            f"{learned.num_classes} classes, got {held.input_shape} of {held.num_classes}"
        )
    return _Sets(learned, held, {"data": GivenImages.of(learned, held)})


def _images(
    data: Data, split: Literal["train", "test", "validation"], size: int | None, classes: int | None
) -> TrainingImages:
    given: Any = data
    if isinstance(given, ImageDataset | LoaderImages):
        return given
    if _is_loader(given):
        return LoaderImages(given, classes)
    return load_dataset(given, split, image_size=size)


def _is_loader(data: Any) -> bool:
    return hasattr(data, "__iter__") and not isinstance(data, str | Mapping)


def _with_recipe(
    recipe: TrainingRecipe | str, eps: float, norm: Norm, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings with a recipe's penalty and noise; how to fine-tune is decided here."""
    if norm != "linf":
        raise HyperparameterError(f"expected norm linf along with a recipe, got {norm}")
    both = with_recipe(RECIPES.of(recipe, eps=eps), settings)
    proposed = {"penalty": both["penalty"]}
    return proposed | dict(settings) | {"augmentation": both["augmentation"]}


def _trained_source(source: ModelSource, activation: str) -> ModelSource:
    """Return the model to train; a network given as an object is copied and stays as it is."""
    if isinstance(source, ObjectModel) and source.network is not None:
        source = ObjectModel.of(copy.deepcopy(source.network))
    if activation == "keep":
        return source
    return Smooth(model=source, activation=activation)  # type: ignore[arg-type]


def _original(
    source: ModelSource, images: TrainingImages, folder: Path, seed: int, resume: bool
) -> nn.Module:
    """Return the network before hardening, and keep it in ``original.safetensors``."""
    path = folder / "original.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialisation"))
        spec = ModelSpec(source, images.input_shape, images.num_classes)
        network = copy.deepcopy(spec.build()).eval()
    if resume and path.is_file() and not isinstance(source, ObjectModel):
        kept, _ = load_model(path, source=source)
        same = kept.state_dict()
        if any(not torch.equal(t, same[name]) for name, t in network.state_dict().items()):
            raise CheckpointError(
                f"cannot resume {folder}: the model's weights are not those it was begun with"
            )
    save_model(path, network, replace(spec, model=bare(source)))
    return network


def _check_class_names(network: nn.Module, images: TrainingImages) -> None:
    """Refuse classes that are the network's own in another order."""
    ours, theirs = getattr(network, "class_names", ()), images.class_names
    if ours and tuple(ours) != theirs and sorted(ours) == sorted(theirs):
        index = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len({*pair}) > 1)
        raise DatasetError(
            f"expected the network's order of classes, in which class {index} is {ours[index]!r}; "
            f"in {images.name} it is {theirs[index]!r}"
        )


def _report(
    source: ModelSource,
    config: TrainingConfig,
    original: nn.Module,
    result: TrainingResult,
    validation: TrainingImages,
    folder: Path,
    count: int,
    audited: bool,
    eps: float,
    norm: Norm,
    progress: Progress,
) -> HardeningReport:
    if isinstance(validation, LoaderImages):
        data = replace(validation.collected(count), split="validation")
    else:
        data = validation.first(count).to("cpu")
    name = MODELS.text(source)
    sides = {}
    for side, network in (("before", original), ("after", result.model)):
        progress.message(f"measuring {side} on {len(data)} images")
        sides[side] = measure(
            network,
            data,
            eps=eps,
            norm=norm,
            out=folder / "audits" / side,
            name=f"{name}, {side} hardening",
            seed=config.seed,
            audited=audited,
            notify=progress.message,
        )
    described = original.describe() if isinstance(original, Classifier) else "nothing"
    return HardeningReport(
        model=name,
        data={"name": data.name, "split": data.split, "n": len(data), "note": data.note},
        eps=eps,
        norm=norm,
        before=sides["before"],
        after=sides["after"],
        training_seconds=sum(metrics.seconds for metrics in result.history),
        config=json.loads(json.dumps(config.to_dict())),
        taken=described,
    )
