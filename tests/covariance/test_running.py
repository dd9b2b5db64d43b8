"""The running estimate: its arithmetic, its state, and what it refuses."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import (
    BlockStructure,
    RunningCovariance,
    StationaryStructure,
    Structure,
    estimate_covariance,
)
from steadygrad.covariance import running as running_module
from steadygrad.errors import (
    CheckpointError,
    CovarianceError,
    HyperparameterError,
    ShapeError,
    UnknownNameError,
)

SHAPE = (2, 3, 4)
STRUCTURES = ["dense", "stationary", BlockStructure(reach=2)]


def batch(seed: int, scale: float = 1.0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * (0.3 + torch.randn(40, *shape, dtype=torch.float64, generator=generator))


def test_each_batch_is_normalized_and_then_weighted_by_the_decay() -> None:
    running = RunningCovariance("dense", decay=0.25)
    for seed, scale in [(0, 1.0), (1, 1e-3), (2, 50.0)]:
        running.update(batch(seed, scale))
    # Eq. (14) by hand; the first batch counts fully.
    expected, mean = torch.zeros(24, 24, dtype=torch.float64), torch.zeros(SHAPE).double()
    for seed, weight in [(0, 0.75**2), (1, 0.25 * 0.75), (2, 0.25)]:
        rows = batch(seed).flatten(start_dim=1)
        moments = rows.T @ rows / 40
        variance = moments.trace() / 24
        expected += weight * moments / variance
        mean += weight * batch(seed).mean(dim=0) / variance.sqrt()
    torch.testing.assert_close(running.dense(), expected)
    torch.testing.assert_close(running.mean, mean)
    assert running.updates == 3


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_first_update_is_the_batch_and_the_mean_diagonal_stays_one(
    structure: str | Structure,
) -> None:
    running = RunningCovariance(structure, decay=0.1)
    running.update(batch(0))
    torch.testing.assert_close(running.dense(), estimate_covariance(batch(0), structure).dense())
    for seed in range(1, 4):
        running.update(batch(seed, scale=10.0**seed))
    assert running.mean_diagonal == pytest.approx(1.0)


def test_a_decay_of_one_forgets() -> None:
    running = RunningCovariance("stationary", decay=1.0)
    for seed in (0, 1):
        running.update(batch(seed))
    torch.testing.assert_close(running.dense(), estimate_covariance(batch(1)).dense())


def test_the_current_covariance_is_left_alone_by_later_updates() -> None:
    running = RunningCovariance("stationary")
    running.update(batch(0))
    before, matrix = running.current, running.dense()
    running.update(batch(1))
    torch.testing.assert_close(before.dense(), matrix)
    assert not torch.allclose(running.dense(), matrix)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_restored_state_continues_to_the_bit(structure: str | Structure) -> None:
    running, resumed = RunningCovariance(structure), RunningCovariance(structure)
    running.update(batch(0))
    state = running.state_dict()
    resumed.load_state_dict(state)
    for each in (running, resumed):
        each.update(batch(1))
    assert resumed.updates == 2
    torch.testing.assert_close(resumed.dense(), running.dense(), rtol=0, atol=0)
    torch.testing.assert_close(resumed.mean, running.mean, rtol=0, atol=0)


def test_the_state_before_the_first_update_restores_that_too() -> None:
    running = RunningCovariance()
    running.update(batch(0))
    running.load_state_dict(RunningCovariance().state_dict())
    with pytest.raises(CovarianceError, match="before its first update"):
        running.apply(batch(0))


@pytest.mark.parametrize("scale", [1e-40, 1e-23, 1e20, 1e37])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_perturbations_whose_squares_are_no_numbers_count_like_any_other(
    structure: str | Structure, scale: float
) -> None:
    plain, extreme = RunningCovariance(structure), RunningCovariance(structure)
    for seed in range(2):
        plain.offer(batch(seed).float())
        extreme.offer((batch(seed) * scale).float())
    tolerance = 1e-3 if scale == 1e-40 else 1e-5  # so small a float32 has few digits
    for found, expected in ((extreme.dense(), plain.dense()), (extreme.mean, plain.mean)):
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_half_precision_perturbations_are_averaged_in_float32() -> None:
    running = RunningCovariance("dense")
    running.update(batch(0).bfloat16())
    assert running.state_dict()["moments"].dtype == torch.float32


def test_autocast_rounds_nothing() -> None:
    running = RunningCovariance("dense")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        running.update(batch(0).float())
        applied = running.apply(batch(1).float())
    expected = estimate_covariance(batch(0).float(), "dense")
    torch.testing.assert_close(running.dense(), expected.dense(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(applied, expected.apply(batch(1).float()), rtol=1e-5, atol=1e-5)


def test_no_graph_is_kept() -> None:
    running = RunningCovariance("stationary")
    running.update(batch(0).requires_grad_())
    assert not running.state_dict()["moments"].requires_grad


@pytest.mark.parametrize("decay", [0.0, -0.1, 1.1, math.nan])
def test_a_decay_outside_its_range_is_refused(decay: float) -> None:
    with pytest.raises(HyperparameterError, match=r"decay in \(0, 1\]"):
        RunningCovariance(decay=decay)


@pytest.mark.parametrize(
    ("perturbations", "error", "message"),
    [
        (torch.zeros(2, *SHAPE), CovarianceError, "not all zero"),
        (torch.full((2, *SHAPE), math.nan), CovarianceError, "NaN"),
        (torch.full((2, *SHAPE), math.inf), CovarianceError, "infinity"),
        (torch.ones(2, *SHAPE, dtype=torch.int64), ShapeError, "floating point"),
        (torch.ones(0, *SHAPE), ShapeError, r"shape \(0, 2, 3, 4\)"),
        (torch.ones(2, 4), ShapeError, r"shape \(2, 4\)"),
        (torch.ones(2, 2, 3, 5), ShapeError, r"images \(2, 3, 4\), got \(2, 3, 5\)"),
    ],
)
def test_perturbations_that_give_no_covariance_are_refused(
    perturbations: Tensor, error: type[Exception], message: str
) -> None:
    running = RunningCovariance()
    running.update(batch(0))
    before = running.dense()
    with pytest.raises(error, match=message):
        running.update(perturbations)
    torch.testing.assert_close(running.dense(), before, rtol=0, atol=0)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_estimate_from_perturbations_that_are_all_zero_is_one_sentence(
    structure: str | Structure,
) -> None:
    with pytest.raises(CovarianceError, match="expected perturbations that are not all zero") as e:
        estimate_covariance(torch.zeros(5, *SHAPE), structure)
    assert "\n" not in str(e.value)


def test_a_state_of_something_else_is_refused() -> None:
    with pytest.raises(CheckpointError, match="lacks its moments"):
        RunningCovariance().load_state_dict({"updates": 3})
    stationary = RunningCovariance("stationary")
    stationary.update(batch(0))
    with pytest.raises(CheckpointError, match="another structure"):
        RunningCovariance("dense").load_state_dict(stationary.state_dict())


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="dense, stationary, radial, block, got 'toeplitz'"):
        RunningCovariance("toeplitz")


def test_short_ranges_are_estimated_better_with_the_taper() -> None:
    # What the default rests on: 128 images, correlations over one pixel.
    white = torch.randn(
        128, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    images = white + 0.5 * white.roll(1, -1)
    errors = {}
    exact = torch.eye(256, dtype=torch.float64)
    columns = torch.arange(256) % 16
    rows = torch.arange(256) // 16
    neighbours = (rows[:, None] == rows) & ((columns[:, None] - columns).abs() == 1)
    exact[neighbours] = 0.5 / 1.25
    estimators: tuple[Literal["biased", "unbiased"], ...] = ("biased", "unbiased")
    for estimator in estimators:
        structure = StationaryStructure(estimator=estimator)
        matrix = estimate_covariance(images, structure).dense()
        errors[estimator] = ((matrix - exact).norm() / exact.norm()).item()
    assert errors["biased"] < 0.15
    assert errors["biased"] < 0.7 * errors["unbiased"]


@pytest.mark.parametrize("useless", [0.0, float("nan")])
def test_a_device_that_is_not_waited_for_leaves_useless_perturbations_out(
    monkeypatch: pytest.MonkeyPatch, useless: float
) -> None:
    covariance = RunningCovariance()
    covariance.update(batch(0))
    before = covariance.state_dict()
    monkeypatch.setattr(running_module, "reading_waits", lambda _: True)
    covariance.offer(useless * batch(1))
    after = covariance.state_dict()
    assert torch.equal(after["moments"], before["moments"])
    assert torch.equal(after["mean"], before["mean"])
    covariance.offer(batch(1))
    assert not torch.equal(covariance.state_dict()["mean"], before["mean"])
    assert covariance.mean_diagonal == pytest.approx(1, abs=1e-6)


def test_a_state_that_is_loaded_counts_at_once() -> None:
    draws = torch.Generator().manual_seed(0)
    changes = torch.randn(5, 1, 3, 3, dtype=torch.float64, generator=draws)
    running = RunningCovariance("dense")
    running.update(changes)
    before, state = running.dense(), running.state_dict()
    running.update(changes.flip(-1) ** 3)
    assert not torch.equal(running.dense(), before)
    running.load_state_dict(state)
    assert torch.equal(running.dense(), before)
