"""Networks: the papers' by name, their smooth twins, anyone's from outside, and what they cost."""

from steadygrad.models.classifier import Classifier, check_fits
from steadygrad.models.counting import mac_count, parameter_count, published_counts
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder
from steadygrad.models.model_file import ModelSpec, load_model, read_spec, save_model
from steadygrad.models.registry import (
    MODELS,
    ModelSource,
    NamedComplexModel,
    NamedModel,
    bare,
    build_model,
    model,
    model_entry,
    model_names,
)
from steadygrad.models.smooth import Smooth, piecewise_linear, smooth_activations
from steadygrad.models.sources import (
    CallableModel,
    ObjectModel,
    RunModel,
    TimmModel,
    TorchvisionModel,
    TransformersModel,
    load_classifier,
    load_weights,
    model_source,
)
from steadygrad.models.wrappers import copied, without_wrappers

__all__ = [
    "MODELS",
    "CallableModel",
    "Classifier",
    "ImageShape",
    "ModelEntry",
    "ModelSource",
    "ModelSpec",
    "NamedComplexModel",
    "NamedModel",
    "ObjectModel",
    "RunModel",
    "SecondOrder",
    "Smooth",
    "TimmModel",
    "TorchvisionModel",
    "TransformersModel",
    "bare",
    "build_model",
    "check_fits",
    "copied",
    "load_classifier",
    "load_model",
    "load_weights",
    "mac_count",
    "model",
    "model_entry",
    "model_names",
    "model_source",
    "parameter_count",
    "piecewise_linear",
    "published_counts",
    "read_spec",
    "save_model",
    "smooth_activations",
    "without_wrappers",
]
