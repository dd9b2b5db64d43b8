"""A recorded step does what a step does; without a CUDA device, a stand-in for the recording."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.errors import ModelError
from steadygrad.held_statistics import held_statistics
from steadygrad.penalties import DoubleBackprop, SquaredNormPenalty, model_passes
from steadygrad.penalties.captured_gradient import CapturedGradient, Run

PENALTY = SquaredNormPenalty(strength=0.1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(48, 4))
    return nn.Sequential(*layers).double()


def batch(seed: int, size: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(size, 1, 6, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(4, (size,), generator=generator)


def recorded(run: Run, _: torch.device) -> tuple[tuple[Tensor, ...], Callable[[], object]]:
    """Stand in for a CUDA graph: results always lie where those of the recording lay."""
    static = tuple(tensor.detach().clone() for tensor in run())

    def replay() -> None:
        for place, tensor in zip(static, run(), strict=True):
            place.copy_(tensor.detach())

    return static, replay


def captured(model: nn.Module) -> CapturedGradient:
    gradient = CapturedGradient(model, PENALTY)
    gradient._record, gradient._devices = recorded, ("cpu",)
    return gradient


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def trained(model: nn.Module, step: Callable[[Tensor, Tensor], object], sizes: list[int]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for seed, size in enumerate(sizes):
        step(*batch(seed, size))
        optimizer.step()


def test_a_training_of_replays_ends_where_one_of_steps_ends() -> None:
    one, other = network(), network()

    def step(images: Tensor, labels: Tensor) -> None:
        one.zero_grad()
        PENALTY(one, images, labels).loss.backward()

    sizes = [5, 5, 3, 5]  # the third is a last, smaller batch
    trained(one, step, sizes)
    trained(other, captured(other), sizes)
    for mine, expected in zip(other.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


def test_the_terms_are_those_of_the_batch_and_carry_no_graph() -> None:
    model = network()
    gradient = captured(model)
    gradient(*batch(0))
    found = gradient(*batch(1))
    expected = PENALTY(network(), *batch(1))
    for name in ("loss", "data_loss", "penalty", "logits"):
        value = getattr(found, name)
        assert not value.requires_grad
        torch.testing.assert_close(value, getattr(expected, name).detach())


def test_the_recording_leaves_buffers_and_random_draws_alone() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.named_buffers()}
    gradient = captured(model)
    gradient._record = lambda run, device: ((), lambda: None)  # only the warm-up runs
    torch.manual_seed(7)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    with pytest.raises(ValueError):  # no outputs: the recording held nothing
        gradient(*batch(0))
    assert torch.equal(torch.rand(3), drawn)
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name])


def test_zeroed_gradients_are_found_again_by_the_optimizer() -> None:
    model = network()
    gradient = captured(model)
    gradient(*batch(0))
    first = gradients(model)
    model.zero_grad(set_to_none=True)
    gradient(*batch(0))
    assert len(first) == len(list(model.parameters())) == len(gradients(model))


def test_on_a_cpu_each_step_runs_as_usual() -> None:
    one, other = network(), network()
    CapturedGradient(one, PENALTY)(*batch(0))
    PENALTY(other, *batch(0)).loss.backward()
    for mine, expected in zip(gradients(one), gradients(other), strict=True):
        assert torch.equal(mine, expected)


RUNNING = SquaredNormPenalty(strength=0.1, backend=DoubleBackprop(statistics="running"))


def captured_as_on_a_gpu(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> CapturedGradient:
    """Record while nobody can read the generators, as during a CUDA graph's recording."""

    def recording(run: Run, device: torch.device) -> Any:
        def blind() -> tuple[Tensor, ...]:
            with monkeypatch.context() as patch:
                patch.setattr(model_passes, "is_recording", lambda _: True)
                return run()

        with held_statistics(model):  # what a GPU records does not run yet
            return recorded(blind, device)

    gradient = CapturedGradient(model, RUNNING)
    gradient._record, gradient._devices = recording, ("cpu",)
    return gradient


def test_a_penalty_at_running_statistics_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = network(), network()

    def step(images: Tensor, labels: Tensor) -> None:
        one.zero_grad()
        RUNNING(one, images, labels).loss.backward()

    trained(one, step, [5, 5])
    trained(other, captured_as_on_a_gpu(other, monkeypatch), [5, 5])
    states = other.state_dict(), one.state_dict()
    torch.testing.assert_close(*states, rtol=1e-12, atol=1e-12)


def test_draws_that_a_recording_cannot_repeat_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network().append(nn.Dropout(0.5))
    with pytest.raises(ModelError, match="repeats its draws"):
        captured_as_on_a_gpu(model, monkeypatch)(*batch(0))


def test_a_step_that_cannot_be_recorded_is_one_sentence() -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    gradient = captured(network())
    gradient._record = refuse  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"recorded as a CUDA graph.*\(operation not permitted"):
        gradient(*batch(0))
