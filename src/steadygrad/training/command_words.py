"""The words by which a command names the network of a run."""

from pathlib import Path

from steadygrad.datasets import DATA_SOURCES
from steadygrad.models import MODELS, bare
from steadygrad.models.model_file import runs_code
from steadygrad.training.config import TrainingConfig
from steadygrad.training.run_folder import RunFolder

__all__ = ["evaluate_words"]


def evaluate_words(run: Path, config: TrainingConfig) -> list[str]:
    """Return the words after ``steadygrad evaluate`` that name a run and keep the result in it.

    The folder, unless the network is the user's own code: the run alone must not decide which code
    runs, so its model, weights and data set are named one by one.
    """
    if not runs_code(config.model):
        return [str(run)]
    weights, data = str(RunFolder(run).model), DATA_SOURCES.text(config.data)
    named = [MODELS.text(bare(config.model)), "--weights", weights, "--dataset", data]
    return [*named, "--out", str(run)]
