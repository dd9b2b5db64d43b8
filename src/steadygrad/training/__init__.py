"""Training: configuration, objective, loop, checkpoints and resuming, metrics and progress."""

from steadygrad.models.model_file import ModelSpec, load_model, save_model
from steadygrad.training.averaging import (
    AVERAGES,
    AveragedWeights,
    ExponentialMovingAverage,
    averaging,
)
from steadygrad.training.clipping import CLIPPINGS, ClipNorm, ClipValue, clipping
from steadygrad.training.config import TrainingConfig
from steadygrad.training.flat_settings import flat_settings
from steadygrad.training.given_data import GivenImages, LoaderImages, TrainingImages
from steadygrad.training.identity import configuration_digest, decisive_settings
from steadygrad.training.loop import TrainingResult
from steadygrad.training.metrics import EpochMetrics, StepMetrics
from steadygrad.training.mixing import MIXINGS, CutMix, Mixup, mixing
from steadygrad.training.objective import Objective, data_facts
from steadygrad.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, optimizer
from steadygrad.training.progress import (
    LineProgress,
    Progress,
    SilentProgress,
    TerminalProgress,
    console_progress,
)
from steadygrad.training.recipes import RECIPES, TrainingRecipe, WideNoise, recipe, with_recipe
from steadygrad.training.run import train
from steadygrad.training.run_folder import RunFolder, TrainedRun, load_run_model, run_config
from steadygrad.training.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Linear,
    MultiStep,
    Ramp,
    Schedule,
    schedule,
)
from steadygrad.training.trackers import MLflow, WeightsAndBiases
from steadygrad.training.tracking import TRACKERS, OpenTracker, TrackedRun, Tracker, tracker
from steadygrad.training.tuning import TUNINGS, FineTuning, tuning

__all__ = [
    "AVERAGES",
    "CLIPPINGS",
    "MIXINGS",
    "OPTIMIZERS",
    "RECIPES",
    "SCHEDULES",
    "SGD",
    "TRACKERS",
    "TUNINGS",
    "Adam",
    "AdamW",
    "AveragedWeights",
    "ClipNorm",
    "ClipValue",
    "Constant",
    "Cosine",
    "CutMix",
    "EpochMetrics",
    "ExponentialMovingAverage",
    "FineTuning",
    "GivenImages",
    "LineProgress",
    "Linear",
    "LoaderImages",
    "MLflow",
    "Mixup",
    "ModelSpec",
    "MultiStep",
    "Objective",
    "OpenTracker",
    "Progress",
    "Ramp",
    "RunFolder",
    "Schedule",
    "SilentProgress",
    "StepMetrics",
    "TerminalProgress",
    "TrackedRun",
    "Tracker",
    "TrainedRun",
    "TrainingConfig",
    "TrainingImages",
    "TrainingRecipe",
    "TrainingResult",
    "WeightsAndBiases",
    "WideNoise",
    "averaging",
    "clipping",
    "configuration_digest",
    "console_progress",
    "data_facts",
    "decisive_settings",
    "flat_settings",
    "load_model",
    "load_run_model",
    "mixing",
    "optimizer",
    "recipe",
    "run_config",
    "save_model",
    "schedule",
    "tracker",
    "train",
    "tuning",
    "with_recipe",
]
