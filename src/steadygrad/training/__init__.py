"""Training: objectives, the loop, checkpoints and resuming, metrics and progress."""

from steadygrad.training.config import TrainingConfig
from steadygrad.training.loop import TrainingResult
from steadygrad.training.metrics import EpochMetrics, StepMetrics
from steadygrad.training.model_file import ModelSpec, load_model, save_model
from steadygrad.training.objectives import (
    Adversarial,
    CrossEntropy,
    Objective,
    Penalized,
    build_objective,
    penalty_names,
)
from steadygrad.training.progress import (
    LineProgress,
    Progress,
    SilentProgress,
    TerminalProgress,
    console_progress,
)
from steadygrad.training.run import train
from steadygrad.training.run_folder import RunFolder, TrainedRun, load_run_model, run_config
from steadygrad.training.schedule import multi_step_rate

__all__ = [
    "Adversarial",
    "CrossEntropy",
    "EpochMetrics",
    "LineProgress",
    "ModelSpec",
    "Objective",
    "Penalized",
    "Progress",
    "RunFolder",
    "SilentProgress",
    "StepMetrics",
    "TerminalProgress",
    "TrainedRun",
    "TrainingConfig",
    "TrainingResult",
    "build_objective",
    "console_progress",
    "load_model",
    "load_run_model",
    "multi_step_rate",
    "penalty_names",
    "run_config",
    "save_model",
    "train",
]
