"""Covariance files and the covariances that have a name."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from steadygrad.covariance import (
    COVARIANCES as FAMILY,
)
from steadygrad.covariance import (
    BlockStructure,
    DataFacts,
    DenseCovariance,
    ExponentialCovariance,
    FixedCovariance,
    IdentityCovariance,
    RunningCovariance,
    StationaryStructure,
    built,
    dataset_covariance,
    estimate_covariance,
    load_covariance,
    save_covariance,
)
from steadygrad.errors import (
    CheckpointError,
    CovarianceError,
    HyperparameterError,
    OutputError,
    ShapeError,
    UnknownNameError,
)
from steadygrad.tensor_file import read_tensors, write_tensors

SHAPE = (2, 4, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise() -> Tensor:
    white = torch.randn(30, *SHAPE, generator=seeded())
    return white + 0.7 * white.roll(1, -2) - 0.3 * white.roll(1, 1)


COVARIANCES: list[FixedCovariance] = [
    IdentityCovariance(SHAPE, variance=2.0),
    ExponentialCovariance(SHAPE, 3.0, inter_channel=0.25),
    *(estimate_covariance(noise(), kind) for kind in ("dense", "stationary", "radial")),
    estimate_covariance(noise(), BlockStructure(reach=1)),
    estimate_covariance(noise(), StationaryStructure(estimator="unbiased")),
]


@pytest.mark.parametrize("covariance", COVARIANCES, ids=repr)
def test_a_file_gives_the_same_operator_back(covariance: FixedCovariance, tmp_path: Path) -> None:
    path = tmp_path / "covariance.safetensors"
    save_covariance(path, covariance)
    again = load_covariance(path)
    assert type(again) is type(covariance)
    assert again.settings() == covariance.settings()
    torch.testing.assert_close(again.dense(), covariance.dense(), rtol=0, atol=0)
    sample = covariance.sample(2, seeded(1))
    torch.testing.assert_close(again.sample(2, seeded(1)), sample, rtol=0, atol=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["covariance.safetensors"]


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def without_metadata(path: Path) -> None:
    save_file({"kernel": torch.ones(1)}, path)


def of_unknown_kind(path: Path) -> None:
    save_file({}, path, {"steadygrad-covariance": '{"kind": "wavelet", "image_shape": [1, 2, 2]}'})


def indefinite(path: Path) -> None:
    save_covariance(path, DenseCovariance(-torch.eye(4), (1, 2, 2), verify=False))


def holding_nan(path: Path) -> None:
    covariance = estimate_covariance(noise(), "stationary")
    covariance.kernel[0, 0, 0, 0] = torch.nan
    save_covariance(path, covariance)


def holding(path: Path, dtype: torch.dtype = torch.float32, factor: float = 1) -> None:
    matrix = (torch.eye(24) * factor).to(dtype)
    save_covariance(path, DenseCovariance(matrix, SHAPE, verify=False))


def radial(path: Path, function: Tensor) -> None:
    save_covariance(path, estimate_covariance(noise(), "radial"))
    kept, metadata = read_tensors(path)
    write_tensors(path, kept | {"function": function}, metadata)


def that_vouches_for_itself(path: Path) -> None:
    described = '{"kind": "dense", "image_shape": [1, 2, 2], "settings": {"verify": false}}'
    save_file({"matrix": -torch.eye(4)}, path, {"steadygrad-covariance": described})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "no covariance file at"),
        (damaged, "damaged"),
        (without_metadata, "does not say"),
        (of_unknown_kind, "unknown description"),
        (indefinite, "semidefinite"),
        (holding_nan, "NaN"),
        (partial(holding, dtype=torch.int64), "floating dtype, got torch.int64"),
        (partial(holding, dtype=torch.bool), "floating dtype, got torch.bool"),
        (partial(holding, dtype=torch.complex64), "floating dtype, got torch.complex64"),
        (partial(holding, factor=0), "not all zero, got zeros"),
        (that_vouches_for_itself, "unknown description"),
        (partial(radial, function=torch.ones(5)), r"function of shape \(2, 2, distances\)"),
        (partial(radial, function=torch.full((2, 2, 5), math.nan)), "NaN"),
        (partial(radial, function=torch.ones(2, 2, 5).long()), "floating dtype, got torch.int64"),
    ],
)
def test_a_file_without_a_covariance_is_refused(damage: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "covariance.safetensors"
    save_covariance(path, estimate_covariance(noise()))
    damage(path)
    with pytest.raises(CheckpointError, match=message):
        load_covariance(path)


def test_an_unwritable_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        save_covariance(tmp_path / "missing" / "covariance.safetensors", COVARIANCES[0])


def test_dataset_covariance_is_taken_about_the_mean_image() -> None:
    images = (255 * torch.rand(50, *SHAPE, generator=seeded())).to(torch.uint8)
    rows = images.double().flatten(start_dim=1)
    expected = torch.cov(rows.T, correction=0)
    expected = expected / expected.diagonal().mean()
    covariance = dataset_covariance(images, "dense", batch_size=7)
    torch.testing.assert_close(covariance.dense(), expected, rtol=0, atol=1e-5)


def test_images_without_a_covariance_are_refused() -> None:
    with pytest.raises(CovarianceError, match="got 0"):
        dataset_covariance(torch.ones(5, *SHAPE))
    with pytest.raises(ShapeError, match="at least 2 images"):
        dataset_covariance(torch.ones(1, *SHAPE))
    with pytest.raises(HyperparameterError, match="batch_size >= 1"):
        dataset_covariance(torch.ones(2, *SHAPE), batch_size=0)


@pytest.mark.parametrize("name", FAMILY.names())
def test_every_name_builds(name: str, tmp_path: Path) -> None:
    save_covariance(tmp_path / "file", COVARIANCES[2])
    needed = {"path": tmp_path / "file"} if name == "file" else {}
    facts = DataFacts(SHAPE, lambda: iter(noise().split(7)))
    covariance = built(FAMILY.build({"name": name} | needed), facts)
    if isinstance(covariance, RunningCovariance):
        assert covariance.decay == 0.1
        covariance.update(noise())
    assert covariance.image_shape == SHAPE
    assert covariance.apply(noise()).shape == noise().shape


def test_settings_reach_the_covariance() -> None:
    running = built("stationary:decay=0.3,estimator=unbiased", DataFacts(SHAPE))
    assert isinstance(running, RunningCovariance)
    assert running.decay == 0.3
    assert running.structure == StationaryStructure(estimator="unbiased")
    exponential = built("exponential:2,inter_channel=0.1", DataFacts(SHAPE))
    assert isinstance(exponential, ExponentialCovariance)
    assert (exponential.decay_length, exponential.inter_channel) == (2.0, 0.1)


def test_names_and_settings_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    facts = DataFacts(SHAPE)
    with pytest.raises(UnknownNameError, match=r"'wavelet'.*identity, exponential, "):
        built("wavelet", facts)
    with pytest.raises(HyperparameterError, match="zeta"):
        built("exponential:zeta=3", facts)
    with pytest.raises(HyperparameterError, match="covariance file needs a value for path"):
        built("file", facts)
    with pytest.raises(HyperparameterError, match="images along with covariance 'dataset'"):
        built("dataset", facts)
    save_covariance(tmp_path / "file", IdentityCovariance((1, 9, 9)))
    with pytest.raises(ShapeError, match=r"of images \(2, 4, 3\), got \(1, 9, 9\)"):
        built({"name": "file", "path": tmp_path / "file"}, facts)


def test_a_covariance_that_still_changes_is_not_written(tmp_path: Path) -> None:
    running = RunningCovariance()
    with pytest.raises(HyperparameterError, match=r"RunningCovariance; write running\.current"):
        save_covariance(tmp_path / "c.safetensors", running)  # type: ignore[arg-type] # on purpose
