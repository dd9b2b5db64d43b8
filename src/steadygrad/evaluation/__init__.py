"""How robust a classifier is: accuracy against an attack's radius, with intervals."""

from steadygrad.evaluation.accuracy import accuracy, predictions
from steadygrad.evaluation.adversarial_examples import (
    AdversarialExamples,
    load_adversarial_examples,
    save_adversarial_examples,
)
from steadygrad.evaluation.bisection import bisected_curve
from steadygrad.evaluation.correlated_samples import CorrelatedSamples, correlated_samples
from steadygrad.evaluation.covariance_analysis import (
    AnalysisSettings,
    CovarianceAnalysis,
    analyse_perturbations,
)
from steadygrad.evaluation.crafting import craft_adversarial_examples
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint, worst_case
from steadygrad.evaluation.eps_grid import ascending_eps, parse_eps_grid
from steadygrad.evaluation.example_store import ExampleStore
from steadygrad.evaluation.gallery import Gallery, select_gallery
from steadygrad.evaluation.intervals import wilson_interval
from steadygrad.evaluation.kept_outcomes import KeptOutcomes
from steadygrad.evaluation.margins import Margins, deepfool_margins
from steadygrad.evaluation.margins_file import write_margins
from steadygrad.evaluation.mean_interval import bounded_mean_interval, mean_interval
from steadygrad.evaluation.model_digest import model_digest
from steadygrad.evaluation.paired import PairedComparison, paired_comparison
from steadygrad.evaluation.perturbation_structure import (
    PerturbationStructure,
    gather_structure,
    image_structure,
)
from steadygrad.evaluation.perturbations import (
    PerturbationSource,
    perturbation_batches,
    perturbation_source,
)
from steadygrad.evaluation.results_file import (
    Evaluation,
    evaluation_slug,
    read_evaluation,
    write_evaluation,
)
from steadygrad.evaluation.softmax_line import SoftmaxLines, softmax_lines
from steadygrad.evaluation.sweep import accuracy_curve
from steadygrad.evaluation.transfer import transfer_matrix
from steadygrad.evaluation.transfer_file import read_transfer, write_transfer
from steadygrad.evaluation.transfer_matrix import TransferMatrix

__all__ = [
    "AccuracyCurve",
    "AccuracyPoint",
    "AdversarialExamples",
    "AnalysisSettings",
    "CorrelatedSamples",
    "CovarianceAnalysis",
    "Evaluation",
    "ExampleStore",
    "Gallery",
    "KeptOutcomes",
    "Margins",
    "PairedComparison",
    "PerturbationSource",
    "PerturbationStructure",
    "SoftmaxLines",
    "TransferMatrix",
    "accuracy",
    "accuracy_curve",
    "analyse_perturbations",
    "ascending_eps",
    "bisected_curve",
    "bounded_mean_interval",
    "correlated_samples",
    "craft_adversarial_examples",
    "deepfool_margins",
    "evaluation_slug",
    "gather_structure",
    "image_structure",
    "load_adversarial_examples",
    "mean_interval",
    "model_digest",
    "paired_comparison",
    "parse_eps_grid",
    "perturbation_batches",
    "perturbation_source",
    "predictions",
    "read_evaluation",
    "read_transfer",
    "save_adversarial_examples",
    "select_gallery",
    "softmax_lines",
    "transfer_matrix",
    "wilson_interval",
    "worst_case",
    "write_evaluation",
    "write_margins",
    "write_transfer",
]
