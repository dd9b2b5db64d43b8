"""In which steps the penalty counts, and by how much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from steadygrad.errors import ModelError
from steadygrad.penalties import NormPenalty
from steadygrad.training import SilentProgress, StepMetrics, TrainingConfig, train
from steadygrad.training.session import TrainingSession

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]


class Penalties(SilentProgress):
    """Notes every step's penalty."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        self.steps.append(latest.penalty)


def test_a_ramp_lets_the_penalty_in_step_by_step(tmp_path: Path, config: Make) -> None:
    penalties = {}
    still = "sgd:learning_rate=1e-12,momentum=0,weight_decay=0"
    for ramp in ("none", "ramp:2", "ramp:0.5"):
        seen = Penalties()
        settings = config(
            penalty="squared-norm:strength=0.1", ramp=ramp, optimizer=still, limit_train=32
        )
        train(settings, tmp_path / ramp.replace(":", ""), progress=seen)
        penalties[ramp] = seen.steps
    full = penalties["none"]
    assert min(full) > 0
    # Two steps an epoch: after 0, 1/2, 1 and 3/2 epochs.
    for ramp, shares in (("ramp:2", (0, 0.25, 0.5, 0.75)), ("ramp:0.5", (0, 1, 1, 1))):
        expected = [share * whole for share, whole in zip(shares, full, strict=True)]
        assert penalties[ramp] == pytest.approx(expected, rel=1e-5)


def test_a_penalty_in_every_third_step_counts_three_times_there(
    tmp_path: Path, config: Make
) -> None:
    penalties = {}
    still = "sgd:learning_rate=1e-12,momentum=0,weight_decay=0"
    for every in (1, 3):
        seen = Penalties()
        settings = config(
            penalty="squared-norm:strength=0.1",
            penalty_every=every,
            optimizer=still,
            limit_train=32,
        )
        train(settings, tmp_path / str(every), progress=seen)
        penalties[every] = seen.steps
    # Two steps an epoch: the count goes on from one epoch to the next.
    expected = [3 * penalties[1][0], 0, 0, 3 * penalties[1][3]]
    assert penalties[3] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [({"penalty_every": 2}, {1, 3}), ({"ramp": "ramp:epochs=0.5,after=1"}, {1, 2})],
)
def test_steps_in_which_the_penalty_does_not_count_do_not_compute_it(
    tmp_path: Path,
    config: Make,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    left_out: set[int],
) -> None:
    taken: list[bool] = []
    step, penalty = TrainingSession.step, NormPenalty.__call__

    def noted_step(*arguments: Any) -> Tensor:
        taken.append(False)
        return step(*arguments)

    def noted_penalty(*arguments: Any, **options: Any) -> Any:
        taken[-1] = True
        return penalty(*arguments, **options)

    monkeypatch.setattr(TrainingSession, "step", noted_step)
    monkeypatch.setattr(NormPenalty, "__call__", noted_penalty)
    train(config(penalty="norm:eps=0.1", limit_train=32, **settings), tmp_path / "run")
    assert taken == [index not in left_out for index in range(4)]


def test_what_a_penalty_refuses_is_refused_before_the_plain_epochs(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Hardsigmoid()))
    seen = Penalties()
    settings = config(penalty="norm:eps=0.1", ramp="ramp:epochs=1,after=1")
    with pytest.raises(ModelError, match="no second derivative"):
        train(settings, tmp_path / "run", progress=seen)
    assert not seen.steps
