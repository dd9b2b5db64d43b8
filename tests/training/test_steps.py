"""What one step does, against the equations: optimizer, clipping, rate, smoothing, averaging."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from checkpointed_attention import Attending
from starts_at_zero import Zeros
from steadygrad.datasets import batches, load_dataset
from steadygrad.distributed import Ranks
from steadygrad.models import Classifier
from steadygrad.seeds import derive_seed
from steadygrad.training import (
    TrainingConfig,
    load_model,
    load_run_model,
    train,
)
from steadygrad.training.session import TrainingSession

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]


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


def test_checkpointed_attention_is_trained_as_without(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    ended = []
    for recomputes in (True, False):
        build_tiny(partial(_attending, recomputes))
        settings = config(limit_train=16, batch_size=8, epochs=1, penalty="norm:eps=0.1")
        ended.append(train(settings, tmp_path / str(recomputes)).model.state_dict())
    for name, tensor in ended[1].items():
        torch.testing.assert_close(ended[0][name], tensor)


def _attending(recomputes: bool) -> nn.Module:
    return Classifier(Attending(8, 10, recomputes=recomputes))


def test_every_process_step_and_epoch_has_a_dropout_mask_of_its_own(config: Make) -> None:
    drawn = []
    with torch.random.fork_rng():
        data = load_dataset("digits", "train", limit=40)
        session = TrainingSession(config(limit_train=40), data, torch.device("cpu"))
        for rank in (1, 2):
            session.ranks = Ranks(rank, 3)
            for session.epochs_done in (0, 1):
                for session.steps_done in (0, 1):
                    session._seed_dropout()
                    drawn.append(torch.rand(()).item())
    assert len(set(drawn)) == 8


def test_augmentation_and_attack_draw_from_streams_of_their_own(config: Make) -> None:
    with torch.random.fork_rng():
        data = load_dataset("digits", "train", limit=40)
        session = TrainingSession(config(limit_train=40), data, torch.device("cpu"))
    streams = (session._augmentation_draws, session._attack_draws)
    one, other = (torch.rand(4, generator=stream) for stream in streams)
    assert not torch.equal(one, other)
