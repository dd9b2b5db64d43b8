"""The response surfaces are those of numpy's complex numbers, and their turns are counted right."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steadygrad.experiments import NetworkStore, Workbench, scale_by_name
from steadygrad.experiments.response_surface import extrema, summed_features
from steadygrad.experiments.yeats2021.layers import FIGURE1
from written_results import written_results

SMALL = replace(FIGURE1, points=120, draws=5)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    store = NetworkStore(tmp_path / "networks")
    return Workbench(store=store, scale=scale_by_name("smoke"), seeds=(0,))


def test_the_surfaces_are_those_of_complex_numbers(bench: Workbench) -> None:
    one, two = SMALL.measure(bench).charts["figure1"]
    x1, x2 = np.meshgrid(np.array(one.x), np.array(one.y))
    expected = 0.0
    for chart, (first, second) in zip((one, two), SMALL.angles, strict=True):
        weights = np.exp(1j * np.deg2rad([first, second])) / np.sqrt(2)
        z = weights[0] * np.exp(1j * x1) + weights[1] * np.exp(1j * x2) + 1 / np.sqrt(2)
        expected = expected + abs(z)
        np.testing.assert_allclose(chart.values.numpy(), expected, atol=1e-5)


def test_weights_have_equal_magnitude_and_the_angles_asked_for() -> None:
    layer = summed_features([(10.0, 200.0), (-90.0, 45.0)], 0.5)[0]
    weight = torch.complex(layer.weight_real, layer.weight_imag)
    torch.testing.assert_close(weight.abs(), torch.full((2, 2), 0.5, dtype=torch.float64))
    turned = torch.rad2deg(weight.angle()) % 360
    expected = torch.tensor([[10.0, 200.0], [270.0, 45.0]], dtype=torch.float64)
    torch.testing.assert_close(turned, expected)
    bias = torch.complex(layer.bias_real, layer.bias_imag)
    torch.testing.assert_close(bias, torch.full((2,), 0.5 + 0j, dtype=torch.complex128))


def test_turns_of_a_known_surface_are_counted() -> None:
    turn = 2 * torch.pi * torch.arange(60, dtype=torch.float64) / 60 + 0.01
    values = torch.cos(2 * turn)[:, None] + torch.cos(3 * turn)[None, :]
    maxima, minima = extrema(values, 3)
    assert (int(maxima.sum()), int(minima.sum())) == (6, 6)


@pytest.mark.parametrize("angles", [(-30.0, -150.0), (17.0, 101.0)])
def test_one_feature_has_one_maximum_and_two_zeros_a_turn(angles: tuple[float, float]) -> None:
    # Three arrows of equal length: all along one line once, and closed to a triangle twice.
    points = 180
    turn = 2 * torch.pi * torch.arange(points, dtype=torch.float64) / points - torch.pi
    grid = torch.cartesian_prod(turn, turn)
    values = summed_features([angles], 1.0)(grid).detach().reshape(points, points)
    maxima, minima = extrema(values, 4)
    assert (int(maxima.sum()), int(minima.sum())) == (1, 2)
    assert values[maxima].item() == pytest.approx(3.0, abs=0.01)
    assert values[minima].max() < 0.05
    top = torch.rad2deg(turn[maxima.nonzero()[0]])
    expected = -torch.tensor(angles, dtype=torch.float64)
    assert (((top - expected + 180) % 360 - 180).abs() <= 180 / points).all()


def test_the_tables_and_the_figure_are_written(tmp_path: Path) -> None:
    folder = written_results(
        SMALL,
        scale=scale_by_name("smoke"),
        seeds=(0,),
        store=NetworkStore(tmp_path / "networks"),
        out=tmp_path,
    )
    with (folder / "figure1.csv").open() as file:
        rows = {(row["features"], row["input"]): row for row in csv.DictReader(file)}
    counts = {key: (int(row["maxima"]), int(row["minima"])) for key, row in rows.items()}
    assert counts["one feature", "full turn, -pi to pi"] == (1, 2)
    assert counts["one feature", "pixels, 0 to pi"] == (1, 1)
    maxima, minima = counts["sum of 2", "full turn, -pi to pi"]
    assert maxima > 1
    assert minima > 2
    with (folder / "figure1-random-features.csv").open() as file:
        one, *_, eight = csv.DictReader(file)
    assert (one["maxima (mean)"], one["minima (mean)"]) == ("1.00", "2.00")
    assert float(eight["maxima (mean)"]) > 1
    assert (folder / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert "radians" in (folder / "figure1.svg").read_text()
