"""Signs of gradient masking: attacks that fail because gradients mislead them."""

from steadygrad.evaluation.masking.diagnostic import (
    DIAGNOSTICS,
    Diagnostic,
    Finding,
    Verdict,
    diagnostic,
    diagnostic_names,
)
from steadygrad.evaluation.masking.sample import Sample, Subject
from steadygrad.evaluation.masking.verdict import diagnose, verdict

# isort: split
# Importing them registers them, in the order in which they run: mechanisms first.
from steadygrad.evaluation.masking.randomness import ExpectationOverRandomness, Randomness

# isort: split
from steadygrad.evaluation.masking.memory import CallHistory, FreshImages

# isort: split
from steadygrad.evaluation.masking.slopes import FiniteDifferences, Staircase

# isort: split
from steadygrad.evaluation.masking.vanishing_gradients import (
    Float64Gradients,
    SoftmaxSaturation,
    ZeroGradientPixels,
    ZeroGradients,
)

# isort: split
from steadygrad.evaluation.masking.logit_scale import LogitScale, MarginLoss

# isort: split
from steadygrad.evaluation.masking.longer_attacks import Convergence, MoreRestarts, MoreSteps

# isort: split
from steadygrad.evaluation.masking.contest import (
    BlackBoxBeatsWhiteBox,
    EnsembleGap,
    OneStepBeatsIterative,
)

# isort: split
from steadygrad.evaluation.masking.planted import PlantedExamples

# isort: split
from steadygrad.evaluation.masking.radius import RisingAccuracy, UnboundedEps

# isort: split
from steadygrad.evaluation.masking.loss_surface import (
    GradientAlignment,
    GradientDirection,
    LocalLinearity,
)

__all__ = [
    "DIAGNOSTICS",
    "BlackBoxBeatsWhiteBox",
    "CallHistory",
    "Convergence",
    "Diagnostic",
    "EnsembleGap",
    "ExpectationOverRandomness",
    "Finding",
    "FiniteDifferences",
    "Float64Gradients",
    "FreshImages",
    "GradientAlignment",
    "GradientDirection",
    "LocalLinearity",
    "LogitScale",
    "MarginLoss",
    "MoreRestarts",
    "MoreSteps",
    "OneStepBeatsIterative",
    "PlantedExamples",
    "Randomness",
    "RisingAccuracy",
    "Sample",
    "SoftmaxSaturation",
    "Staircase",
    "Subject",
    "UnboundedEps",
    "Verdict",
    "ZeroGradientPixels",
    "ZeroGradients",
    "diagnose",
    "diagnostic",
    "diagnostic_names",
    "verdict",
]
