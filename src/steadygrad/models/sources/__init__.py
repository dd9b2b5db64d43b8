"""Networks from outside: timm, torchvision, transformers, callables, runs and checkpoints."""

from steadygrad.models.sources.checkpoints import Weights, load_weights, read_weights
from steadygrad.models.sources.foreign import ForeignModel, find_head, new_head
from steadygrad.models.sources.libraries import TimmModel, TorchvisionModel, TransformersModel
from steadygrad.models.sources.loading import load_classifier, model_source
from steadygrad.models.sources.unnamed import CallableModel, ObjectModel, RunModel

__all__ = [
    "CallableModel",
    "ForeignModel",
    "ObjectModel",
    "RunModel",
    "TimmModel",
    "TorchvisionModel",
    "TransformersModel",
    "Weights",
    "find_head",
    "load_classifier",
    "load_weights",
    "model_source",
    "new_head",
    "read_weights",
]
