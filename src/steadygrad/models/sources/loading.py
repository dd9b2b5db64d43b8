"""From whatever a user names to a network: one door for the commands and for Python."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import to_evaluation_mode
from steadygrad.models.classifier import refuse_without_numbers
from steadygrad.models.entry import ImageShape
from steadygrad.models.registry import MODELS, ModelSource, built, innermost, with_weights
from steadygrad.models.sources.unnamed import ObjectModel, RunModel
from steadygrad.parts import part_fields

__all__ = ["load_classifier", "model_source"]


def model_source(
    model: "nn.Module | ModelSource | str | Path | Mapping[str, Any]",
    weights: Path | str | None = None,
) -> ModelSource:
    """Return the source that a text, a table, a network or a source stands for.

    Args:
        model: ``timm:NAME``, ``torchvision:NAME``, ``hf:NAME_OR_FOLDER``,
            ``package.module:callable,key=value``, the folder of a run (a text or a path), a
            registered name, the table of a part, or an ``nn.Module`` as it is.
        weights: a file or folder that takes the place of the source's own weights; of the model
            inside one that changes another, such as ``smooth``.

    Raises:
        UnknownNameError: there is no such model.
        HyperparameterError: a setting is refused, or the source takes no weights.
        ModelError: the text names a folder that is no run.
    """
    source: Any
    if isinstance(model, Path):
        model = str(model)
    if isinstance(model, nn.Module):
        source = ObjectModel.of(model)
    elif isinstance(model, str) and _is_run(Path(model)):
        source = RunModel(path=Path(model))  # a run that lies here comes before a name
    else:
        source = MODELS.of(model)
    if not hasattr(source, "build"):
        raise HyperparameterError(
            f"expected a torch.nn.Module or the name of a model, got {type(model).__name__}"
        )
    if weights is None:
        found: ModelSource = source
        return found
    if "weights" not in {setting.key for setting in part_fields(innermost(source))}:
        raise HyperparameterError(
            f"expected weights for a model from outside only, got {weights} beside "
            f"{MODELS.text(source)}"
        )
    changed: ModelSource = with_weights(source, Path(weights))
    return changed


def load_classifier(
    model: "nn.Module | ModelSource | str | Path | Mapping[str, Any]",
    *,
    weights: Path | str | None = None,
    input_shape: ImageShape | None = None,
    num_classes: int | None = None,
) -> nn.Module:
    """Return a network from images in [0, 1] to logits, in eval mode.

    A module that is given is returned itself, and is in eval mode afterwards.

    ``load_classifier("timm:resnet50")`` is a ``Classifier`` with timm's normalisation inside.

    Args:
        model: as in ``model_source``.
        weights: as in ``model_source``.
        input_shape: (channels, height, width) that it has to take; None leaves it unchecked.
        num_classes: that it has to tell apart; None for the source's own.

    Raises:
        UnknownNameError, HyperparameterError: as ``model_source``.
        ModelError: it cannot be built, or is of other images or classes.
        MissingExtraError: its library is not installed.
        CheckpointError: the weights cannot be read or do not fit.
    """
    source = model_source(model, weights)
    network = built(source, input_shape=input_shape, num_classes=num_classes)
    refuse_without_numbers(network, MODELS.text(source))
    to_evaluation_mode(network)
    return network


def _is_run(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("config.json", "metrics.jsonl"))
