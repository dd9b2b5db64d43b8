"""The figures of an analysis, with what they show in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadygrad.evaluation import CovarianceAnalysis
from steadygrad.reports.figures import (
    correlated_samples_figure,
    covariance_function_figure,
    covariance_matrix_figure,
    softmax_line_figure,
)
from steadygrad.reports.wording import attack_name, eps_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DrawnFigure", "covariance_figures", "source_name"]


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure with its heading, a caption, and a description for those who cannot see it."""

    figure: "Figure"
    heading: str
    caption: str
    description: str


def covariance_figures(analysis: CovarianceAnalysis) -> dict[str, DrawnFigure]:
    """Return the figures by the stem of their files, in order; no matrices where there are none.

    Source: Roth et al., arXiv:1805.08736, Figs. 2, 1, 3 (right) and 6.
    """
    what = f"{source_name(analysis.attack)} perturbations"
    structures = {what: analysis.perturbations, "data": analysis.data}
    samples = analysis.samples
    figures = {
        "functions": DrawnFigure(
            covariance_function_figure(structures),
            "Covariance against distance",
            "Covariance of two pixels against their distance, each divided by the mean variance. "
            "The dots mark decay lengths: where the mean over the channels has fallen to 1/e of "
            "its value at distance 0.",
            f"Line charts of the covariance functions of {what} and of the data; their decay "
            "lengths stand in the table.",
        )
    }
    if analysis.perturbations.matrix is not None and analysis.data.matrix is not None:
        figures["matrices"] = DrawnFigure(
            covariance_matrix_figure(structures),
            "Covariance matrices",
            "Above: the centre of the matrix, a quarter trimmed from each side. Below: four rows "
            "of pixels in the middle of the image, enlarged. Each matrix is divided by its largest "
            "entry.",
            f"Covariance matrices of {what} and of the data.",
        )
    figures["noise"] = DrawnFigure(
        correlated_samples_figure(samples, class_names=analysis.class_names),
        "Long-range correlated noise",
        f"Images, the same with noise of standard deviation {eps_text(samples.eps)} and decay "
        f"length ζ in pixels (the worst of {samples.samples} draws), and what the noise changed, "
        "stretched to the full range; below, what the network takes them for.",
        "Images under noise of increasing decay length with the network's predictions.",
    )
    figures["softmax-lines"] = DrawnFigure(
        softmax_line_figure(analysis.lines, analysis.line_labels, class_names=analysis.class_names),
        "Softmax activations along a line",
        "Class probabilities at image + t · perturbation, for "
        f"{source_name(analysis.line_attack)} perturbations of eps "
        f"{eps_text(analysis.line_attack['eps'])}; dotted: the image (0) and its attacked twin "
        "(1). The true class stands above each panel. A robust network's lines are flat around 0.",
        "Line charts of class probabilities along lines through images.",
    )
    return figures


def source_name(attack: dict[str, object]) -> str:
    """Return a short name of where perturbations come from: "PGD(10)", "DeepFool"."""
    match attack["name"]:
        case "gradient":
            return "loss gradient"
        case "deepfool":
            return "DeepFool"
        case _:
            return attack_name(attack)
