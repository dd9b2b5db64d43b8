"""Saved adversarial examples: they come back as they went, and damage and mismatch are named."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, NoisyFGSM, WhiteNoise
from steadygrad.errors import (
    CheckpointError,
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    OutputError,
    ShapeError,
)
from steadygrad.evaluation import (
    AdversarialExamples,
    craft_adversarial_examples,
    load_adversarial_examples,
    model_digest,
    save_adversarial_examples,
)
from steadygrad.store import Store


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


def data(n: int = 7) -> tuple[Tensor, Tensor]:
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return images, torch.arange(n) % 3


@pytest.fixture
def examples() -> AdversarialExamples:
    attack = PGD(eps=8 / 255, steps=2)
    return craft_adversarial_examples(
        network(), *data(), attack, source="plain", dataset="made up", split="test", seed=4,
        batch_size=3, indices=torch.arange(10, 17),
    )  # fmt: skip


def same(one: AdversarialExamples, other: AdversarialExamples) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


# --- crafting ----------------------------------------------------------------


def test_says_what_was_done(examples: AdversarialExamples) -> None:
    assert (examples.source, examples.source_digest) == ("plain", model_digest(network()))
    assert (examples.eps, examples.norm, examples.seed, examples.batch_size) == (
        *(8 / 255, "linf", 4, 3),
    )
    assert (examples.attack["name"], examples.attack["steps"]) == ("pgd", 2)
    assert examples.indices.tolist() == list(range(10, 17))
    assert examples.versions["torch"] == torch.__version__
    assert len(examples) == 7


def test_is_the_attack_on_every_image_in_eval_mode() -> None:
    images, labels = data()
    model = nn.Sequential(network(), nn.Dropout(0.9)).train()
    made = craft_adversarial_examples(model, images, labels, FGSM(eps=0.1), source="m")
    assert torch.equal(made.images, FGSM(eps=0.1)(model.eval(), images, labels))
    assert not torch.equal(made.images, images)


def test_all_sources_get_the_same_draws_and_the_mode_comes_back() -> None:
    images, labels = data()
    noise = WhiteNoise(eps=0.1, samples=1)
    models = [network(seed).train() for seed in (0, 1)]
    made = [
        craft_adversarial_examples(model, images, labels, noise, source=str(index), batch_size=3)
        for index, model in enumerate(models)
    ]
    assert torch.equal(made[0].images, made[1].images)
    assert not torch.equal(made[0].images[:3] - images[:3], made[0].images[3:6] - images[3:6])
    assert models[0].training
    assert made[0].norm is None


def test_progress_counts_images() -> None:
    heard: list[int] = []
    craft_adversarial_examples(
        network(), *data(), FGSM(eps=0.1), source="m", batch_size=3, progress=heard.append
    )
    assert heard == [3, 3, 1]


def test_bad_input_is_refused() -> None:
    images, labels = data()
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        craft_adversarial_examples(
            network(), images, labels, FGSM(eps=0.1), source="m", batch_size=0
        )
    with pytest.raises(LabelError, match=r"labels of shape \(7,\)"):
        craft_adversarial_examples(network(), images, labels[:2], FGSM(eps=0.1), source="m")
    with pytest.raises(ModelError, match="the model does not take 7 images of"):
        craft_adversarial_examples(network().double(), images, labels, FGSM(eps=0.1), source="m")


# --- files -------------------------------------------------------------------


def test_comes_back_as_it_went(tmp_path: Path, examples: AdversarialExamples) -> None:
    path = tmp_path / "new" / "examples.safetensors"
    save_adversarial_examples(path, examples)
    assert same(load_adversarial_examples(path), examples)


def test_equal_examples_give_equal_bytes(tmp_path: Path, examples: AdversarialExamples) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        save_adversarial_examples(file, replace(examples))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_programs_find_tensors_and_json(
    tmp_path: Path, examples: AdversarialExamples
) -> None:
    path = tmp_path / "examples.safetensors"
    save_adversarial_examples(path, examples)
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"images", "labels", "indices"}
        (record,) = file.metadata().values()
    said = json.loads(record)
    assert said["key"]["eps"] == 8 / 255
    assert said["key"]["source_digest"] == model_digest(network())
    assert said["values"]["source"] == "plain"


def test_early_files_can_be_read(tmp_path: Path, examples: AdversarialExamples) -> None:
    path = tmp_path / "examples.safetensors"
    save_adversarial_examples(path, examples)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no dict)
        record = json.loads(file.metadata()["steadygrad"])
    del record["key"]["source_fingerprint"]
    record["key"]["source_structure"] = "a digest of what the model printed"
    save_file(tensors, path, {"steadygrad": json.dumps(record)})
    read = load_adversarial_examples(path)
    assert read.source_fingerprint == "a digest of what the model printed"
    assert same(replace(read, source_fingerprint=examples.source_fingerprint), examples)


@pytest.mark.parametrize("norm", ["linf", "l2", None])
def test_norms_come_back(tmp_path: Path, examples: AdversarialExamples, norm: Any) -> None:
    path = tmp_path / "examples.safetensors"
    save_adversarial_examples(path, replace(examples, norm=norm))
    assert load_adversarial_examples(path).norm == norm


def test_a_folder_in_the_way_is_named(tmp_path: Path, examples: AdversarialExamples) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        save_adversarial_examples(tmp_path / "file" / "examples.safetensors", examples)


def write(path: Path, examples: AdversarialExamples, **changes: Any) -> None:
    """Write a file as it would be with some of its record changed, or left out (...)."""
    save_adversarial_examples(path, examples)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no dict)
        record = json.loads(file.metadata()["steadygrad"])
    for name, value in changes.items():
        parts = (tensors, record["key"], record["values"])
        target = next(part for part in parts if name in part)
        if value is ...:
            del target[name]
        else:
            target[name] = value
    save_file(tensors, path, {"steadygrad": json.dumps(record)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": ...}, "lacks 'eps'"),
        ({"labels": ...}, "lacks 'labels'"),
        ({"eps": "large"}, "is damaged: eps cannot be 'large'"),
        ({"seed": True}, "is damaged: seed cannot be True"),
        ({"source": 3}, "is damaged: source cannot be 3"),
        ({"norm": "l7"}, "norm linf, l2, l1 or none, got 'l7'"),
        ({"labels": torch.zeros(2, dtype=torch.int64)}, "is damaged: expected labels of shape"),
        ({"indices": torch.zeros(7)}, "is damaged: expected 7 int64 indices, got torch.float32"),
        ({"images": torch.full((7, 1, 4, 4), 3.0)}, "is damaged: expected pixels in"),
        ({"asked": "covariance"}, "holds no adversarial examples"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, examples: AdversarialExamples, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "examples.safetensors"
    write(path, examples, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_adversarial_examples(path)
    assert "examples.safetensors" in str(caught.value)


def test_files_that_are_something_else(tmp_path: Path, examples: AdversarialExamples) -> None:
    path = tmp_path / "examples.safetensors"
    with pytest.raises(CheckpointError, match="no adversarial examples at"):
        load_adversarial_examples(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
        load_adversarial_examples(path)
    save_adversarial_examples(path, examples)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
        load_adversarial_examples(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="holds tensors, but no answer of steadygrad"):
        load_adversarial_examples(path)
    save_file({"x": torch.zeros(1)}, path, {"steadygrad": "{"})
    with pytest.raises(CheckpointError, match="is damaged"):
        load_adversarial_examples(path)


def test_what_does_not_fit_together_is_refused(examples: AdversarialExamples) -> None:
    with pytest.raises(ShapeError, match=r"7 int64 indices, got torch.int64 of shape \(6,\)"):
        replace(examples, indices=torch.arange(6))
    with pytest.raises(HyperparameterError, match="indices of 0 and above, got -2"):
        replace(examples, indices=torch.arange(-2, 5))
    with pytest.raises(ImageError, match="pixels in"):
        replace(examples, images=examples.images + 1)


# --- made from ---------------------------------------------------------------


def test_knows_the_images_it_was_made_from(examples: AdversarialExamples) -> None:
    images, labels = data()
    examples.check_made_from(images, labels)
    with pytest.raises(ShapeError, match=r"of shape \(7, 1, 4, 4\), got \(6, 1, 4, 4\)"):
        examples.check_made_from(images[:6], labels[:6])
    with pytest.raises(CheckpointError, match="other labels than the images given, 2 of 7"):
        swapped = labels.clone()
        swapped[:2] = labels[:2].flip(0)
        examples.check_made_from(images, swapped)
    with pytest.raises(CheckpointError, match=r"of other images .* eps is 0.0313725"):
        examples.check_made_from(images.roll(3, dims=0), labels)


def test_what_may_leave_the_ball_is_held_against_no_distance() -> None:
    images, labels = data()
    for attack in (NoisyFGSM(eps=0.1), WhiteNoise(eps=0.1, samples=1)):
        examples = craft_adversarial_examples(network(), images, labels, attack, source="plain")
        assert examples.norm is None
        examples.check_made_from(images, labels)


def test_distance_is_measured_in_the_norm(examples: AdversarialExamples) -> None:
    images, labels = data()
    moved = (images.clamp(0.1, 0.9) + 0.05).contiguous()
    base = images.clamp(0.1, 0.9)
    # 0.05 in each of 16 pixels is 0.2 in L2.
    replace(examples, images=moved, eps=0.05, norm="linf").check_made_from(base, labels)
    replace(examples, images=moved, eps=0.2, norm="l2").check_made_from(base, labels)
    replace(examples, images=moved, eps=0.01, norm=None).check_made_from(base, labels)
    with pytest.raises(CheckpointError, match=r"one is 0.2 away, eps is 0.19"):
        replace(examples, images=moved, eps=0.19, norm="l2").check_made_from(base, labels)


# --- the store ---------------------------------------------------------------


class Counting(nn.Module):
    """A network that counts the images it sees."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.network, self.seen = network(seed), 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self.network(images)


def made(tmp_path: Path, model: nn.Module, **changes: Any) -> AdversarialExamples:
    settings: dict[str, Any] = {"attack": FGSM(eps=0.1), "source": "plain", "seed": 0} | changes
    images = settings.pop("images", data()[0])
    attack = settings.pop("attack")
    return craft_adversarial_examples(
        model, images, data()[1], attack, store=Store(tmp_path), **settings
    )


def test_what_was_made_before_is_found(tmp_path: Path) -> None:
    model = Counting()
    first = made(tmp_path, model)
    seen = model.seen
    heard: list[int] = []
    again = made(tmp_path, model, source="called otherwise", progress=heard.append)
    assert model.seen == seen + 7 > 14  # looked at, not attacked
    assert same(again, first)
    assert heard == [7]
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("plain-fgsm-")


@pytest.mark.parametrize(
    "change",
    [
        {"attack": FGSM(eps=0.2)},
        {"attack": PGD(eps=0.1)},
        {"attack": FGSM(eps=0.1, start_from_prediction=True)},
        {"seed": 1},
        {"batch_size": 2},
        {"images": data()[0].flip(3)},
    ],
    ids=str,
)
def test_whatever_decides_the_examples_makes_them_anew(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    model = Counting()
    made(tmp_path, model)
    seen = model.seen
    made(tmp_path, model, **change)
    assert model.seen > seen + 7
    assert len(list(tmp_path.iterdir())) == 2


def test_other_weights_or_layers_make_them_anew(tmp_path: Path) -> None:
    made(tmp_path, Counting())
    other = Counting(seed=1)
    made(tmp_path, other)
    assert other.seen > 7
    alike = Counting()
    alike.network[2] = nn.ReLU()
    made(tmp_path, alike)
    assert alike.seen > 0
    assert len(list(tmp_path.iterdir())) == 3


def test_what_has_no_weights_is_never_kept(tmp_path: Path) -> None:
    images, labels = data()
    model = network()
    craft_adversarial_examples(
        lambda x: model(x), images, labels, FGSM(eps=0.1), source="f", store=Store(tmp_path)
    )
    assert not list(tmp_path.iterdir())


class Brighten:
    """An attack whose setting no field tells of."""

    eps = 0.2
    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(
        self, model: Any, images: Tensor, labels: Tensor, *, generator: Any = None
    ) -> Tensor:
        return (images + self.factor * self.eps).clamp(max=1)


def test_of_an_attack_that_is_no_dataclass_nothing_is_kept(tmp_path: Path) -> None:
    weak, strong = (made(tmp_path, network(), attack=Brighten(factor)) for factor in (0.5, 1.0))
    assert not torch.equal(weak.images, strong.images)
    assert not list(tmp_path.iterdir())


def test_a_file_that_holds_something_else_is_named_and_made_again(tmp_path: Path) -> None:
    whole = made(tmp_path, network())
    made(tmp_path, network(), seed=1)
    first, second = sorted(tmp_path.iterdir())
    first.write_bytes(second.read_bytes())
    with pytest.warns(UserWarning, match="is damaged and is not used: it holds another answer"):
        made(tmp_path, network())
        again = made(tmp_path, network(), seed=1)
    assert same(made(tmp_path, network()), whole)
    assert torch.equal(again.images, whole.images)  # FGSM draws nothing


def test_examples_that_do_not_fit_together_are_named_and_made_again(tmp_path: Path) -> None:
    whole = made(tmp_path, network())
    (path,) = tmp_path.iterdir()
    write(path, whole, labels=torch.zeros(2, dtype=torch.int64))
    with pytest.warns(UserWarning, match="is damaged .*expected labels of shape"):
        assert same(made(tmp_path, network()), whole)
    assert same(made(tmp_path, network()), whole)
