"""Fine-tuning a trained network with the penalty of a radius, with a report before and after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.datasets import ImageDataset
from steadygrad.errors import DatasetError, HyperparameterError
from steadygrad.evaluation.auditing.fitness import UnfitError, check_accepted, check_fitness
from steadygrad.hardening.data import Data, HardeningData
from steadygrad.hardening.folder import HardeningFolder
from steadygrad.hardening.new_activation import new_activation
from steadygrad.hardening.report import HardeningReport, measure
from steadygrad.hardening.seen_images import count_seen, held_out_before, seen_note
from steadygrad.hardening.take_away import TakenAway, take_away
from steadygrad.models import (
    MODELS,
    Classifier,
    ModelSource,
    ModelSpec,
    Smooth,
    bare,
    model_source,
    without_wrappers,
)
from steadygrad.parts import build_part
from steadygrad.penalties import CrossEntropy, NormPenalty
from steadygrad.seeds import derive_seed
from steadygrad.training import (
    RECIPES,
    AdamW,
    ClipNorm,
    Cosine,
    ExponentialMovingAverage,
    FineTuning,
    Progress,
    Ramp,
    RunFolder,
    SilentProgress,
    TrainingConfig,
    TrainingImages,
    TrainingRecipe,
    TrainingResult,
    train,
    with_recipe,
)
from steadygrad.training.process_group import device_of_process, launched_ranks

__all__ = ["Hardened", "check_radius", "harden"]


@dataclass(frozen=True, eq=False)
class Hardened:
    """A hardened network and what is known of it.

    Attributes:
        model: in eval mode, of averaged weights where the training averages; each parameter has the
            ``requires_grad`` of the network that was given.
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
    accept: Sequence[str] = (),
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
        train_data: a data set by name, path, part or as an object; a torch ``Dataset`` of (image,
            label, ...) or mappings with both; a loader of batches of such.
        validation: the same, for the report and for each epoch's accuracy; None cuts a tenth of a
            named training set, at most 1,000 images (or ``validation_size``), and leaves any other
            without.
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
        num_classes: of a loader or torch ``Dataset`` that does not tell.
        report_images: how many validation images both networks are measured on, at least 1.
        audited: run the quick battery on them, before and after. A network that is unfit for it is
            refused before the training.
        accept: problems in spite of which to audit, as in ``steadygrad.audit``.
        resume: go on with the hardening in ``out``, or begin it if it never began.
        overwrite: replace the one in ``out``, once the first step has succeeded.
        progress: as in ``steadygrad.training.train``.
        settings: of ``TrainingConfig``, in place of what is chosen here (``batch_size=64``,
            ``optimizer="sgd"``, ``mixing="mixup"``, ``penalty=...``, ``seed=1``).

    Raises:
        HyperparameterError, UnknownNameError: a setting is refused.
        ModelError, CheckpointError, DatasetError: model, weights or data do not fit, or FSDP has
            divided the model's parameters.
        OutputError: ``out`` is not empty or cannot be written. Nothing is written by a call that is
            refused.
        NonFiniteLossError: the training diverged; the last good checkpoint is kept.
    """
    check_radius(eps, norm)
    radius = eps if penalty_radius is None else penalty_radius
    check_eps(radius, norm)
    if resume and overwrite:
        raise HyperparameterError("expected resume or overwrite, not both")
    if report_images < 1:
        raise HyperparameterError(f"expected report_images >= 1, got {report_images}")
    if "data" in settings:
        raise HyperparameterError(
            "expected the images to train on as train_data alone, got a setting 'data' besides"
        )
    accepted = check_accepted(accept)
    folder, progress = HardeningFolder(Path(out)), progress or SilentProgress()
    if isinstance(model, nn.Module):
        model = without_wrappers(model)
    source = model_source(model, weights)
    if overwrite:
        RunFolder(folder.path).refuse_to_replace_source_of(source)
    if getattr(source, "head", "keep") == "new":  # a new last layer has not learned any label yet
        accepted = (*accepted, "labels-do-not-match")
    sets = HardeningData.of(
        train_data,
        validation,
        image_size=image_size,
        num_classes=num_classes,
        batch_size=settings.get("batch_size", TrainingConfig.batch_size),
        held_out=settings.get("validation_size", held_out_before(source, train_data) or None),
    )
    plain = _plain_epochs(plain_epochs, epochs, activation)
    if batch_norm is None:
        batch_norm = "hold" if activation == "keep" else "learn"
    chosen: dict[str, Any] = {
        "model": source if activation == "keep" else Smooth(model=source, activation=activation),
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
        result = train(config, folder.run, resume=resume, overwrite=overwrite)
        return Hardened(result.model, folder.path, None, None, result.is_finished)
    if resume and not folder.has_begun:
        progress.message(f"there is nothing to resume in {folder.path}: the hardening begins")
        resume = False
    if not (resume or overwrite):
        RunFolder(folder.run).refuse_unless_empty()
    original, spec = _original(source, sets.train, config.seed)
    if resume:
        folder.check_original(original)
    original.to(device_of_process(config.device))
    if isinstance(original, Classifier):
        progress.message(f"{MODELS.text(source)}: {original.describe()}")
    reported = sets.reported(report_images)
    seen = 0 if reported is None else count_seen(source, reported)
    if reported is not None and seen:
        progress.message(seen_note(seen, len(reported)))
    if audited and reported is not None:
        _check_fit_for_audit(original, reported, accepted)
    result = train(
        config,
        folder.run,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        on_begin=partial(folder.begin, original, spec, overwrite=overwrite),
    )
    if not result.is_finished:
        return Hardened(result.model, folder.path, None, None, False)
    report = None
    if reported is not None:
        report = _report(
            source,
            config,
            original,
            result,
            reported,
            seen,
            folder,
            audited,
            accepted,
            eps,
            norm,
            progress,
        )
        report.write(folder.path)
    taken = take_away(
        result.model,
        folder.export,
        input_shape=sets.train.input_shape,
        class_names=sets.train.class_names,
        name=MODELS.text(spec.model),
        activation=new_activation(config.model),
        results=None if report is None else report.to_json(),
    )
    for note in taken.notes:
        progress.message(note)
    return Hardened(result.model, folder.path, report, taken, True)


def check_radius(eps: float, norm: Norm) -> None:
    """Refuse a radius that nothing can be hardened for.

    Raises:
        HyperparameterError: it is outside its range.
    """
    check_eps(eps, norm)
    if eps == 0:
        raise HyperparameterError("expected eps > 0 to harden for, got 0")


def _plain_epochs(given: float | None, epochs: int, activation: str) -> float:
    """Return how many epochs at the start have no penalty."""
    if epochs < 1:
        raise HyperparameterError(f"expected epochs >= 1, got {epochs}")
    if given is None:
        if activation != "keep" and epochs == 1:
            raise HyperparameterError(
                f"expected at least 2 epochs with activation {activation}, of which the first is "
                "without the penalty, got 1; give more epochs, or plain_epochs below 1"
            )
        return float(activation != "keep")
    if not 0 <= given < epochs:
        raise HyperparameterError(f"expected plain_epochs from 0 to below {epochs}, got {given}")
    return given


def _with_recipe(
    recipe: TrainingRecipe | str, eps: float, norm: Norm, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings with a recipe's penalty and noise; how to fine-tune is decided here."""
    if norm != "linf":
        raise HyperparameterError(f"expected norm linf along with a recipe, got {norm}")
    both = with_recipe(RECIPES.of(recipe, eps=eps), settings)
    proposed = {"penalty": both["penalty"]}
    return proposed | dict(settings) | {"augmentation": both["augmentation"]}


def _original(
    source: ModelSource, images: TrainingImages, seed: int
) -> tuple[nn.Module, ModelSpec]:
    """Return the network before hardening, which the training begins with too, and what it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialisation"))
        spec = ModelSpec(source, images.input_shape, images.num_classes)
        network = spec.build().eval()
    _check_class_names(network, images)
    # Now: a run that it comes from may be replaced or removed in the meantime.
    return network, replace(spec, model=bare(source))


def _check_fit_for_audit(network: nn.Module, data: ImageDataset, accepted: Sequence[str]) -> None:
    """Refuse before the training what the audit would refuse after it."""
    fitness = check_fitness(network, data.images(), data.labels, classes=data.num_classes)
    if not fitness.is_fit_accepting(accepted):
        raise UnfitError(
            fitness.problems, accepted, "or leave the audit out (--no-audit, audited=False)"
        )


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
    data: ImageDataset,
    seen: int,
    folder: HardeningFolder,
    audited: bool,
    accepted: Sequence[str],
    eps: float,
    norm: Norm,
    progress: Progress,
) -> HardeningReport:
    name = MODELS.text(source)
    sides = {}
    for side, network in (("before", original), ("after", result.model)):
        progress.message(f"measuring {side} on {len(data)} images")
        sides[side] = measure(
            network,
            data,
            eps=eps,
            norm=norm,
            out=folder.audits / side,
            name=f"{name}, {side} hardening",
            seed=config.seed,
            audited=audited,
            accept=accepted,
            notify=progress.message,
        )
    if sides["after"].audit is None:  # what is compared has to be measured alike
        sides["before"] = replace(sides["before"], audit=None)
    described = original.describe() if isinstance(original, Classifier) else "nothing"
    return HardeningReport(
        model=name,
        data={
            "name": data.name,
            "split": data.split,
            "n": len(data),
            "note": data.note,
            "seen_before": seen,
        },
        activation=new_activation(config.model),
        eps=eps,
        norm=norm,
        before=sides["before"],
        after=sides["after"],
        training_seconds=sum(metrics.seconds for metrics in result.history),
        config=json.loads(json.dumps(config.to_dict())),
        taken=described,
    )
