"""Evaluations on disk: what is written comes back, and damage is noticed."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD
from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.evaluation import (
    AccuracyCurve,
    Gallery,
    accuracy_curve,
    evaluation_slug,
    predictions,
    read_evaluation,
    select_gallery,
    worst_case,
    write_evaluation,
)
from steadygrad.evaluation.provenance import data_record

Data = tuple[Tensor, Tensor]


@pytest.fixture
def dataset(held_out: Data) -> ImageDataset:
    images, labels = held_out
    names = tuple(str(digit) for digit in range(10))
    return ImageDataset("digits", "test", images, labels, names, "a note")


@pytest.fixture
def curve(trained: nn.Module, held_out: Data) -> AccuracyCurve:
    return accuracy_curve(trained, *held_out, PGD(eps=0, steps=3), [0.0, 0.1, 0.2])


@pytest.fixture
def gallery(trained: nn.Module, held_out: Data, curve: AccuracyCurve) -> Gallery:
    return select_gallery(trained, *held_out, PGD(eps=0, steps=3), curve)


@pytest.fixture
def written(tmp_path: Path, curve: AccuracyCurve, gallery: Gallery, dataset: ImageDataset) -> Path:
    return write_evaluation(
        tmp_path,
        curve,
        labels=dataset.labels,
        dataset=dataset,
        model_name="digits-real",
        gallery=gallery,
    )


def test_comes_back_as_it_went(
    written: Path, curve: AccuracyCurve, gallery: Gallery, dataset: ImageDataset
) -> None:
    found = read_evaluation(written)
    assert found.curve.points == curve.points and found.curve.attack == curve.attack
    assert torch.equal(found.curve.broken_at, curve.broken_at)
    assert (found.curve.seed, found.curve.search) == (0, "sweep")
    assert found.gallery is not None and found.gallery.eps == gallery.eps
    assert torch.equal(found.gallery.adversarial, gallery.adversarial)
    assert found.dataset == data_record(dataset)
    assert (found.model, found.model_digest) == ("digits-real", None)


def test_files_hold_what_other_programs_expect(written: Path) -> None:
    record = json.loads(written.read_text())
    assert {"attack", "results", "dataset", "seed", "seconds", "model"} <= set(record)
    assert {"model_digest", "created", "versions"} <= set(record)
    assert set(load_file(written.with_suffix(".safetensors"))) == {
        "broken_at",
        "labels",
        "gallery_eps",
        "gallery_clean",
        "gallery_adversarial",
        "gallery_labels",
        "gallery_clean_predictions",
        "gallery_adversarial_predictions",
    }
    assert {path.suffix for path in written.parent.iterdir()} == {".json", ".safetensors"}


def test_the_weights_are_named_by_their_digest(
    tmp_path: Path, curve: AccuracyCurve, dataset: ImageDataset
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    path = write_evaluation(
        tmp_path, curve, labels=dataset.labels, dataset=dataset, model_name="digits-real"
    )
    found = read_evaluation(path)
    assert found.model_digest == hashlib.sha256(b"weights").hexdigest()
    assert found.gallery is None


def test_the_file_name_follows_everything_that_decides(
    trained: nn.Module, held_out: Data, dataset: ImageDataset
) -> None:
    def slug(attack: object = FGSM(eps=0), **options: object) -> str:
        arguments = {"eps_values": [0.1], "seed": 0} | options
        return evaluation_slug(accuracy_curve(trained, *held_out, attack, **arguments), dataset)

    slugs = [
        slug(),
        slug(eps_values=[0.2]),
        slug(seed=1),
        slug(reuse_broken=False),
        slug(FGSM(eps=0, start_from_prediction=True)),
    ]
    assert len(set(slugs)) == len(slugs)
    assert slug() == slugs[0] and slugs[0].startswith("fgsm-digits-test-300-")


def test_images_of_a_registered_set_at_another_size_keep_their_results_apart(
    curve: AccuracyCurve, dataset: ImageDataset
) -> None:
    larger = replace(dataset, pixels=nn.functional.interpolate(dataset.pixels.float(), size=12))
    assert evaluation_slug(curve, larger) != evaluation_slug(curve, dataset)
    assert "image_shape" not in data_record(dataset)  # names of what was stored before stay
    assert data_record(larger)["image_shape"] == [1, 12, 12]


def test_models_that_share_a_folder_keep_their_results_apart(
    tmp_path: Path, curve: AccuracyCurve, dataset: ImageDataset
) -> None:
    def written(name: str, digest: str | None = None) -> Path:
        return write_evaluation(
            tmp_path,
            curve,
            labels=dataset.labels,
            dataset=dataset,
            model_name=name,
            digest=digest,
        )

    outside = {written("a", "1"), written("b", "1"), written("a", "2"), written("a")}
    assert len(outside) == 4
    assert written("a", "2") in outside
    # In a run's folder its own results are named as they always were.
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    own = written("digits-real")
    assert own.stem == evaluation_slug(curve, dataset)
    assert own == written("digits-real", hashlib.sha256(b"weights").hexdigest())
    assert written("a", "1") in outside


def test_folders_of_one_name_are_told_apart(curve: AccuracyCurve, dataset: ImageDataset) -> None:
    one = replace(dataset, name="somewhere/digs")
    other = replace(dataset, name="elsewhere/digs", pixels=1 - dataset.pixels)
    assert evaluation_slug(curve, one) != evaluation_slug(curve, replace(other, name=one.name))


def test_a_worst_case_can_be_stored(
    tmp_path: Path, curve: AccuracyCurve, dataset: ImageDataset
) -> None:
    path = write_evaluation(
        tmp_path,
        worst_case([curve, curve]),
        labels=dataset.labels,
        dataset=dataset,
        model_name="digits-real",
    )
    assert read_evaluation(path).curve.points == curve.points


def test_gallery_shows_right_examples_of_every_class_whatever_became_of_them(
    trained: nn.Module, held_out: Data, gallery: Gallery, curve: AccuracyCurve
) -> None:
    assert len(gallery.labels) == 8 and len(gallery.labels.unique()) == 8
    assert torch.equal(gallery.clean_predictions, gallery.labels)
    assert (gallery.adversarial - gallery.clean).abs().max() <= gallery.eps + 1e-6
    assert torch.equal(gallery.adversarial_predictions, predictions(trained, gallery.adversarial))
    halfway = min(curve.points, key=lambda point: abs(point.accuracy - 0.48))
    assert gallery.eps == halfway.eps > 0
    many = select_gallery(trained, *held_out, PGD(eps=0), curve, eps=0.15, count=1000)
    assert len(many.labels) == curve.points[0].correct and many.eps == 0.15


def test_gallery_of_a_model_that_is_never_right_is_empty(held_out: Data) -> None:
    images, labels = held_out
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
    nn.init.zeros_(wrong[1].weight)
    wrong[1].bias.data = torch.eye(11)[10]
    curve = accuracy_curve(wrong, images, labels, FGSM(eps=0), [0.1])
    assert len(select_gallery(wrong, images, labels, FGSM(eps=0), curve).labels) == 0


def test_gallery_refuses_other_examples_and_no_examples(
    trained: nn.Module, held_out: Data, curve: AccuracyCurve
) -> None:
    images, labels = held_out
    with pytest.raises(HyperparameterError, match="expected the 300 images of the curve, got 299"):
        select_gallery(trained, images[1:], labels[1:], FGSM(eps=0), curve)
    with pytest.raises(HyperparameterError, match="count >= 1, got 0"):
        select_gallery(trained, images, labels, FGSM(eps=0), curve, count=0)


def damage_json(path: Path) -> None:
    path.write_text(path.read_text()[:100])


def damage_tensors(path: Path) -> None:
    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-10])


def lose_tensors(path: Path) -> None:
    path.with_suffix(".safetensors").unlink()


def swap_tensors(path: Path) -> None:
    two = torch.zeros(2)
    save_file({"broken_at": two, "labels": two.clone()}, path.with_suffix(".safetensors"))


def lose_key(path: Path) -> None:
    record = json.loads(path.read_text())
    del record["results"][1]["accuracy"]
    path.write_text(json.dumps(record))


def hold_a_list(path: Path) -> None:
    path.write_text("[]")


def take_the_outcomes_of_another_model(path: Path) -> None:
    beside = path.with_suffix(".safetensors")
    tensors = load_file(beside)
    save_file(tensors | {"broken_at": torch.zeros_like(tensors["broken_at"])}, beside)


def change(name: str, value: object) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return harm


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_json, "damaged"),
        (damage_tensors, "damaged"),
        (lose_tensors, r"cannot read .*safetensors: No such file"),
        (Path.unlink, r"cannot read .*json: No such file"),
        (swap_tensors, "tensors are of 2 examples"),
        (lose_key, r"json is damaged: it has no 'accuracy'"),
        (hold_a_list, "damaged: expected a JSON object, got list"),
        (take_the_outcomes_of_another_model, "the outcomes beside it give other accuracies"),
        (change("seed", math.inf), "expected a whole number as 'seed', got inf"),
        (change("seconds", 10**400), "expected a finite number as 'seconds', got 1000"),
        (change("model_digest", {}), "expected a text as 'model_digest', got {}"),
        (change("attack", [["name", "pgd"]]), "expected an object as 'attack', got "),
    ],
)
def test_damage_ends_in_one_sentence(written: Path, harm: object, message: str) -> None:
    harm(written)  # type: ignore[operator] # one of the functions above
    with pytest.raises(CheckpointError, match=message) as caught:
        read_evaluation(written)
    assert "\n" not in str(caught.value)


def test_unwritable_place_and_wrong_labels_are_refused(
    tmp_path: Path, curve: AccuracyCurve, dataset: ImageDataset
) -> None:
    (tmp_path / "evaluations").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"cannot write .*evaluations"):
        write_evaluation(
            tmp_path, curve, labels=dataset.labels, dataset=dataset, model_name="digits-real"
        )
    with pytest.raises(HyperparameterError, match="300 labels of the curve, got 299"):
        write_evaluation(
            tmp_path, curve, labels=dataset.labels[1:], dataset=dataset, model_name="digits-real"
        )
