"""Six small networks, trained within a minute each, that benchmarks attack at radii in the middle.

Three sets, three ways to train: plainly, under the squared-L1 penalty, and on PGD(4). ``keep`` is a
folder of weights from an earlier call.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from mnist_networks import datasets_folder
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.datasets import load_dataset
from steadygrad.errors import DatasetError
from steadygrad.models import build_model, load_weights
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.tensor_file import write_tensors

__all__ = ["NETWORKS", "SmallNetwork", "TrainedNetwork", "trained_networks"]


@dataclass(frozen=True, kw_only=True)
class SmallNetwork:
    """How a network is trained, and the radii at which it keeps about half of its images.

    strength: of the squared-L1 penalty; attack_eps: of PGD(4), to train on; 0 for neither.
    """

    name: str
    dataset: Literal["mnist", "digits", "cifar10"]
    model: str
    examples: int
    epochs: int
    linf: float
    l2: float
    strength: float = 0.0
    attack_eps: float = 0.0


NETWORKS = (
    SmallNetwork(
        name="digits-relu, plain",
        dataset="digits",
        model="digits-real",
        examples=1400,
        epochs=8,
        linf=0.08,
        l2=0.5,
    ),
    SmallNetwork(
        name="digits-gelu, penalty",
        dataset="digits",
        model="digits-gelu",
        examples=1400,
        epochs=8,
        strength=0.05,
        linf=0.12,
        l2=0.7,
    ),
    SmallNetwork(
        name="digits-complex, PGD(4)",
        dataset="digits",
        model="digits-complex",
        examples=1400,
        epochs=6,
        attack_eps=0.15,
        linf=0.17,
        l2=0.9,
    ),
    SmallNetwork(
        name="mnist-complex, penalty",
        dataset="mnist",
        model="yeats2021-mnist-complex",
        examples=3000,
        epochs=3,
        strength=0.01,
        linf=0.08,
        l2=1.2,
    ),
    SmallNetwork(
        name="mnist-gelu, PGD(4)",
        dataset="mnist",
        model="yeats2021-mnist-gelu",
        examples=3000,
        epochs=2,
        attack_eps=0.15,
        linf=0.2,
        l2=2.0,
    ),
    SmallNetwork(
        name="cifar10-gelu, penalty",
        dataset="cifar10",
        model="",
        examples=4000,
        epochs=5,
        strength=0.001,
        linf=2 / 255,
        l2=0.25,
    ),
)


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network in eval mode, and test images of its set."""

    about: SmallNetwork
    model: nn.Module
    images: Tensor
    labels: Tensor


def trained_networks(
    count: int, only: Sequence[str] = (), keep: Path | None = None
) -> Iterator[TrainedNetwork]:
    """Yield each network with ``count`` test images; a set that is not there is left out, told.

    only: parts of names; none takes all.
    """
    for about in NETWORKS:
        if only and not any(part in about.name for part in only):
            continue
        folder = datasets_folder()
        try:
            train = load_dataset(about.dataset, "train", data_dir=folder, limit=about.examples)
            test = load_dataset(about.dataset, "test", data_dir=folder, limit=count)
        except DatasetError as error:
            print(f"{about.name} is left out: {error}")
            continue
        path = None if keep is None else keep / f"{about.name.replace(', ', '-')}.safetensors"
        model = _model(about)
        if path is not None and path.exists():
            load_weights(model, path)
        else:
            _train(model, about, train.images(), train.labels)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_tensors(path, dict(model.state_dict()), {})
        yield TrainedNetwork(about, model.eval(), test.images(), test.labels)


def _model(about: SmallNetwork) -> nn.Module:
    torch.manual_seed(0)
    if about.model:
        return build_model(about.model)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(32, 32, 4, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(2048, 10),
    )


def _train(model: nn.Module, about: SmallNetwork, images: Tensor, labels: Tensor) -> None:
    torch.manual_seed(1)
    penalty = SquaredNormPenalty(strength=about.strength)
    attack = PGD(eps=about.attack_eps, steps=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(about.epochs):
        for batch in torch.randperm(len(images)).split(64):  # type: ignore[no-untyped-call] # torch leaves it untyped
            shown, truth = images[batch], labels[batch]
            if about.attack_eps:
                shown = attack(model, shown, truth)
            optimizer.zero_grad()
            loss = (
                penalty(model, shown, truth).loss
                if about.strength
                else cross_entropy(model(shown), truth)
            )
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
    model.zero_grad(set_to_none=True)
