"""The figures of perturbation structure: labelled, and the curves are the numbers."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import ExponentialCovariance
from steadygrad.errors import CovarianceError, HyperparameterError
from steadygrad.evaluation import (
    CorrelatedSamples,
    PerturbationStructure,
    SoftmaxLines,
    gather_structure,
)
from steadygrad.reports.figures import (
    correlated_samples_figure,
    covariance_function_figure,
    covariance_matrix_figure,
    softmax_line_figure,
)
from steadygrad.reports.figures.images import rescaled


def structure(shape: tuple[int, int, int], decay_length: float) -> PerturbationStructure:
    generator = torch.Generator().manual_seed(0)
    return gather_structure([ExponentialCovariance(shape, decay_length).sample(60, generator)])


SHORT, LONG = structure((3, 8, 8), 0.8), structure((3, 8, 8), 3.0)


def test_functions_are_drawn_within_and_between_channels_with_their_reach() -> None:
    figure = covariance_function_figure({"short $x": SHORT, "_long": LONG})
    within, between = figure.axes
    for axes, functions, reaches in (
        (within, [SHORT.intra_channel, LONG.intra_channel], [SHORT.intra_reach, LONG.intra_reach]),
        (between, [SHORT.inter_channel, LONG.inter_channel], [SHORT.inter_reach, LONG.inter_reach]),
    ):
        curves = [line for line in axes.lines if len(line.get_ydata()) == 8]
        drawn = torch.stack([torch.as_tensor(line.get_ydata()) for line in curves])
        torch.testing.assert_close(drawn, torch.cat(functions)[:, :8])
        dots = [line for line in axes.lines if len(line.get_ydata()) == 1]
        assert [line.get_xdata()[0] for line in dots] == pytest.approx(reaches)
        for line, function in zip(dots, functions, strict=True):
            mean = function.mean(dim=0)
            assert line.get_ydata()[0] == pytest.approx(mean[0].item() / math.e)
        texts = [text.get_text() for text in axes.texts]
        assert texts == [f"{reach:.1f} px" for reach in reaches]
        assert axes.get_xlabel() == "distance between the pixels (pixels)"
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:2] == ["short $x", "_long"]
    assert names[-3:] == ["red–green", "red–blue", "green–blue"]


def test_one_channel_has_one_panel_and_two_channels_their_mean() -> None:
    (axes,) = covariance_function_figure({"grey": structure((1, 6, 6), 1)}).axes
    assert axes.get_title(loc="left") == "Within a channel"
    two = structure((2, 6, 6), 1)
    within, between = covariance_function_figure({"two": two}).axes
    curve = within.lines[0].get_ydata()
    torch.testing.assert_close(torch.as_tensor(curve), two.intra_channel.mean(dim=0)[:6])
    curve = between.lines[0].get_ydata()
    torch.testing.assert_close(torch.as_tensor(curve), two.inter_channel[0, :6])


def test_an_infinite_reach_has_no_mark() -> None:
    flat = gather_structure([torch.ones(2, 1, 4, 4)])
    (axes,) = covariance_function_figure({"flat": flat}).axes
    assert not axes.texts


def test_matrices_show_the_centre_and_four_rows() -> None:
    figure = covariance_matrix_figure({"short": SHORT, "long": LONG})
    images = [axes.images[0] for axes in figure.axes if axes.images]
    centre = SHORT.dense().matrix / SHORT.dense().matrix.abs().max()
    torch.testing.assert_close(torch.as_tensor(images[0].get_array().data), centre[48:144, 48:144])
    # The middle channel, rows 2 to 5 of 8.
    rows = torch.as_tensor(images[2].get_array().data)
    torch.testing.assert_close(rows, centre[80:112, 80:112])
    assert {image.get_clim() for image in images} == {(-1.0, 1.0)}
    assert figure.axes[0].get_title(loc="left") == "short"
    large = gather_structure([torch.ones(1, 3, 64, 64)])
    with pytest.raises(CovarianceError, match="12,288 pixels"):
        covariance_matrix_figure({"large": large})


def test_noise_samples_carry_decay_length_and_prediction() -> None:
    clean = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) / 2 + 0.1
    noise = torch.linspace(-0.1, 0.3, 16).view(1, 4, 4)
    samples = CorrelatedSamples(
        eps=0.3,
        samples=5,
        decay_lengths=(1, 12),
        clean=clean,
        noisy=clean + noise,
        labels=torch.tensor([0, 1]),
        clean_predictions=torch.tensor([0, 1]),
        noisy_predictions=torch.tensor([0, 0]),
    )
    figure = correlated_samples_figure(samples, class_names=("cat", "$dog"))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["ζ = 1", "ζ = 12"]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        *("✓ cat", "✓ $dog"),
        *("✓ cat", "✗ cat"),
        *("", ""),
    ]
    shown = torch.as_tensor(figure.axes[4].images[0].get_array().data)
    torch.testing.assert_close(shown, torch.linspace(0, 1, 16, dtype=torch.float64).view(4, 4))


def test_rescaling_stretches_each_image_by_itself() -> None:
    noise = torch.tensor([[-1.0, 0, 1], [0.1, 0.2, 0.5]]).view(2, 1, 1, 3)
    expected = torch.tensor([[0, 0.5, 1], [0, 0.25, 1]]).view(2, 1, 1, 3)
    torch.testing.assert_close(rescaled(noise), expected)
    assert not rescaled(torch.zeros(1, 1, 2, 2)).any()


def lines(count: int) -> SoftmaxLines:
    positions = torch.linspace(-5, 5, 11, dtype=torch.float64)
    logits = torch.stack((torch.zeros(11), positions.float(), torch.full((11,), -3.0)), dim=1)
    return SoftmaxLines(positions, logits.softmax(dim=1).expand(count, -1, -1))


def test_a_softmax_panel_names_the_classes_that_lead_somewhere() -> None:
    drawn = lines(4)
    figure = softmax_line_figure(
        drawn, torch.tensor([0, 1, 0, 1]), class_names=("cat", "dog", "ox"), title="net"
    )
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["cat", "dog", "cat", "dog"]
    assert {text.get_text() for text in panels[0].texts} == {"cat", "dog"}
    curves = [line for line in panels[0].lines if len(line.get_ydata()) == 11]
    assert len(curves) == 3
    torch.testing.assert_close(torch.as_tensor(curves[1].get_ydata()), drawn.probabilities[0, :, 0])
    # The true class has the same colour everywhere.
    true = [axes.texts[0].get_color() for axes in panels]
    assert [axes.texts[0].get_text() for axes in panels] == ["cat", "dog", "cat", "dog"]
    assert len(set(true)) == 1


def test_names_of_classes_whose_lines_meet_do_not_overlap() -> None:
    drawn = lines(1)
    # The first three lead in turn, all with their top at the left edge, at nearly one height.
    probabilities = torch.full((1, len(drawn.positions), 3), 0.3)
    for index in range(3):
        probabilities[0, 0, index] = 0.34 + 0.005 * index
        probabilities[0, 3 * index + 1, index] = 0.335
    figure = softmax_line_figure(
        replace(drawn, probabilities=probabilities), torch.tensor([0]), class_names=("a", "b", "c")
    )
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    for lower, upper in pairwise(boxes):
        assert upper.y0 >= lower.y1 - 2


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="1 to 4 structures, got 0"):
        covariance_function_figure({})
    with pytest.raises(HyperparameterError, match="one image shape"):
        covariance_function_figure({"a": SHORT, "b": structure((1, 8, 8), 1)})
    with pytest.raises(HyperparameterError, match="at least one structure"):
        covariance_matrix_figure({})
    with pytest.raises(HyperparameterError, match="4 labels, one a line, got 2"):
        softmax_line_figure(lines(4), Tensor([0, 1]))
