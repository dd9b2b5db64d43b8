"""What a part of another package answers in a step is judged before it counts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import one_hot

from steadygrad.errors import SteadygradError
from steadygrad.training import TrainingConfig, train


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A part of any of these families that answers what it is told to."""

    answer: Callable[..., Any]
    learning_rate: float = 0.01
    title: str = "answers"

    def factor(self, done: float, epochs: int) -> Any:
        return self.answer(done, epochs)

    def decay(self, steps: int) -> Any:
        return self.answer(steps)

    def mix(self, images: Any, labels: Any, classes: int, generator: Any) -> Any:
        return self.answer(images, one_hot(labels, classes).float())

    def __call__(self, images: Any, generator: Any) -> Any:
        return self.answer(images)

    def build(self, parameters: Any = None, **_: Any) -> Any:
        return self.answer(parameters)

    def load(self, split: str, **_: Any) -> Any:
        return self.answer(split)


REFUSED: list[tuple[str, Callable[..., Any], str]] = [
    *(
        (setting, lambda *_, value=value: value, f"a factor >= 0 after 0 epochs, got {shown}")
        for setting in ("schedule", "ramp")
        for value, shown in ((float("nan"), "nan"), (-1, "-1"), ("half", "'half'"), (None, "None"))
    ),
    *(
        (
            "averaging",
            lambda _, value=value: value,
            rf"\[0, 1\] of the average at step 1, got {value}",
        )
        for value in (float("nan"), 1.5, None)
    ),
    ("mixing", lambda images, _: images, r"floating labels of shape \(16, 10\), got Tensor"),
    ("mixing", lambda images, soft: (images[:3], soft), "and floating labels"),
    ("mixing", lambda images, soft: (images, soft.argmax(dim=1)), "got .* and torch.int64 of"),
    ("mixing", lambda images, soft: (255 * images, soft), r"pixels in \[0, 1\], got values from 0"),
    (
        "augmentation",
        lambda images: images[:, :, :4],
        r"returned torch.float32 of shape \(16, 1, 4, 8\)",
    ),
    ("augmentation", lambda images: images.double(), "returned torch.float64"),
    ("augmentation", lambda _: None, "returned NoneType, not a tensor"),
    ("augmentation", lambda images: 255 * images, r"pixels in \[0, 1\], got values from 0 to 255"),
    ("augmentation", lambda images: images * float("nan"), r"finite pixels in \[0, 1\], got NaN"),
    ("optimizer", lambda _: "sgd", "to build a torch.optim.Optimizer, got str"),
    ("optimizer", torch.optim.LBFGS, "whose step needs no closure, got"),
    ("model", lambda _: "a network", "to build a torch.nn.Module, got str"),
    ("data", lambda _: ([0.5], [1]), "to load an ImageDataset, got tuple"),
]


@pytest.mark.parametrize(("setting", "answer", "message"), REFUSED)
def test_a_wrong_answer_is_refused_in_one_sentence(
    tmp_path: Path,
    config: Callable[..., TrainingConfig],
    setting: str,
    answer: Callable[..., Any],
    message: str,
) -> None:
    part: Any = Answers(answer=answer)
    settings: dict[str, Any] = {setting: (part,) if setting == "augmentation" else part}
    settings |= {"penalty": "norm:eps=0.01"} if setting == "ramp" else {}
    with pytest.raises(SteadygradError, match=message):
        train(config(**settings), tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_an_optimizer_without_a_rate_is_refused(
    tmp_path: Path, config: Callable[..., TrainingConfig]
) -> None:
    part: Any = Answers(answer=torch.optim.SGD, learning_rate="fast")  # type: ignore[arg-type]
    with pytest.raises(SteadygradError, match=r"expected a learning_rate .*, got 'fast'"):
        train(config(optimizer=part), tmp_path / "run")


def test_numbers_of_other_libraries_will_do(
    tmp_path: Path, config: Callable[..., TrainingConfig]
) -> None:
    numpy = pytest.importorskip("numpy")
    halves = Answers(answer=lambda *_: numpy.float32(0.5))
    run: dict[str, Any] = {"schedule": halves, "averaging": halves}
    trained = train(config(**run), tmp_path / "run")
    assert trained.history[0].learning_rate == 0.0025
