"""Laws of steadygrad.training.run and its loop: what one uninterrupted run does."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from steadygrad.datasets import batches, load_dataset
from steadygrad.errors import (
    HyperparameterError,
    NonFiniteLossError,
    OutputError,
    SteadygradError,
)
from steadygrad.models import RunModel, Smooth
from steadygrad.penalties import parameter_update_similarity
from steadygrad.seeds import derive_seed
from steadygrad.training import (
    SilentProgress,
    StepMetrics,
    TrainingConfig,
    TrainingResult,
    load_model,
    load_run_model,
    train,
)
from steadygrad.training.session import TrainingSession

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]


class Zeros(nn.Module):
    """Softmax regression that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10, 64))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(start_dim=1) @ self.weight.T


def test_two_steps_of_nesterov_sgd_are_those_of_the_equations(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(Zeros)
    settings = config(
        limit_train=10,
        batch_size=8,
        epochs=2,
        schedule="multi-step:1,drop=0.1",
        optimizer="sgd:learning_rate=0.5",
    )
    result = train(settings, tmp_path / "run")

    data = load_dataset("digits", "train", limit=10)
    weight, velocity = torch.zeros(10, 64, dtype=torch.float64), None
    for epoch, rate in ((1, 0.5), (2, 0.05)):
        loss_sum = correct = 0.0
        seed = derive_seed(0, f"order of epoch {epoch}")
        for images, labels in batches(data, 8, shuffle_seed=seed):
            x, y = images.flatten(1).double(), one_hot(labels, 10)
            probabilities = (x @ weight.T).softmax(dim=1)
            # The last batch holds 2 images: each image counts once.
            loss_sum += float(-(probabilities.log() * y).sum())
            correct += int((probabilities.argmax(1) == labels).sum())
            gradient = (probabilities - y).T @ x / len(x) + 1e-4 * weight
            velocity = gradient if velocity is None else 0.875 * velocity + gradient
            weight = weight - rate * (gradient + 0.875 * velocity)
        metrics = result.history[epoch - 1]
        assert (metrics.epoch, metrics.steps, metrics.images) == (epoch, 2, 10)
        assert metrics.learning_rate == pytest.approx(rate)
        assert metrics.loss == metrics.data_loss == pytest.approx(loss_sum / 10, rel=1e-5)
        assert metrics.train_accuracy == pytest.approx(correct / 10)
    torch.testing.assert_close(result.model.weight, weight.float(), rtol=1e-5, atol=1e-7)


def test_a_clipped_step_has_the_given_length(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(Zeros)
    one_step = {
        "limit_train": 8,
        "batch_size": 8,
        "epochs": 1,
        "optimizer": "sgd:learning_rate=1,momentum=0,weight_decay=0",
    }
    free = train(config(**one_step), tmp_path / "free").model.weight
    clipped = train(config(**one_step, clipping="norm:0.01"), tmp_path / "norm").model.weight
    torch.testing.assert_close(clipped, free * 0.01 / free.norm(), rtol=1e-4, atol=1e-8)
    cut = train(config(**one_step, clipping="value:0.01"), tmp_path / "value").model.weight
    torch.testing.assert_close(cut, free.clamp(-0.01, 0.01))
    assert free.norm() > 0.02 and free.abs().max() > 0.01


def test_adam_steps_are_those_of_its_equations(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(Zeros)
    settings = config(limit_train=8, batch_size=8, epochs=1, optimizer="adam:denominator=1e-4")
    result = train(settings, tmp_path / "run")
    (images, labels), *_ = batches(
        load_dataset("digits", "train", limit=8), 8, shuffle_seed=derive_seed(0, "order of epoch 1")
    )
    gradient = (0.1 - one_hot(labels, 10)).double().T @ images.flatten(1).double() / 8
    expected = -1e-3 * gradient / (gradient.abs() + 1e-4)  # the first step, bias-corrected
    torch.testing.assert_close(result.model.weight, expected.float(), rtol=1e-4, atol=1e-7)


def test_the_rate_follows_its_schedule_at_every_step(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(Zeros)
    settings = config(
        limit_train=40,  # 3 steps an epoch
        optimizer="sgd:learning_rate=0.5,momentum=0,weight_decay=0",
        schedule="cosine:warmup=1",
    )
    result = train(settings, tmp_path / "run")
    data, weight = load_dataset("digits", "train", limit=40), torch.zeros(10, 64)
    half, three_quarters = (1 + math.cos(math.pi / 3)) / 2, (1 + math.cos(2 * math.pi / 3)) / 2
    rates = iter([0.005, 0.5 / 3, 1 / 3, 0.5, 0.5 * half, 0.5 * three_quarters])
    for epoch in (1, 2):
        order = derive_seed(0, f"order of epoch {epoch}")
        for images, labels in batches(data, 16, shuffle_seed=order):
            x, y = images.flatten(1), one_hot(labels, 10)
            weight = weight - next(rates) * ((x @ weight.T).softmax(dim=1) - y).T @ x / len(x)
    torch.testing.assert_close(result.model.weight, weight, rtol=1e-4, atol=1e-6)


def test_smoothed_labels_are_trained_on(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(Zeros)
    settings = config(
        limit_train=8,
        batch_size=8,
        epochs=1,
        loss="cross-entropy:smoothing=0.2",
        optimizer="sgd:learning_rate=1,momentum=0,weight_decay=0",
    )
    result = train(settings, tmp_path / "run")
    (images, labels), *_ = batches(
        load_dataset("digits", "train", limit=8), 8, shuffle_seed=derive_seed(0, "order of epoch 1")
    )
    target = 0.8 * one_hot(labels, 10) + 0.2 / 10
    expected = -(0.1 - target).T @ images.flatten(1) / 8
    torch.testing.assert_close(result.model.weight, expected)
    assert result.history[0].loss == pytest.approx(math.log(10))


def test_averaged_weights_are_those_of_a_slow_loop(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)))
    settings = config(epochs=3, averaging="ema:0.6", validation_size=60)
    result = train(settings, tmp_path / "run")
    session = TrainingSession(
        settings, load_dataset("digits", "train", limit=40, validation_size=60), torch.device("cpu")
    )
    average = {name: p.detach().double() for name, p in session.model.named_parameters()}
    step = 0
    with torch.random.fork_rng():
        for epoch in (1, 2, 3):
            order = derive_seed(0, f"order of epoch {epoch}")
            for images, labels in batches(session.train, 16, shuffle_seed=order):
                session.step(images, labels)
                session.steps_done += 1
                step += 1
                kept = min(0.6, step / (step + 9))
                for name, parameter in session.model.named_parameters():
                    average[name] = kept * average[name] + (1 - kept) * parameter.detach().double()
            session.epochs_done, session.steps_done = epoch, 0
    assert not result.model.training
    for name, parameter in result.model.named_parameters():
        torch.testing.assert_close(parameter.double(), average[name], rtol=1e-5, atol=1e-7)
    for latest, kept_buffer in zip(session.model.buffers(), result.model.buffers(), strict=True):
        assert torch.equal(latest, kept_buffer)

    # Both are saved and both are measured.
    raw = load_model(tmp_path / "run" / "raw_model.safetensors")[0]
    averaged = load_run_model(tmp_path / "run").model
    data = load_dataset("digits", "validation", validation_size=60)
    last = result.history[-1]
    for network, loss, accuracy in (
        (averaged, last.validation_loss, last.validation_accuracy),
        (raw, last.raw_validation_loss, last.raw_validation_accuracy),
    ):
        logits = network(data.images()).detach()
        assert loss == pytest.approx(cross_entropy(logits, data.labels).item(), rel=1e-5)
        assert accuracy == pytest.approx((logits.argmax(1) == data.labels).float().mean().item())
    for one, other in zip(raw.parameters(), session.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(raw[2].weight, averaged[2].weight)


def test_averaging_changes_no_step(tmp_path: Path, config: Make) -> None:
    plain = train(config(), tmp_path / "plain")
    averaged = train(config(averaging="ema"), tmp_path / "averaged")
    assert (plain.folder / "model.safetensors").read_bytes() == (
        averaged.folder / "raw_model.safetensors"
    ).read_bytes()
    assert [m.loss for m in plain.history] == [m.loss for m in averaged.history]
    train(config(), tmp_path / "averaged", overwrite=True)
    assert not (tmp_path / "averaged" / "raw_model.safetensors").exists()


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


class BlowsUp(Zeros):
    """Softmax regression whose logits are infinite from the given call on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.calls, self.after = 0, after

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(images) + (math.inf if self.calls > self.after else 0)


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: BlowsUp(after=4))  # 3 steps an epoch
    with pytest.raises(
        NonFiniteLossError,
        match=r"not finite at epoch 2, step 2: data loss nan, penalty 0; the last good checkpoint",
    ):
        train(config(), tmp_path / "run")
    tensors = load_model(tmp_path / "run" / "model.safetensors")[0].state_dict()
    build_tiny(Zeros)
    good = train(config(epochs=1), tmp_path / "good")
    assert torch.equal(tensors["weight"], good.model.state_dict()["weight"])
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_divergence_before_any_checkpoint_says_so(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: BlowsUp(after=0))
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step 1.*no checkpoint was written"):
        train(config(), tmp_path / "run")


class RootAtZero(Zeros):
    """A finite loss with an infinite gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.weight.sum().square().sqrt() * images.mean()


@pytest.mark.parametrize("attack", ["none", "pgd:eps=0.1,steps=4"])
def test_a_finite_loss_with_an_infinite_gradient_never_reaches_a_checkpoint(
    tmp_path: Path, config: Make, build_tiny: BuildTiny, attack: str
) -> None:
    build_tiny(RootAtZero)
    with pytest.raises(NonFiniteLossError, match="weights are not finite after epoch 1, step 1"):
        train(config(checkpoint_seconds=0, attack=attack), tmp_path / "a")
    assert not (tmp_path / "a" / "training_state.pt").exists()
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step [12]"):
        train(config(attack=attack), tmp_path / "b")
    one_step = config(limit_train=16, attack=attack)
    with pytest.raises(NonFiniteLossError, match="weights are not finite after epoch 1, step 1"):
        train(one_step, tmp_path / "c")
    assert not (tmp_path / "c" / "training_state.pt").exists()


class Losses(SilentProgress):
    """Notes every step's loss."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, float]] = []

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        self.steps.append((epoch, step, latest.loss))


def test_losses_read_in_bunches_give_the_same_metrics(
    tmp_path: Path, config: Make, monkeypatch: pytest.MonkeyPatch, build_tiny: BuildTiny
) -> None:
    often, seldom = Losses(), Losses()
    first = train(config(), tmp_path / "often", progress=often)
    assert [step[:2] for step in often.steps] == [(e, s) for e in (1, 2) for s in (1, 2, 3)]
    read_every_two_steps(monkeypatch)
    second = train(config(), tmp_path / "seldom", progress=seldom)
    # The first step is always read: before it has succeeded, the folder is left alone.
    assert [step[:2] for step in seldom.steps] == [(1, 1), (1, 3), (2, 2), (2, 3)]
    assert [m.loss for m in first.history] == [m.loss for m in second.history]

    build_tiny(lambda: BlowsUp(after=3))
    with pytest.raises(NonFiniteLossError, match="epoch 2, step 1"):
        train(config(), tmp_path / "blows-up")


def read_every_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from steadygrad.training.loop import TrainingLoop

    original = TrainingLoop.__init__

    def patched(self: TrainingLoop, *arguments: Any) -> None:
        original(self, *arguments)
        self.steps_between_reads = 2

    monkeypatch.setattr(TrainingLoop, "__init__", patched)


def test_an_occupied_folder_is_left_alone_unless_told_otherwise(
    tmp_path: Path, config: Make
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty; resume the run in it, ask to overwrite"):
        train(config(epochs=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "pgd.json").write_text("of other weights")
    train(config(epochs=1), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "evaluations").exists()


def test_a_run_is_not_replaced_by_one_of_its_own_network(tmp_path: Path, config: Make) -> None:
    train(config(epochs=1), tmp_path / "a")
    weights = (tmp_path / "a" / "model.safetensors").read_bytes()
    again = config(epochs=1, model=RunModel(path=tmp_path / "a"))
    smooth = config(epochs=1, model=Smooth(model=RunModel(path=tmp_path / "a")))
    for each, out in ((again, tmp_path / "a"), (again, tmp_path), (smooth, tmp_path / "a")):
        with pytest.raises(OutputError, match=r"cannot overwrite .*: the network comes from"):
            train(each, out, overwrite=True)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == weights
    train(again, tmp_path / "b")


class WithoutGradient(Zeros):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach())


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (Zeros, {"augmentation": ["crop:99"]}),
        (WithoutGradient, {"penalty": "norm:eps=0.1"}),
        (lambda: BlowsUp(after=0), {}),
    ],
    ids=["augmentation", "penalty", "loss"],
)
def test_a_refused_first_step_writes_nothing_and_replaces_nothing(
    tmp_path: Path,
    config: Make,
    build_tiny: BuildTiny,
    network: Callable[[], nn.Module],
    settings: dict[str, Any],
) -> None:
    build_tiny(Zeros)
    train(config(epochs=1), tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    build_tiny(network)
    begun: list[str] = []
    for place in ("run", "fresh/run"):
        with pytest.raises(SteadygradError):
            train(
                config(epochs=1, **settings),
                tmp_path / place,
                overwrite=True,
                on_begin=lambda: begun.append("begun"),
            )
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert after == before and not (tmp_path / "fresh").exists() and not begun


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


def test_a_network_that_was_given_frozen_is_told_so(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: Zeros().requires_grad_(False))
    for tuning in (None, "fine-tune"):
        with pytest.raises(HyperparameterError, match="requires_grad is False for all"):
            train(config(tuning=tuning), tmp_path / "run")


def test_an_impossible_folder_is_one_sentence(tmp_path: Path, config: Make) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        train(config(epochs=1), tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        train(config(epochs=1), tmp_path / "file" / "run")


def test_data_that_cannot_be_loaded_leaves_no_folder_behind(tmp_path: Path, config: Make) -> None:
    with pytest.raises(HyperparameterError, match="validation_size"):
        train(config(validation_size=99_999), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recorded_steps_need_a_cuda_device(tmp_path: Path, config: Make) -> None:
    with pytest.raises(HyperparameterError, match=r"for cuda_graph, got device cpu"):
        train(config(cuda_graph=True, device="cpu"), tmp_path / "run")


def test_an_absent_device_is_named(tmp_path: Path, config: Make) -> None:
    for name in ("abacus", "cuda:99"):
        with pytest.raises(HyperparameterError, match=f"device '{name}' is not available"):
            train(config(device=name), tmp_path / "run")


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
