"""Two processes measure what one measures, to the last bit, and fail together."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distributed_world import in_processes
from steadygrad.attacks import PGD, DeepFool
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.evaluation import (
    AuditResult,
    accuracy,
    accuracy_curve,
    audit,
    bisected_curve,
    deepfool_margins,
    images_divided,
    transfer_matrix,
)
from steadygrad.evaluation.divided_batches import (
    each_batch,
    from_main_rank,
    same_model_everywhere,
)
from steadygrad.experiments import Network, NetworkStore, train_networks_in_processes
from steadygrad.store import Store
from steadygrad.training import TrainingConfig

DRAWS = PGD(eps=0.1, steps=3, restarts=2)
SETTINGS: dict[str, Any] = {"batch_size": 4}  # 21 images: 6 batches, the last with a single image


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(21, 1, 6, 6, generator=generator), torch.arange(21) % 3


def network(seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.GELU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


class Counted(nn.Module):
    """Counts the images that it is asked about; fails where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.body, self.asked, self.fails = network(), 0, fails

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise ModelError("no logits today")
        self.asked += len(x)
        logits: Tensor = self.body(x)
        return logits


def labelled() -> tuple[Tensor, Tensor]:
    """Return images with labels that the network gets right, but for the first."""
    shown, labels = images()
    with torch.no_grad():
        labels = network()(shown).argmax(dim=1)
    labels[0] = (labels[0] + 1) % 3
    return shown, labels


def measured(folder: Path) -> dict[str, Any]:
    """Return everything that evaluations find, as plain values and tensors."""
    shown, labels = labelled()
    grid = (0.0, 0.05, 0.1, 0.2)
    model = network()
    swept = accuracy_curve(model, shown, labels, DRAWS, grid, **SETTINGS)
    grown = Store(folder / "unfinished").growing({"asked": "batches"})
    again = accuracy_curve(model, shown, labels, DRAWS, grid, outcomes=grown, **SETTINGS)
    halves = bisected_curve(model, shown, labels, DRAWS, grid, **SETTINGS)
    margins = deepfool_margins(model, shown, DeepFool(steps=5), **SETTINGS)
    models = {"a": network(), "b": network(1)}
    store = Store(folder / "examples")
    matrix = transfer_matrix(models, shown, labels, DRAWS, store=store, **SETTINGS)
    found = audited(model, folder / "audit")
    return {
        "accuracy": accuracy(model, shown, labels, batch_size=4),
        "curves": [each.broken_at for each in (swept, again, halves)],
        "batches kept": len(grown),
        "margins": (margins.lengths, margins.relative, margins.broken),
        "matrix": (matrix.correct, matrix.self_correct, matrix.clean_victims),
        "audit": [
            (each.name, each.attacked, each.broken, each.queries, each.gradients)
            for each in found.outcomes
        ],
        "verdict": (found.verdict, found.findings, found.fitness, found.untested),
        "shown": None if found.gallery is None else found.gallery.adversarial,
    }


def audited(model: nn.Module, out: Path) -> AuditResult:
    shown, labels = labelled()
    attacks = ("fgsm", "pgd:steps=3,restarts=2", "random-noise")
    return audit(model, shown, labels, eps=0.05, budget=None, attacks=attacks, out=out, **SETTINGS)


def config(seed: int) -> TrainingConfig:
    settings: dict[str, Any] = {"data": "digits", "model": "digits-real", "device": "cpu"}
    return TrainingConfig(limit_train=32, epochs=1, seed=seed, **settings)


def two_ranks(rank: int, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shown, labels = labelled()
    with images_divided() as ranks:
        found["ranks"] = (ranks.rank, ranks.count)
        found["results"] = measured(folder)
        counted = Counted()
        accuracy_curve(counted, shown, labels, DRAWS, (0.05,), **SETTINGS)
        found["asked"] = counted.asked
        # A network that each process draws anew, as a builder of one's own may.
        drawn = network(rank)
        same_model_everywhere(drawn)
        found["weights"] = [parameter.detach() for parameter in drawn.parameters()]
        found["pids"] = each_batch(3, lambda number: (number, os.getpid()))
        found["stopped"] = each_batch(6, lambda number: number, is_over=lambda: rank == 0)
        for name, work in {
            "failed": lambda: accuracy(Counted(fails=rank == 1), shown, labels, batch_size=4),
            "unsendable": lambda: each_batch(2, fails_strangely),
            "main": lambda: from_main_rank(partial(refuses, rank)),
        }.items():
            try:
                work()
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
    found["undivided"] = accuracy(Counted(), shown, labels) if rank == 0 else None
    networks = [seeded(seed) for seed in range(3)]
    found["trained"] = train_networks_in_processes(networks, NetworkStore(folder / "networks"))
    return found


def seeded(seed: int) -> Network:
    return Network(f"seed {seed}", config(seed))


def fails_strangely(number: int) -> None:
    class LocalError(Exception):
        pass

    if number == 1:
        raise LocalError("a class that no other process knows")


def refuses(rank: int) -> None:
    raise HyperparameterError(f"expected nothing of process {rank}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return in_processes(partial(two_ranks, folder=folder))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measured(tmp_path_factory.mktemp("one"))
    finally:
        torch.set_num_threads(threads)


def assert_equal(found: Any, expected: Any) -> None:
    if isinstance(expected, Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize(
    "name",
    ["accuracy", "curves", "margins", "matrix", "audit", "verdict", "shown"],
)
def test_two_processes_find_what_one_finds_to_the_bit(
    found: list[dict[str, Any]], alone: dict[str, Any], name: str
) -> None:
    assert [each["ranks"] for each in found] == [(0, 2), (1, 2)]
    for each in found:
        assert_equal(each["results"][name], alone[name])


def test_the_work_is_divided(found: list[dict[str, Any]]) -> None:
    counted, (shown, labels) = Counted(), labelled()
    accuracy_curve(counted, shown, labels, DRAWS, (0.05,), **SETTINGS)
    assert sum(each["asked"] for each in found) == counted.asked
    assert max(each["asked"] for each in found) < 0.7 * counted.asked
    first, second, third = found[0]["pids"]
    assert first[1] != second[1]
    assert third == (2, first[1])
    assert found[0]["pids"] == found[1]["pids"]


def test_only_the_main_process_writes(
    found: list[dict[str, Any]], folder: Path, alone: dict[str, Any]
) -> None:
    assert found[0]["results"]["batches kept"] == alone["batches kept"] > 0
    assert found[1]["results"]["batches kept"] == 0
    assert len(list((folder / "examples").iterdir())) == 2
    assert (folder / "audit" / "audit.html").is_file()


def test_what_two_processes_kept_one_goes_on_with(
    found: list[dict[str, Any]], folder: Path
) -> None:
    attacks = folder / "audit" / "attacks"
    before = {path.name: path.stat().st_mtime_ns for path in attacks.iterdir()}
    audited(network(), folder / "audit")
    assert {path.name: path.stat().st_mtime_ns for path in attacks.iterdir()} == before


def test_all_have_the_main_process_s_network(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert_equal(each["weights"], [p.detach() for p in network().parameters()])


def test_time_that_ran_out_in_the_main_process_ends_the_round_of_all(
    found: list[dict[str, Any]],
) -> None:
    assert [each["stopped"] for each in found] == [[0, 1], [0, 1]]


def test_an_error_of_one_process_is_raised_in_all(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["failed"] == "ModelError: no logits today"
        assert each["main"] == "HyperparameterError: expected nothing of process 0"
    assert found[1]["unsendable"] == "LocalError: a class that no other process knows"
    assert found[0]["unsendable"] == (
        "RuntimeError: LocalError: a class that no other process knows"
    )


def test_without_a_declaration_a_process_measures_by_itself(found: list[dict[str, Any]]) -> None:
    assert found[0]["undivided"] == pytest.approx(20 / 21)


def test_each_process_trains_some_of_the_networks(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    assert [each["trained"] for each in found] == [True, True]
    store, alone = NetworkStore(folder / "networks"), NetworkStore(tmp_path)
    for seed in range(3):
        one = Network("alone", config(seed))
        alone.train(one)
        expected = alone.load(one).model.state_dict()
        for name, tensor in store.load(seeded(seed)).model.state_dict().items():
            torch.testing.assert_close(tensor, expected[name])
