"""One analysis whole: its numbers by an independent way, who is shown, what JSON holds."""

import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation import (
    AnalysisSettings,
    CovarianceAnalysis,
    analyse_perturbations,
    predictions,
)

DIGITS = tuple(map(str, range(10)))
FEW = AnalysisSettings(attack="gradient", decay_lengths=(2, 1), batch_size=32, seed=3)


@pytest.fixture(scope="module")
def dataset(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> ImageDataset:
    """Eighty digits, of which the model has the first ones wrong."""
    images, labels = held_out
    order = (predictions(trained, images) == labels).int().argsort(stable=True)[:80]
    images, labels = images[order], labels[order]
    return ImageDataset("digits", "test", images, labels, DIGITS)


@pytest.fixture(scope="module")
def analysis(trained: nn.Module, dataset: ImageDataset) -> CovarianceAnalysis:
    return analyse_perturbations(trained, dataset, FEW)


def test_the_covariance_is_that_of_gradients_away_from_the_prediction(
    trained: nn.Module, dataset: ImageDataset, analysis: CovarianceAnalysis
) -> None:
    images = dataset.images().clone().requires_grad_()
    logits = trained(images)
    losses = cross_entropy(logits, logits.argmax(dim=1), reduction="sum")
    (gradients,) = torch.autograd.grad(losses, images)
    rows = gradients.flatten(start_dim=1).double()
    expected = rows.T @ rows
    expected = expected / expected.diagonal().mean()
    torch.testing.assert_close(analysis.perturbations.matrix, expected, rtol=0, atol=1e-5)
    centred = (dataset.images() - dataset.images().mean(dim=0)).flatten(start_dim=1).double()
    own = centred.T @ centred
    torch.testing.assert_close(analysis.data.matrix, own / own.diagonal().mean(), rtol=0, atol=1e-5)


def test_the_images_shown_are_right_ones_of_different_classes(
    trained: nn.Module, dataset: ImageDataset, analysis: CovarianceAnalysis
) -> None:
    samples = analysis.samples
    assert samples.decay_lengths == (1, 1, 2, 2)
    assert samples.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(samples.clean_predictions, samples.labels)
    assert analysis.line_labels.tolist() == [0, 1, 2, 3, 4, 5]
    right = predictions(trained, dataset.images()) == dataset.labels
    assert analysis.accuracy == pytest.approx(right.double().mean().item())


def test_the_lines_run_through_the_attacked_images(
    trained: nn.Module, dataset: ImageDataset, analysis: CovarianceAnalysis
) -> None:
    eps = 4 / 255
    attack = PGD(eps=eps, steps=10, step_size=eps / 5, random_start=False)
    right = predictions(trained, dataset.images()) == dataset.labels
    first = int((right & (dataset.labels == 0)).nonzero()[0])
    image, label = dataset.images()[first : first + 1], dataset.labels[first : first + 1]
    twin = attack(trained, image, label)
    with torch.no_grad():
        expected = torch.stack([trained(x)[0].softmax(dim=0) for x in (image, twin)])
    positions = analysis.lines.positions.tolist()
    at = [min(range(101), key=lambda i: abs(positions[i] - t)) for t in (0, 1)]
    torch.testing.assert_close(analysis.lines.probabilities[0, at], expected)


def test_json_holds_the_functions_the_reach_and_the_settings(
    analysis: CovarianceAnalysis,
) -> None:
    record = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert record["attack"] == {"name": "gradient"}
    assert record["softmax_lines"]["attack"]["start_from_prediction"] is True
    assert record["softmax_lines"]["attack"]["eps"] == pytest.approx(4 / 255)
    assert (record["seed"], record["batch_size"]) == (3, 32)
    assert record["dataset"] == {"name": "digits", "split": "test", "n": 80, "note": ""}
    ours = record["perturbations"]
    (function,) = ours["intra_channel"]["functions"]
    torch.testing.assert_close(
        torch.tensor(function, dtype=torch.float64), analysis.perturbations.function[0, 0]
    )
    # By hand: where the polygon through the values first crosses 1/e of that at 0.
    after = next(r for r, value in enumerate(function) if value <= function[0] / math.e)
    high, low = function[after - 1], function[after]
    crossing = after - 1 + (high - function[0] / math.e) / (high - low)
    assert ours["intra_channel"]["decay_length"] == pytest.approx(crossing)
    assert ours["intra_channel"]["decay_lengths"] == pytest.approx([crossing])
    assert ours["inter_channel"]["pairs"] == []
    assert ours["inter_channel"]["decay_length"] is None
    assert record["correlated_samples"]["decay_lengths"] == [1, 1, 2, 2]


def test_a_model_that_is_never_right_is_shown_all_the_same(dataset: ImageDataset) -> None:
    torch.manual_seed(0)
    untrained = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    wrong = ImageDataset(
        "digits",
        "test",
        dataset.pixels[:5],
        (predictions(untrained, dataset.images()[:5]) + 1) % 10,
        DIGITS,
    )
    analysis = analyse_perturbations(untrained, wrong, FEW)
    assert analysis.accuracy == 0
    assert len(analysis.samples.clean) == 4
    assert 1 <= len(analysis.lines.probabilities) <= 5


def test_settings_out_of_range_are_refused() -> None:
    for settings, error, message in (
        ({"attack": "cw"}, UnknownNameError, "unknown attack 'cw'"),
        ({"attack": "gradient:eps=0.1"}, HyperparameterError, "gradient without settings"),
        ({"decay_lengths": ()}, HyperparameterError, "at least one decay length, got none"),
        ({"decay_lengths": (1, 0)}, HyperparameterError, "decay_length > 0 pixels, got 0"),
        ({"noise_eps": 2}, HyperparameterError, r"eps in \[0, 1\], got 2"),
        ({"line_eps": 0}, HyperparameterError, "eps > 0"),
        ({"batch_size": 0}, HyperparameterError, "batch_size >= 1, got 0"),
    ):
        with pytest.raises(error, match=message):
            AnalysisSettings(**settings)
