"""Figures for reports, papers and READMEs: matplotlib, imported only when one is drawn."""

from steadygrad.reports.figures.cost import cost_figure
from steadygrad.reports.figures.gallery import gallery_figure
from steadygrad.reports.figures.output import inline_svg, save_figure
from steadygrad.reports.figures.robustness import robustness_figure
from steadygrad.reports.figures.training import training_figure

__all__ = [
    "cost_figure",
    "gallery_figure",
    "inline_svg",
    "robustness_figure",
    "save_figure",
    "training_figure",
]
