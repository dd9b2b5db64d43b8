"""Laws of steadygrad.training.given_data: loaders that a program gave."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, TensorDataset

from distributed_world import in_processes
from steadygrad.errors import DatasetError
from steadygrad.models import ObjectModel
from steadygrad.training import GivenImages, LoaderImages, TrainingConfig, train
from steadygrad.training.session import TrainingSession

IMAGES = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 1, 4, 4) / 16
DATA = TensorDataset(IMAGES, torch.arange(16) % 2)


def config(loader: Any, epochs: int, validation: Any = None) -> TrainingConfig:
    torch.manual_seed(0)
    model = ObjectModel.of(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))
    held_out = None if validation is None else LoaderImages(validation, 2)
    data = GivenImages.of(LoaderImages(loader, 2), held_out)
    return TrainingConfig(data=data, model=model, epochs=epochs, device="cpu")


def refusal(rank: int) -> str:
    sampler = DistributedSampler(DATA, num_replicas=2, rank=rank)
    try:
        train(config(DataLoader(DATA, batch_size=4, sampler=sampler), 1), "never written")
    except DatasetError as error:
        return str(error)
    except Exception as error:  # what the others are told
        return repr(error)
    return "trained"


def test_processes_refuse_a_loader_that_gives_each_of_them_other_images() -> None:
    sentence = (
        "expected the loader of TensorDataset without DistributedSampler, which gives each of 2 "
        "processes other images"
    )
    assert all(sentence in answer for answer in in_processes(refusal))
    assert not Path("never written").exists()


class Stating(TensorDataset):
    def __init__(self, classes: Any) -> None:
        super().__init__(*DATA.tensors)
        self.classes = classes


@pytest.mark.parametrize(
    ("classes", "num_classes", "names"),
    [
        (np.array(["cat", "dog"]), None, ("cat", "dog")),
        (torch.arange(2), None, ("0", "1")),
        (["cat", "dog"], 2, ("cat", "dog")),
        (["cat", "dog"], 3, ("0", "1", "2")),
        (2, 3, ("0", "1", "2")),
    ],
)
def test_classes_are_named_by_the_data_set_and_counted_as_asked(
    classes: Any, num_classes: int | None, names: tuple[str, ...]
) -> None:
    loader = DataLoader(Stating(classes), batch_size=4)
    assert LoaderImages(loader, num_classes).class_names == names


def test_a_data_set_that_states_a_number_of_classes_does_not_name_them() -> None:
    for classes in (2, "two", []):
        with pytest.raises(DatasetError, match=r"expected the number of classes of Stating"):
            LoaderImages(DataLoader(Stating(classes), batch_size=4))


class WorkersEnd:
    """A loader whose workers are ended by a Ctrl-C at its n-th reading, as a terminal's is."""

    classes = ("even", "odd")

    def __init__(
        self, reading: int | None = None, action: Callable[[], None] = lambda: None
    ) -> None:
        self.reading, self.action, self.readings = reading, action, 0

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in DataLoader(DATA, batch_size=4, shuffle=True):
            self.readings += 1
            if self.readings == self.reading:
                self.action()
                raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
            yield images, labels


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("reading", [3, 6])  # the first one is that of the images' size
def test_ctrl_c_that_ends_the_workers_ends_the_run_with_a_checkpoint(
    tmp_path: Path, reading: int
) -> None:
    whole = train(config(WorkersEnd(), 2, WorkersEnd()), tmp_path / "whole")
    ended = {"training": (reading, None), "validation": (None, reading)}
    for name, readings in ended.items():
        learned, held_out = (WorkersEnd(each, press_ctrl_c) for each in readings)
        cut = config(learned, 2, held_out)
        assert not train(cut, tmp_path / name).is_finished
        done = train(cut, tmp_path / name, resume=True)
        assert done.is_finished
        for ours, theirs in zip(whole.history, done.history, strict=True):
            assert replace(ours, seconds=0) == replace(theirs, seconds=0)


ENDED = {"training": (3, None), "validation": (None, 6)}
"""At which reading of its two loaders the workers of a process are ended."""


def cut_off(rank: int, folder: Path) -> list[bool]:
    """Return whether runs are finished in which the second process alone loses its workers."""
    finished = []
    for name, readings in ENDED.items():
        own = readings if rank == 1 else (None, None)
        learned, held_out = (WorkersEnd(each, press_ctrl_c) for each in own)
        finished.append(train(config(learned, 2, held_out), folder / name).is_finished)
    return finished


def test_ctrl_c_that_ends_the_workers_of_one_process_ends_all_with_a_checkpoint(
    tmp_path: Path,
) -> None:
    assert in_processes(partial(cut_off, folder=tmp_path)) == [[False] * 2] * 2
    whole = train(config(WorkersEnd(), 2, WorkersEnd()), tmp_path / "whole")
    for name in ENDED:
        done = train(config(WorkersEnd(), 2, WorkersEnd()), tmp_path / name, resume=True)
        assert done.is_finished
        losses = [[run.history[n].data_loss for n in range(2)] for run in (whole, done)]
        assert losses[0] == pytest.approx(losses[1])


def test_a_loader_that_fails_by_itself_ends_the_run_with_its_error(tmp_path: Path) -> None:
    failing = config(WorkersEnd(reading=3), 2)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        train(failing, tmp_path / "run")


@pytest.mark.parametrize("is_of_batches", [False, True])
def test_a_sampler_has_another_order_in_each_epoch_and_the_same_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_of_batches: bool
) -> None:
    seen: list[list[float]] = []
    step = TrainingSession.step

    def noted(session: TrainingSession, images: Tensor, labels: Tensor) -> Tensor:
        seen.append((16 * images[:, 0, 0, 0]).tolist())
        return step(session, images, labels)

    monkeypatch.setattr(TrainingSession, "step", noted)
    sampler = DistributedSampler(DATA, num_replicas=1, rank=0)
    loader: DataLoader[Any] = DataLoader(DATA, batch_size=4, sampler=sampler)
    if is_of_batches:
        loader = DataLoader(DATA, batch_sampler=BatchSampler(sampler, 4, drop_last=False))
    train(config(loader, 2), tmp_path / "whole")
    whole = list(seen)
    assert whole[:4] != whole[4:]
    seen.clear()
    train(config(loader, 1), tmp_path / "run")
    train(config(loader, 2), tmp_path / "run", resume=True)
    assert seen == whole
