"""Named architectures of the papers, their smooth twins, and what they cost."""

from steadygrad.models.counting import mac_count, parameter_count, published_counts
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder
from steadygrad.models.registry import (
    MODELS,
    ModelSource,
    NamedComplexModel,
    NamedModel,
    build_model,
    model,
    model_entry,
    model_names,
)

__all__ = [
    "MODELS",
    "ImageShape",
    "ModelEntry",
    "ModelSource",
    "NamedComplexModel",
    "NamedModel",
    "SecondOrder",
    "build_model",
    "mac_count",
    "model",
    "model_entry",
    "model_names",
    "parameter_count",
    "published_counts",
]
