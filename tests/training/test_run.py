"""Laws of steadygrad.training.run and its loop: what one uninterrupted run does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from steadygrad.datasets import load_dataset
from steadygrad.errors import (
    HyperparameterError,
)
from steadygrad.penalties import parameter_update_similarity
from steadygrad.training import (
    EpochMetrics,
    SilentProgress,
    TrainingConfig,
    TrainingResult,
    load_run_model,
    train,
)
from steadygrad.training.session import TrainingSession

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]


def test_metrics_have_their_fields_and_the_result_its_files(run: TrainingResult) -> None:
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [m.to_dict() for m in run.history]
    first = json.loads(lines[0])
    assert list(first) == [
        "epoch",
        "steps",
        "learning_rate",
        "loss",
        "data_loss",
        "penalty",
        "train_accuracy",
        "validation_accuracy",
        "update_similarity",
        "seconds",
        "images",
        "validation_loss",
        "test_loss",
        "test_accuracy",
        "raw_validation_loss",
        "raw_validation_accuracy",
    ]
    assert first["loss"] == pytest.approx(first["data_loss"] + first["penalty"], rel=1e-6)
    assert first["penalty"] > 0
    assert first["update_similarity"] is None
    assert first["raw_validation_loss"] is None
    assert first["steps"] == 3
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "tensorboard",
        "training_state.pt",
    ]


def test_validation_accuracy_is_that_of_the_clean_split(run: TrainingResult) -> None:
    data = load_dataset("digits", "validation", validation_size=100)
    loaded = load_run_model(run.folder)
    predictions = loaded.model(data.images()).argmax(dim=1)
    expected = (predictions == data.labels).float().mean().item()
    assert run.history[-1].validation_accuracy == pytest.approx(expected)
    assert run.history[-1].test_accuracy is None
    assert loaded.dataset == "digits"
    assert loaded.spec.input_shape == (1, 8, 8)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


def test_test_images_are_measured_and_change_no_weight(tmp_path: Path, config: Make) -> None:
    plain = train(config(epochs=1), tmp_path / "plain")
    watched = train(config(epochs=1, test_images=50), tmp_path / "watched")
    data = load_dataset("digits", "test", limit=50)
    logits = watched.model(data.images()).detach()
    (epoch,) = watched.history
    assert epoch.test_loss == pytest.approx(cross_entropy(logits, data.labels).item(), rel=1e-5)
    assert epoch.test_accuracy == int((logits.argmax(1) == data.labels).sum()) / 50
    assert epoch.validation_loss is None
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], tensor)


def test_tensorboard_shows_what_the_metrics_say(run: TrainingResult) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    for name in ("loss", "penalty", "train_accuracy", "validation_accuracy"):
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        said = [(metrics.epoch, getattr(metrics, name)) for metrics in run.history]
        assert shown == [(epoch, pytest.approx(value)) for epoch, value in said]
    assert "update_similarity" not in events.Tags()["scalars"]


def test_config_json_holds_configuration_and_versions(run: TrainingResult) -> None:
    values = json.loads((run.folder / "config.json").read_text())
    assert values["penalty"]["name"] == "squared-norm"
    assert values["penalty"]["strength"] == 0.01
    assert values["torch"] == torch.__version__
    assert values["threads"] == torch.get_num_threads()
    assert (values["device_name"], values["processes"]) == ("cpu", 1)
    assert {"steadygrad", "python", "created"} < values.keys()


def test_the_same_configuration_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    settings = {
        "epochs": 1,
        "augmentation": ["gaussian:0.05"],
        "attack": "pgd:eps=0.1,steps=4",
    }
    build_tiny(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout()))
    weights = []
    with torch.random.fork_rng():
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            torch.rand(3)  # what others drew before plays no part
            train(config(seed=seed, **settings), tmp_path / name)
            weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_training_leaves_torchs_random_state_alone(tmp_path: Path, config: Make) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.get_rng_state()
        train(config(epochs=1), tmp_path / "run")
        assert torch.equal(torch.get_rng_state(), before)


def test_convolutions_are_repeatable_and_the_users_choice_of_tf32_stays(
    tmp_path: Path, config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn = torch.backends.cudnn
    found = []

    class Noted(SilentProgress):
        def epoch(self, metrics: EpochMetrics) -> None:
            found.append((cudnn.allow_tf32, cudnn.enabled, cudnn.benchmark, cudnn.deterministic))

    for setting, chosen in (("allow_tf32", False), ("enabled", False), ("benchmark", True)):
        monkeypatch.setattr(cudnn, setting, chosen)
    train(config(epochs=1), tmp_path / "run", progress=Noted())
    assert found == [(False, False, False, True)]
    assert cudnn.benchmark and not cudnn.deterministic and not cudnn.allow_tf32


def test_strength_zero_trains_the_plain_network_to_the_bit(tmp_path: Path, config: Make) -> None:
    train(config(), tmp_path / "plain")
    train(config(penalty="squared-norm:strength=0"), tmp_path / "zero")
    plain, zero = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("plain", "zero"))
    assert plain == zero


def test_update_similarity_is_recorded_and_changes_no_weight(tmp_path: Path, config: Make) -> None:
    settings = config(penalty="squared-norm:strength=0.1", epochs=1)
    plain = train(settings, tmp_path / "plain")
    asked_settings = config(penalty="squared-norm:strength=0.1", epochs=1, update_similarity=True)
    asked = train(asked_settings, tmp_path / "asked")
    similarity = asked.history[0].update_similarity
    assert similarity is not None
    assert -1 <= similarity < 0.999
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(asked.model.state_dict()[name], tensor)
    session = TrainingSession(asked_settings, load_dataset("digits", "train"), torch.device("cpu"))
    images, labels = session.train.images()[:64], session.train.labels[:64]
    result = session.objective(session.model, images, labels)
    expected = parameter_update_similarity(
        result.loss, result.data_loss, session.model.parameters()
    )
    assert session.step(images, labels)[-1].item() == pytest.approx(expected.item(), rel=1e-5)
    none = train(config(epochs=1, update_similarity=True), tmp_path / "none")
    assert none.history[0].update_similarity == pytest.approx(1, abs=1e-5)


def half_frozen() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 10))
    network[1].requires_grad_(False)
    return network


@pytest.mark.parametrize("averaging", ["ema", None])
def test_the_trained_network_can_be_trained_on(
    tmp_path: Path, config: Make, build_tiny: BuildTiny, averaging: str | None
) -> None:
    build_tiny(half_frozen)
    frozen_too = {"tuning": "fine-tune:freeze=3", "epochs": 1, "averaging": averaging}
    with pytest.raises(HyperparameterError, match="but freeze=3 covers all"):
        train(config(**frozen_too), tmp_path / "run")
    done = train(config(epochs=1, averaging=averaging), tmp_path / "run")
    given = [parameter.requires_grad for parameter in half_frozen().parameters()]
    assert [parameter.requires_grad for parameter in done.model.parameters()] == given


@pytest.mark.real_data
def test_one_penalised_epoch_on_real_mnist(
    tmp_path: Path, config: Make, real_data_dir: Path
) -> None:
    result = train(
        config(
            data={"name": "mnist", "data_dir": str(real_data_dir)},
            model="yeats2021-mnist-complex",
            penalty="squared-norm:strength=0.125",
            limit_train=96,
            batch_size=32,
            epochs=1,
        ),
        tmp_path / "run",
    )
    assert result.history[0].images == 96
    assert result.history[0].penalty > 0
