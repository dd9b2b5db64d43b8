"""How robust a classifier is: accuracy against an attack's radius, with intervals."""

from steadygrad.evaluation.accuracy import accuracy, predictions
from steadygrad.evaluation.adversarial_examples import (
    AdversarialExamples,
    craft_adversarial_examples,
    load_adversarial_examples,
    save_adversarial_examples,
)
from steadygrad.evaluation.auditing import (
    AuditResult,
    BatteryEntry,
    Gate,
    audit,
    read_audit,
    write_audit,
)
from steadygrad.evaluation.continued_curve import continued_curve
from steadygrad.evaluation.covariance_analysis import (
    AnalysisSettings,
    CovarianceAnalysis,
    analyse_perturbations,
)
from steadygrad.evaluation.curve import (
    AccuracyCurve,
    AccuracyPoint,
    ascending_eps,
    parse_eps_grid,
    worst_case,
)
from steadygrad.evaluation.divided_batches import images_divided
from steadygrad.evaluation.margins import Margins, deepfool_margins, write_margins
from steadygrad.evaluation.perturbations import (
    PerturbationSource,
    PerturbationStructure,
    gather_structure,
    image_structure,
    perturbation_batches,
    perturbation_source,
)
from steadygrad.evaluation.pictures import (
    CorrelatedSamples,
    Gallery,
    SoftmaxLines,
    correlated_samples,
    select_gallery,
    softmax_lines,
)
from steadygrad.evaluation.provenance import model_digest
from steadygrad.evaluation.results_file import (
    Evaluation,
    evaluation_slug,
    read_evaluation,
    write_evaluation,
)
from steadygrad.evaluation.robust_accuracy import RobustAccuracy
from steadygrad.evaluation.statistics import (
    PairedComparison,
    bounded_mean_interval,
    mean_interval,
    paired_comparison,
    wilson_interval,
)
from steadygrad.evaluation.sweep import accuracy_curve, bisected_curve, distance_curve
from steadygrad.evaluation.transfer import (
    TransferMatrix,
    read_transfer,
    transfer_matrix,
    write_transfer,
)

__all__ = [
    "AccuracyCurve",
    "AccuracyPoint",
    "AdversarialExamples",
    "AnalysisSettings",
    "AuditResult",
    "BatteryEntry",
    "CorrelatedSamples",
    "CovarianceAnalysis",
    "Evaluation",
    "Gallery",
    "Gate",
    "Margins",
    "PairedComparison",
    "PerturbationSource",
    "PerturbationStructure",
    "RobustAccuracy",
    "SoftmaxLines",
    "TransferMatrix",
    "accuracy",
    "accuracy_curve",
    "analyse_perturbations",
    "ascending_eps",
    "audit",
    "bisected_curve",
    "bounded_mean_interval",
    "continued_curve",
    "correlated_samples",
    "craft_adversarial_examples",
    "deepfool_margins",
    "distance_curve",
    "evaluation_slug",
    "gather_structure",
    "image_structure",
    "images_divided",
    "load_adversarial_examples",
    "mean_interval",
    "model_digest",
    "paired_comparison",
    "parse_eps_grid",
    "perturbation_batches",
    "perturbation_source",
    "predictions",
    "read_audit",
    "read_evaluation",
    "read_transfer",
    "save_adversarial_examples",
    "select_gallery",
    "softmax_lines",
    "transfer_matrix",
    "wilson_interval",
    "worst_case",
    "write_audit",
    "write_evaluation",
    "write_margins",
    "write_transfer",
]
