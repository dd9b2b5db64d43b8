"""Real images reach far, the gradients of a convolutional network do not."""

import os
from pathlib import Path

import pytest
import torch

from steadygrad.datasets import load_dataset
from steadygrad.evaluation import (
    gather_structure,
    image_structure,
    perturbation_batches,
    perturbation_source,
    predictions,
)
from steadygrad.models import build_model

DATA = Path(os.environ.get("STEADYGRAD_DATA", Path(__file__).parents[3] / "shared/datasets"))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "model", "data_reach"),
    # Pen strokes are two pixels wide; photographs go on.
    [("mnist", "roth2018-mnist-relu", 1.5), ("cifar10", "roth2018-cifar10-relu", 6.0)],
)
@pytest.mark.parametrize("source", ["gradient", "fgsm"])
def test_perturbations_have_a_shorter_range_than_the_data(
    dataset: str, model: str, data_reach: float, source: str
) -> None:
    if not (DATA / dataset).is_dir():
        pytest.skip(f"{dataset} is not in {DATA}")
    data = load_dataset(dataset, "test", data_dir=DATA, limit=100)
    # Untrained: the range is a property of small convolution kernels before it is one of training.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(model).eval()
    images = data.images()
    batches = perturbation_batches(
        network, images, predictions(network, images), perturbation_source(source)
    )
    perturbations, own = gather_structure(batches), image_structure(data.pixels)
    assert own.intra_reach > data_reach
    assert perturbations.intra_reach < 1.2
    assert perturbations.intra_reach < own.intra_reach / 1.5
