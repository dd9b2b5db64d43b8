"""Class probabilities along the line through an image and its adversarial twin."""

from typing import TYPE_CHECKING

from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import SoftmaxLines
from steadygrad.reports.figures.canvas import GRID, MUTED, new_figure, style
from steadygrad.reports.figures.gallery import class_name
from steadygrad.reports.series_style import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["softmax_line_figure"]

COLUMNS = 3


def softmax_line_figure(
    lines: SoftmaxLines,
    labels: Tensor,
    *,
    class_names: tuple[str, ...] | None = None,
    title: str = "",
) -> "Figure":
    """Draw one panel an image: each class's probability against ``t``; those that lead are named.

    Dotted lines mark the image itself (0) and its adversarial twin (1).
    labels: int64 (images,), the true classes; class_names: in their order, None prints indices.
    Raises: HyperparameterError, if the labels are not one an image.
    Source: Roth et al., arXiv:1805.08736, Fig. 6.
    """
    count = len(lines.probabilities)
    if len(labels) != count:
        raise HyperparameterError(f"expected {count} labels, one a line, got {len(labels)}")
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    with style():
        figure = new_figure(0.8 + 3.0 * columns, 0.7 + 2.3 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for index, axes in enumerate(grid.flat):
            if index >= count:
                axes.set_visible(False)
                continue
            label = int(labels[index])
            _panel(axes, lines.positions, lines.probabilities[index], label, class_names)
            axes.set_title(class_name(label, class_names), parse_math=False)
        for axes in grid[:, 0]:
            axes.set_ylabel("probability")
        figure.supxlabel("t, in image + t · perturbation", fontsize=9.5)
        figure.suptitle(
            title, fontsize=10.5, fontweight="bold", x=0.01, ha="left", parse_math=False
        )
    return figure


def _panel(
    axes: "Axes",
    positions: Tensor,
    probabilities: Tensor,
    label: int,
    class_names: tuple[str, ...] | None,
) -> None:
    for place in (0, 1):
        axes.axvline(place, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    others = sorted({int(winner) for winner in probabilities.argmax(dim=1)} - {label})
    named = [label, *others]  # the true class has the first colour in every panel
    for index, line in enumerate(probabilities.T):
        if index not in named:
            axes.plot(positions.numpy(), line.numpy(), color=GRID, linewidth=1)
    for rank, index in enumerate(named):
        line, color = probabilities[:, index], COLORS[rank % len(COLORS)]
        axes.plot(positions.numpy(), line.numpy(), color=color, linewidth=1.7)
        top = int(line.argmax())
        share = top / (len(positions) - 1)
        axes.annotate(
            class_name(index, class_names),
            xy=(positions[top].item(), line[top].item()),
            xytext=(0, 3),
            textcoords="offset points",
            ha="left" if share < 0.2 else "right" if share > 0.8 else "center",
            fontsize=8.5,
            color=color,
            parse_math=False,
        )
    axes.set_ylim(0, 1.14)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlim(positions[0].item(), positions[-1].item())
