"""How robust a classifier is: accuracy against an attack's radius, with intervals."""

from steadygrad.evaluation.accuracy import accuracy, predictions
from steadygrad.evaluation.bisection import bisected_curve
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint, worst_case
from steadygrad.evaluation.eps_grid import ascending_eps, parse_eps_grid
from steadygrad.evaluation.gallery import Gallery, select_gallery
from steadygrad.evaluation.intervals import wilson_interval
from steadygrad.evaluation.results_file import (
    Evaluation,
    evaluation_slug,
    read_evaluation,
    write_evaluation,
)
from steadygrad.evaluation.sweep import accuracy_curve

__all__ = [
    "AccuracyCurve",
    "AccuracyPoint",
    "Evaluation",
    "Gallery",
    "accuracy",
    "accuracy_curve",
    "ascending_eps",
    "bisected_curve",
    "evaluation_slug",
    "parse_eps_grid",
    "predictions",
    "read_evaluation",
    "select_gallery",
    "wilson_interval",
    "worst_case",
    "write_evaluation",
]
