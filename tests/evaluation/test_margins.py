"""Margins: exact where DeepFool is, and what happens to images that have none."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import DeepFool, relative_perturbation
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, ImageError, OutputError
from steadygrad.evaluation.margins import Margins, deepfool_margins, write_margins
from steadygrad.evaluation.provenance import data_record
from steadygrad.evaluation.statistics import mean_interval
from steadygrad.tensor_file import read_tensors

Data = tuple[Tensor, Tensor]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def plane(distance_scale: float = 0.2) -> tuple[nn.Module, Tensor, Tensor]:
    """A two-class linear model, images around mid grey, and their distances to its boundary."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    weight = torch.randn(16, dtype=torch.float64, generator=seeded())
    with torch.no_grad():
        model[1].weight.copy_(torch.stack((weight, -weight)))
        model[1].bias.copy_(torch.stack((-weight.sum() / 2, weight.sum() / 2)))
    images = 0.5 + distance_scale * (torch.rand(60, 1, 4, 4, generator=seeded()).double() - 0.5)
    distances = ((images - 0.5).flatten(start_dim=1) @ weight / weight.norm()).abs()
    return model, images, distances


def made_up(relative: list[float], broken: list[bool]) -> Margins:
    values = torch.tensor(relative, dtype=torch.float64)
    attack = {"name": "deepfool", "overshoot": 0.02}
    return Margins(attack, values, values, torch.tensor(broken), seconds=1.0)


def test_exact_on_a_linear_model() -> None:
    model, images, distances = plane()
    margins = deepfool_margins(model, images, batch_size=7)
    torch.testing.assert_close(margins.lengths, 1.02 * distances)
    norms = images.flatten(start_dim=1).norm(dim=1)
    torch.testing.assert_close(margins.relative, 1.02 * distances / norms)
    assert margins.broken.all() and margins.unbroken == 0
    assert margins.mean == pytest.approx((1.02 * distances / norms).mean().item())
    assert margins.median == pytest.approx((1.02 * distances / norms).quantile(0.5).item())
    assert margins.ci95 == mean_interval(margins.relative)
    assert margins.attack["name"] == "deepfool"
    assert (margins.attack["overshoot"], margins.attack["steps"]) == (0.02, 100)


def test_is_what_deepfool_returns_on_a_network(trained: nn.Module, held_out: Data) -> None:
    images = held_out[0][:40]
    attack = DeepFool(overshoot=0.1, steps=20)
    margins = deepfool_margins(trained, images, attack, batch_size=16)
    start = trained(images).argmax(dim=1)
    adversarial = attack(trained, images, start)
    torch.testing.assert_close(
        margins.relative, relative_perturbation(images, adversarial).double(), rtol=1e-4, atol=1e-6
    )
    assert torch.equal(margins.broken, trained(adversarial).argmax(dim=1) != start)
    assert margins.mean is not None and 0 < margins.mean < 1


def test_images_that_keep_their_class_are_counted_and_left_out_of_the_figures() -> None:
    margins = made_up([0.1, 9.0, 0.3, 0.2], [True, False, True, True])
    assert margins.mean == pytest.approx(0.2)
    assert margins.median == pytest.approx(0.2)
    assert margins.unbroken == 0.25
    assert margins.ci95 == mean_interval(torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64))


def test_one_step_does_not_break_a_network_that_bends(trained: nn.Module, held_out: Data) -> None:
    images = held_out[0][:40]
    assert deepfool_margins(trained, images, DeepFool(steps=1, overshoot=0)).unbroken > 0
    assert deepfool_margins(trained, images).unbroken == 0


def test_nothing_broken_leaves_no_figures() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    nn.init.zeros_(model[1].weight)
    margins = deepfool_margins(model, torch.full((5, 1, 4, 4), 0.5))
    assert margins.unbroken == 1
    assert (margins.mean, margins.median, margins.ci95) == (None, None, None)
    assert json.loads(json.dumps(margins.to_json(), allow_nan=False))["mean"] is None


def test_a_black_image_has_no_relative_margin() -> None:
    model, images, _ = plane()
    with torch.no_grad():
        model[1].bias.add_(torch.tensor([0.3, -0.3]))
    images[3] = 0
    margins = deepfool_margins(model, images, DeepFool(steps=200))
    assert margins.relative[3] == math.inf
    assert margins.mean is not None and math.isfinite(margins.mean)
    assert len(margins.measured) == int(margins.broken.sum()) - int(margins.broken[3])


def test_the_model_stays_as_it_was_and_progress_reaches_the_end(
    trained: nn.Module, held_out: Data
) -> None:
    seen: list[tuple[int, int]] = []
    model = nn.Sequential(copy.deepcopy(trained), nn.Dropout(0.5)).train()
    images = held_out[0][:20]
    first = deepfool_margins(
        model, images, batch_size=8, progress=lambda done, total: seen.append((done, total))
    )
    assert model.training and model[1].training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert seen == [(8, 20), (16, 20), (20, 20)]
    # In eval mode: dropout plays no part.
    model.eval()
    assert torch.equal(first.lengths, deepfool_margins(model, images, batch_size=8).lengths)


def test_what_cannot_be_measured_is_refused() -> None:
    model, images, _ = plane()
    with pytest.raises(HyperparameterError, match="starts from the prediction"):
        deepfool_margins(model, images, DeepFool(start_from_prediction=False))
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        deepfool_margins(model, images, batch_size=0)
    with pytest.raises(ImageError, match="divide by 255"):
        deepfool_margins(model, 255 * images)


def test_a_file_holds_the_figures_and_every_margin(tmp_path: Path) -> None:
    margins = made_up([0.1, 9.0, 0.3], [True, False, True])
    pixels, labels = torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64)
    dataset = ImageDataset("my/digits", "test", pixels, labels, ("0", "1"), "a note")
    path = write_margins(tmp_path, margins, dataset=dataset, model_name="digits-real")
    assert path.parent == tmp_path / "evaluations" / "margins"
    assert path.name.startswith("deepfool-digits-test-3-")
    record = json.loads(path.read_text())
    assert {name: record[name] for name in margins.to_json()} == margins.to_json()
    assert record["dataset"] == data_record(dataset)
    assert (record["model"], record["model_digest"]) == ("digits-real", None)
    assert set(record) == {*margins.to_json(), "seconds", "dataset", "model", "model_digest",
                           "created", "versions"}  # fmt: skip
    tensors, _ = read_tensors(path.with_suffix(".safetensors"))
    assert torch.equal(tensors["relative"], margins.relative)
    assert torch.equal(tensors["broken"], margins.broken)

    again = write_margins(tmp_path, margins, dataset=dataset, model_name="digits-real")
    assert again == path and len(list(path.parent.iterdir())) == 2
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    path = write_margins(tmp_path, margins, dataset=dataset, model_name="digits-real")
    assert len(json.loads(path.read_text())["model_digest"]) == 64


def test_two_models_share_a_folder(tmp_path: Path) -> None:
    pixels, labels = torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64)
    dataset = ImageDataset("d", "test", pixels, labels, ("0", "1"), "")
    margins = made_up([0.1], [True])
    kept = {
        write_margins(tmp_path, margins, dataset=dataset, model_name=name, digest=digest)
        for name, digest in (("a", "1"), ("b", "1"), ("a", "2"), ("a", None))
    }
    assert len(kept) == 4


def test_a_file_of_other_images_or_at_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    margins = made_up([0.1], [True])
    dataset = ImageDataset(
        "d", "test", torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64), ("0", "1"), ""
    )
    with pytest.raises(HyperparameterError, match="expected the 1 images of the margins, got 2"):
        write_margins(tmp_path, margins, dataset=dataset, model_name="m")
    (tmp_path / "evaluations").write_text("a file where a folder should be")
    one = ImageDataset(
        "d", "test", torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64), ("0", "1"), ""
    )
    with pytest.raises(OutputError, match="cannot write"):
        write_margins(tmp_path, margins, dataset=one, model_name="m")
