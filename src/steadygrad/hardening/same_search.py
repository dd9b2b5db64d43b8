"""What decides the results of a search, so that it goes on only as it was begun."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import TensorDataset

from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.provenance import run_digest, tensors_digest, weights_digest
from steadygrad.models import (
    MODELS,
    ModelSource,
    ObjectModel,
    RunModel,
    model_source,
    without_wrappers,
)
from steadygrad.models.registry import innermost
from steadygrad.training import RECIPES

__all__ = ["asked", "refuse_another_search", "refuse_fixed_radius"]

_FREE_TO_CHANGE = frozenset({"progress", "device", "cuda_graph", "shard", "trackers", "accept"})
"""Settings of ``harden`` that a search may go on without, or with others."""


def asked(
    model: nn.Module | ModelSource | str | Path | Mapping[str, Any],
    settings: Mapping[str, Any],
    **others: Any,
) -> dict[str, str]:
    """Return in texts what decides the results of a search, the same in every process.

    Weights and images that lie in memory, and those of a run, are told by a digest; of another
    object the text says its kind alone.

    Raises:
        UnknownNameError, HyperparameterError, ModelError: ``model`` is none.
    """
    every = {key: _said(value) for key, value in {**settings, **others}.items()}
    every["model"] = _model_said(model, settings.get("weights"))
    return {key: text for key, text in every.items() if key not in _FREE_TO_CHANGE}


def refuse_another_search(then: Mapping[str, str], now: Mapping[str, str], folder: Path) -> None:
    """Raise HyperparameterError, naming the first setting in which two searches differ."""
    for key in sorted(now.keys() | then.keys()):
        ours, theirs = now.get(key, "its default"), then.get(key, "its default")
        if ours != theirs:
            raise HyperparameterError(
                f"expected {key} {theirs}, as the search in {folder} was begun with, got {ours}; "
                "choose another folder (and storage) for another search"
            )


def refuse_fixed_radius(settings: Mapping[str, Any], eps: float) -> None:
    """Refuse settings with which every trial has the penalty of one radius.

    Raises:
        UnknownNameError, HyperparameterError: they have, or there is no such recipe.
    """
    for key in ("penalty", "penalty_radius"):
        if settings.get(key) is not None:
            raise HyperparameterError(
                f"expected no {key} along with a target, since the search chooses the penalty's "
                f"radius, got {settings[key]}"
            )
    recipe = settings.get("recipe")
    if recipe is not None and RECIPES.of(recipe, eps=eps) == RECIPES.of(recipe, eps=eps / 2):
        raise HyperparameterError(
            "expected a recipe without a radius along with a target, since the search chooses it, "
            f"such as wide-noise; got {recipe}"
        )


def _model_said(
    model: nn.Module | ModelSource | str | Path | Mapping[str, Any], weights: Path | str | None
) -> str:
    if isinstance(model, nn.Module):
        model = without_wrappers(model)
    source = model_source(model, weights)
    inner, digest = innermost(source), None
    if isinstance(inner, ObjectModel) and inner.network is not None:
        digest = weights_digest(inner.network)
    elif isinstance(inner, RunModel):
        digest = run_digest(inner.path.expanduser())
    return MODELS.text(source) + ("" if digest is None else f" with weights {digest[:12]}")


def _said(value: Any) -> str:
    if isinstance(value, str | int | float | bool | tuple | list | Mapping | Path | None):
        return str(value)
    if hasattr(value, "__len__"):  # images
        tensors = _tensors_of(value)
        digest = f", {tensors_digest(tensors)[:12]}" if tensors else ""
        return f"{type(value).__name__} of {len(value)}{digest}"
    if is_dataclass(value) and not isinstance(value, type):  # a part
        places = {f.name: None for f in fields(value) if f.name == "data_dir" and f.init}
        return repr(replace(value, **places)) if places else repr(value)
    return type(value).__name__


def _tensors_of(images: Any) -> dict[str, Tensor]:
    """Return what images and labels lie in memory as tensors."""
    if isinstance(images, ImageDataset):
        return {"pixels": images.pixels, "labels": images.labels}
    if isinstance(images, TensorDataset):
        return {str(index): tensor for index, tensor in enumerate(images.tensors)}
    return {}
