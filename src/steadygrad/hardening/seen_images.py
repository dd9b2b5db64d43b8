"""Images that a network has learned from already: measured on them, it looks better than it is."""

import hashlib
from pathlib import Path
from typing import Any

from steadygrad.datasets import ImageDataset, data_source, load_dataset
from steadygrad.errors import SteadygradError
from steadygrad.hardening.data import is_named
from steadygrad.models import ModelSource, RunModel
from steadygrad.models.registry import innermost
from steadygrad.training import GivenImages, TrainingConfig, run_config

__all__ = ["count_seen", "data_dir_before", "held_out_before", "seen_note"]


def count_seen(source: ModelSource, images: ImageDataset) -> int:
    """Return how many images the run that a network comes from was trained on.

    Args:
        source: of the network. Of any but a run nothing is known: 0.
        images: that it is to be measured on.
    """
    config = _training_of(source)
    if config is None or isinstance(config.data, GivenImages):
        return 0
    try:
        trained = load_dataset(
            config.data,
            "train",
            limit=config.limit_train,
            validation_size=config.validation_size,
        )
    except SteadygradError:  # the data are no longer there
        return 0
    if trained.input_shape != images.input_shape or trained.pixels.dtype != images.pixels.dtype:
        return 0
    known = set(_digests(trained))
    return sum(digest in known for digest in _digests(images))


def held_out_before(source: ModelSource, data: Any) -> int:
    """Return how many images of a named set a run held out; 0 for other data or networks."""
    config = _training_of(source)
    if config is None or isinstance(config.data, GivenImages) or not is_named(data):
        return 0
    return config.held_out_of(data_source(data))


def data_dir_before(source: ModelSource) -> Path | None:
    """Return where the local copies lay that a run was trained on; None for other networks."""
    config = _training_of(source)
    return None if config is None else getattr(config.data, "data_dir", None)


def seen_note(seen: int, count: int) -> str:
    """Return the sentence that goes with results on images of which some were seen; or ""."""
    if seen == 0:
        return ""
    return (
        f"The network before had been trained on {seen} of these {count} images: accuracies before "
        "are too high, and so may be those after. Give other images as validation."
    )


def _training_of(source: ModelSource) -> TrainingConfig | None:
    run = innermost(source)
    return run_config(run.path) if isinstance(run, RunModel) else None


def _digests(images: ImageDataset) -> list[bytes]:
    rows = images.pixels.cpu().flatten(start_dim=1).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
