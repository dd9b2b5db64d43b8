"""Figure 2: colours of complex filters, and what is measured of them, against plain formulas."""

import cmath
import colorsys
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.datasets import GaussianNoise, load_dataset
from steadygrad.errors import ModelError
from steadygrad.experiments import ImageGrid, NetworkStore, Workbench
from steadygrad.experiments.complex_filters import (
    ComplexFilters,
    color_key,
    first_filters,
    rgb_of_hue,
)
from steadygrad.experiments.yeats2021.layers import filters as filters_of
from steadygrad.layers import ComplexConv2d
from steadygrad.models import build_model
from steadygrad.training.session import TrainingSession
from written_results import written_results

RECIPE = replace(
    DIGITS,
    settings={**DIGITS.settings, "test_images": 40},
    penalised_noise=GaussianNoise(0.05),
)
EXPERIMENT = filters_of(RECIPE, beta=8)


@pytest.fixture
def filters() -> ComplexFilters:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 1, 3, 3, dtype=torch.complex128, generator=generator)
    bias = torch.randn(6, dtype=torch.complex128, generator=generator)
    return ComplexFilters(weight, bias, sums=3)


def test_hue_and_value_are_those_of_colorsys() -> None:
    generator = torch.Generator().manual_seed(0)
    turns, value = torch.rand(2, 50, dtype=torch.float64, generator=generator)
    expected = [colorsys.hsv_to_rgb(h.item(), 1, v.item()) for h, v in zip(turns, value)]  # noqa: B905 - of equal length
    np.testing.assert_allclose(rgb_of_hue(turns, value).numpy(), np.array(expected), atol=1e-12)


def test_a_weight_is_coloured_by_its_angle_against_the_bias(filters: ComplexFilters) -> None:
    peaks = sorted(max(map(abs, weight.flatten().tolist())) for weight in filters.weight)
    assert filters.typical_peak == peaks[2]  # of six, the lower one in the middle
    colors = filters.colors()
    for n, row, column in ((0, 0, 0), (3, 2, 1), (5, 1, 2)):
        weight, bias = filters.weight[n, 0, row, column].item(), filters.bias[n].item()
        turns = (cmath.phase(weight / bias) / (2 * math.pi)) % 1
        expected = colorsys.hsv_to_rgb(turns, 1, min(1, abs(weight) / peaks[2]))
        np.testing.assert_allclose(colors[n, row, column].numpy(), expected, atol=1e-9)


def test_turning_filter_and_bias_together_changes_nothing(filters: ComplexFilters) -> None:
    turn = torch.exp(1j * torch.arange(6, dtype=torch.float64))
    turned = ComplexFilters(filters.weight * turn[:, None, None, None], filters.bias * turn, 3)
    torch.testing.assert_close(turned.colors(), filters.colors())
    torch.testing.assert_close(turned.neighbour_agreement(), filters.neighbour_agreement())
    torch.testing.assert_close(turned.relative_variation(), filters.relative_variation())
    black = torch.zeros(1, 1, 3, 3)
    torch.testing.assert_close(turned.relative_slope(black), filters.relative_slope(black))


def test_the_key_goes_round_the_turn_and_fades() -> None:
    key = color_key(6, 2, 3)
    assert key.shape == (6, 2, 3, 3)
    full = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)]
    np.testing.assert_allclose(key[:, 0, 0].numpy(), full, atol=1e-12)
    np.testing.assert_allclose(key[:, 1, 2].numpy(), np.array(full) / 2, atol=1e-12)


def test_smoothness_is_that_of_plain_loops(filters: ComplexFilters) -> None:
    for n, plane in enumerate(filters.weight[:, 0].tolist()):
        pairs = [(plane[i][j], plane[i][j + 1]) for i in range(3) for j in range(2)]
        pairs += [(plane[i][j], plane[i + 1][j]) for i in range(2) for j in range(3)]
        sizes = sum(abs(u) * abs(v) for u, v in pairs)
        cosines = sum(abs(u) * abs(v) * math.cos(cmath.phase(u / v)) for u, v in pairs)
        assert filters.neighbour_agreement()[n].item() == pytest.approx(cosines / sizes)
        steps = sum(abs(u - v) for u, v in pairs) / sum(abs(u) + abs(v) for u, v in pairs)
        assert filters.relative_variation()[n].item() == pytest.approx(steps)


@pytest.mark.parametrize(
    ("plane", "agreement", "variation"),
    [
        ([[2j, 2j], [2j, 2j]], 1.0, 0.0),
        ([[1, -1], [-1, 1]], -1.0, 1.0),
        ([[1, 1j], [1j, 1]], 0.0, math.sqrt(0.5)),
    ],
)
def test_smoothness_of_simple_filters(
    plane: list[list[complex]], agreement: float, variation: float
) -> None:
    weight = torch.tensor([[plane]], dtype=torch.complex128)
    own = ComplexFilters(weight, torch.ones(1, dtype=torch.complex128), 1)
    assert own.neighbour_agreement().item() == pytest.approx(agreement, abs=1e-12)
    assert own.relative_variation().item() == pytest.approx(variation, abs=1e-12)


def test_the_slope_is_the_layers_own_gradient() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(1, 4, 3, dtype=torch.float64)
    patch = torch.rand(1, 1, 3, 3, dtype=torch.float64)
    phases = (math.pi * patch).requires_grad_()
    own = first_filters(nn.Sequential(layer))
    for n, response in enumerate(layer(phases).flatten()):
        (gradient,) = torch.autograd.grad(response, phases, retain_graph=True)
        expected = gradient.abs().sum() / own.weight[n].abs().sum()
        torch.testing.assert_close(own.relative_slope(patch)[n], expected)


def test_a_filter_in_line_with_its_bias_is_flat_at_black() -> None:
    weight = torch.full((1, 1, 3, 3), 1 + 1j, dtype=torch.complex128)
    own = ComplexFilters(weight, weight[:, 0, 0, 0], 1)
    assert own.relative_slope(torch.zeros(1, 1, 3, 3)).item() == pytest.approx(0, abs=1e-12)
    assert own.relative_slope(torch.rand(5, 1, 3, 3)).item() > 0.1


def test_filters_are_the_layers_weights_and_columns_what_it_adds_up() -> None:
    model = build_model("digits-complex")
    own = first_filters(model)
    layer = model.get_submodule("conv1")
    torch.testing.assert_close(own.weight.real.float(), layer.weight_real.detach())
    torch.testing.assert_close(own.bias.imag.float(), layer.bias_imag.detach())
    assert (len(own.weight), own.sums) == (16, 8)
    with pytest.raises(ModelError, match="a complex convolution with bias, got Sequential"):
        first_filters(build_model("digits-real"))


def test_digits_from_training_to_the_folder(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path / "networks")
    folder = written_results(EXPERIMENT, scale=TINY_SCALE, seeds=(0,), store=store, out=tmp_path)
    header = (folder / "figure2-noise.csv").read_text().partition("\n")[0]
    assert '"95 % interval, low","95 % interval, high",verdict' in header
    labels = [n.label for n in EXPERIMENT.networks(TINY_SCALE, (0,))]
    assert labels == [
        "complex, beta 8, noise gaussian:0.05",
        "complex, beta 8, without noise",
        "complex, no defence",
    ]
    bench = Workbench(store=store, scale=TINY_SCALE, seeds=(0,))
    outcome = EXPERIMENT.measure(bench)
    grids = outcome.charts["figure2"]
    assert [chart.title for chart in grids] == labels[:2]
    for chart, network in zip(grids, EXPERIMENT.networks(TINY_SCALE, (0,)), strict=False):
        assert isinstance(chart, ImageGrid)
        assert chart.columns == 8
        assert chart.images.shape == (16 + 8, 3, 3, 3)
        expected = first_filters(bench.model(network)).colors()
        torch.testing.assert_close(chart.images[:16], expected)
        assert chart.titles[-8:] == ("0°", "45°", "90°", "135°", "180°", "225°", "270°", "315°")
    rows = {row[:2]: row for row in outcome.tables["figure2"].rows}
    assert set(rows) == {(label, 0) for label in (*labels, "as initialised")}
    noisy = first_filters(bench.model(EXPERIMENT.networks(TINY_SCALE, (0,))[0]))
    mean = noisy.neighbour_agreement().mean().item()
    assert rows[labels[0], 0][2] == f"{mean:.3f}"
    begun = TrainingSession(
        EXPERIMENT.networks(TINY_SCALE, (0,))[0].config,
        load_dataset("digits", "train", limit=32),
        torch.device("cpu"),
    )
    mean = first_filters(begun.model).neighbour_agreement().mean().item()
    assert rows["as initialised", 0][2] == f"{mean:.3f}"
    verdicts = outcome.tables["figure2-noise"].rows
    assert [row[1] for row in verdicts] == [
        "agreement",
        "variation",
        "slope at black",
        "slope near black",
    ]


def test_one_network_is_enough(tmp_path: Path) -> None:
    store = NetworkStore(tmp_path)
    bench = Workbench(store=store, scale=TINY_SCALE, seeds=(0, 1))
    still = EXPERIMENT.networks(TINY_SCALE, (1,))[1]
    assert store.train(still)
    outcome = EXPERIMENT.measure(bench)
    assert [chart.title for chart in outcome.charts["figure2"]] == [still.label]
    assert outcome.tables["figure2-noise"].rows == ()
    assert "epoch(s), seed 1, in the tables seeds 0, 1." in outcome.caption
