"""Everything steadygrad refuses: one small tree, each error also a ValueError or a RuntimeError."""

__all__ = [
    "CheckpointError",
    "CovarianceError",
    "DatasetError",
    "HyperparameterError",
    "ImageError",
    "LabelError",
    "MainProcessError",
    "MissingExtraError",
    "ModelError",
    "NonFiniteLossError",
    "OutputError",
    "ProcessError",
    "ShapeError",
    "SteadygradError",
    "UnknownNameError",
]


class SteadygradError(Exception):
    """Anything steadygrad refuses or cannot do; its text is one sentence for the user."""


class HyperparameterError(SteadygradError, ValueError):
    """A setting is outside the range in which it means something."""


class UnknownNameError(SteadygradError, ValueError):
    """Nothing (model, data set, attack, norm) has that name; the text lists the names there are."""


class ShapeError(SteadygradError, ValueError):
    """A tensor's shape does not fit."""


class ImageError(SteadygradError, ValueError):
    """Images have the wrong dtype, range or shape, or hold NaN."""


class LabelError(SteadygradError, ValueError):
    """Labels have the wrong dtype or shape, or name a class that the model does not have."""


class DatasetError(SteadygradError, ValueError):
    """A data set is missing, incomplete or unreadable."""


class ModelError(SteadygradError, ValueError):
    """A model does not fit the data, or its outputs are not logits."""


class MissingExtraError(SteadygradError, RuntimeError):
    """A library that steadygrad can use, but does not require, is not installed."""


class CheckpointError(SteadygradError, RuntimeError):
    """A checkpoint or run folder is missing, damaged or of another model."""


class OutputError(SteadygradError, RuntimeError):
    """A result cannot be written where it was asked for, or shown."""


class ProcessError(SteadygradError, RuntimeError):
    """Another process of the same run has failed or ended."""


class MainProcessError(ProcessError):
    """The main process, which tells the user of failures, has ended itself."""


class NonFiniteLossError(SteadygradError, RuntimeError):
    """The loss became infinite or NaN; the last good checkpoint is kept.

    data_loss, penalty: its two terms, NaN where they are not known.
    """

    def __init__(
        self, text: str, *, data_loss: float = float("nan"), penalty: float = float("nan")
    ) -> None:
        super().__init__(text)
        self.data_loss, self.penalty = data_loss, penalty


class CovarianceError(SteadygradError, ValueError):
    """A covariance is not one (asymmetric, indefinite, NaN), or perturbations cannot give one."""
