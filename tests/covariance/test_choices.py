"""Covariances as parts: one text, table and constructor each, and what the data decide."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import (
    COVARIANCES,
    SOURCES,
    Block,
    CovarianceFile,
    DataFacts,
    Dataset,
    Dense,
    Exponential,
    ExponentialCovariance,
    GradientSource,
    Identity,
    IdentityCovariance,
    Radial,
    RunningCovariance,
    SignSource,
    Stationary,
    StationaryStructure,
    built,
    dataset_covariance,
    prepared,
    save_covariance,
)
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError, UnknownNameError
from steadygrad.penalties import DoubleBackprop, PGDSource, Structured, StructuredPenalty

SHAPE = (2, 4, 3)
IMAGES = torch.rand(10, *SHAPE, generator=torch.Generator().manual_seed(0))


def batches() -> Iterator[Tensor]:
    yield from IMAGES.split(4)


FACTS = DataFacts(SHAPE, batches)
PARTS: list[tuple[str, Any]] = [
    ("identity", Identity()),
    ("exponential", Exponential()),
    ("exponential:4,inter_channel=0.2", Exponential(4.0, 0.2)),
    ("dataset", Dataset()),
    ("file:a/b.safetensors", CovarianceFile(Path("a/b.safetensors"))),
    ("stationary:estimator=unbiased", Stationary(estimator="unbiased")),
    ("dense:decay=0.3,source=gradient", Dense(decay=0.3, source=GradientSource())),
    ("radial:source=pgd,source.steps=4", Radial(source=PGDSource(steps=4))),
    ("block:every=2,mean=true,reach=2", Block(reach=2, every=2, mean=True)),
]


@pytest.mark.parametrize(("text", "part"), PARTS)
def test_text_table_and_constructor_are_one(text: str, part: Any) -> None:
    assert COVARIANCES.parse(text) == part
    assert COVARIANCES.text(part) == text
    assert COVARIANCES.build(COVARIANCES.table(part)) == part


def test_every_covariance_builds_and_says_whether_it_learns() -> None:
    for name in COVARIANCES.names():
        if name == "file":
            continue
        operator = COVARIANCES.parse(name).build(FACTS)
        assert isinstance(operator, RunningCovariance) == COVARIANCES.about(name).is_running
        if not COVARIANCES.about(name).is_running:
            assert operator.image_shape == SHAPE
            assert operator.mean_diagonal == pytest.approx(1)


def test_a_path_is_a_file() -> None:
    assert COVARIANCES.parse("runs/x.safetensors") == CovarianceFile(Path("runs/x.safetensors"))
    with pytest.raises(UnknownNameError, match=r"'statonary' \(did you mean 'stationary'\?\)"):
        COVARIANCES.parse("statonary")


def test_the_data_sets_covariance_streams_its_images() -> None:
    structure = StationaryStructure(estimator="unbiased", repair_steps=30)
    expected = dataset_covariance(IMAGES, structure)
    torch.testing.assert_close(
        Dataset().build(FACTS).dense(), expected.dense(), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(
        HyperparameterError, match="training images along with covariance 'dataset'"
    ):
        Dataset().build(DataFacts(SHAPE))


def test_a_file_is_taken_as_it_is_and_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_covariance(path, IdentityCovariance(SHAPE, variance=3.0))
    assert built(str(path), FACTS).mean_diagonal == 3.0
    save_covariance(path, IdentityCovariance((1, 9, 9)))
    with pytest.raises(ShapeError, match=r"of images \(2, 4, 3\), got \(1, 9, 9\)"):
        built(CovarianceFile(path), FACTS)
    with pytest.raises(CheckpointError, match="no covariance file"):
        built(CovarianceFile(tmp_path / "none.safetensors"), FACTS)
    assert built(IdentityCovariance(SHAPE), FACTS).image_shape == SHAPE


@pytest.mark.parametrize(
    "build",
    [
        lambda: Exponential(-1.0),
        lambda: Exponential(inter_channel=2.0),
        lambda: Stationary(decay=0.0),
        lambda: Dense(every=0),
        lambda: Block(reach=-1),
        lambda: Radial(repair_steps=-1),
        lambda: DataFacts((1, 2)),
    ],
)
def test_settings_outside_their_range_are_refused(build: Any) -> None:
    with pytest.raises((HyperparameterError, ShapeError)):
        build()


def test_sources_are_parts() -> None:
    assert SOURCES.names() == ("gradient", "fgsm", "pgd", "deepfool")
    gradient = torch.randn(2, *SHAPE)
    assert torch.equal(GradientSource().of_gradient(gradient), gradient)
    assert torch.equal(SignSource().of_gradient(gradient), gradient.sign())


def test_only_what_needs_the_data_is_prepared() -> None:
    other = DoubleBackprop()
    assert prepared(other, FACTS) is other
    part = Structured(strength=0.1, covariance="block:every=3,mean=true,source=pgd", fraction=0.5)
    penalty = prepared(part, FACTS)
    assert isinstance(penalty, StructuredPenalty)
    assert isinstance(penalty.covariance, RunningCovariance)
    assert (penalty.every, penalty.mean, penalty.source) == (3, "running", PGDSource())
    assert penalty.fraction == 0.5
    fixed = prepared(Structured(strength=0.1, covariance=Exponential(2.0)), FACTS)
    assert isinstance(fixed.covariance, ExponentialCovariance)
    assert fixed.source is None
