"""Covariances by name, for the command line and for configuration files."""

from pathlib import Path
from typing import Any

from torch import Tensor

from steadygrad.covariance.estimation import dataset_covariance
from steadygrad.covariance.exponential import ExponentialCovariance
from steadygrad.covariance.files import load_covariance
from steadygrad.covariance.identity import IdentityCovariance
from steadygrad.covariance.operator import Covariance, ImageShape
from steadygrad.covariance.running import RunningCovariance
from steadygrad.covariance.structures import structure_by_name, structure_names
from steadygrad.errors import HyperparameterError, ShapeError, UnknownNameError

__all__ = ["build_covariance", "covariance_names"]

_FIXED = ("identity", "exponential", "dataset", "file")


def covariance_names() -> tuple[str, ...]:
    """Return every name that ``build_covariance`` accepts, the fixed ones first."""
    return (*_FIXED, *structure_names())


def build_covariance(kind: str, image_shape: ImageShape, **settings: Any) -> Covariance:
    """Build the covariance of that name for images of that shape.

    kind: "identity"; "exponential" (``decay_length``, ``inter_channel=0.5``); "dataset"
        (``images``, ``structure="stationary"``): fixed, of unit mean diagonal. "file" (``path``):
        fixed, as the file has it. "dense", "stationary" (``estimator``, ``repair_steps``),
        "radial" (``repair_steps``) and "block" (``reach``, ``repair_steps``): a running
        covariance (``decay=0.1``) of that structure.
    Raises: UnknownNameError, listing the names; HyperparameterError, for a setting that the kind
        lacks or refuses; ShapeError, if images or file are of another shape; what reading a file
        or estimating raises.
    """
    if kind not in covariance_names():
        raise UnknownNameError(
            f"expected covariance one of {', '.join(covariance_names())}, got {kind!r}"
        )
    if kind in structure_names():
        decay = settings.pop("decay", 0.1)
        return RunningCovariance(structure_by_name(kind, **settings), decay=decay)
    try:
        covariance = _fixed(kind, image_shape, **settings)
    except TypeError as error:
        names = ", ".join(settings) or "none"
        raise HyperparameterError(
            f"the settings of the {kind} covariance do not fit, got {names}: {error}"
        ) from None
    if covariance.image_shape != tuple(image_shape):
        raise ShapeError(
            f"expected a covariance of images {tuple(image_shape)}, got {covariance.image_shape}"
        )
    return covariance


def _fixed(kind: str, image_shape: ImageShape, **settings: Any) -> Covariance:
    match kind:
        case "identity":
            return IdentityCovariance(image_shape, **settings)
        case "exponential":
            return ExponentialCovariance(image_shape, **settings)
        case "dataset":
            return _of_dataset(**settings)
        case _:
            return _of_file(**settings)


def _of_dataset(*, images: Tensor, structure: str = "stationary") -> Covariance:
    # Thousands of images: the paper's average over the pairs, which an image's edge does not taper.
    unbiased = {"estimator": "unbiased", "repair_steps": 30} if structure == "stationary" else {}
    return dataset_covariance(images, structure_by_name(structure, **unbiased))


def _of_file(*, path: Path | str) -> Covariance:
    return load_covariance(path)
