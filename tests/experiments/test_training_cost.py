"""Minutes of a plan: steps times what one was measured to take, or what training really took."""

from dataclasses import replace
from pathlib import Path

import pytest

from steadygrad.experiments import (
    Network,
    NetworkStore,
    experiment_by_name,
    experiment_names,
    scale_by_name,
    training_cost,
)
from steadygrad.experiments.training_cost import (
    estimated_seconds,
    objective_name,
    plan,
    step_count,
    step_seconds,
    step_seconds_record,
    total_seconds,
)
from steadygrad.training import TrainingConfig

MNIST = TrainingConfig(data="mnist", model="yeats2021-mnist-real", epochs=30)
DIGITS = TrainingConfig(data="digits", model="digits-real", limit_train=64, epochs=1)


@pytest.fixture
def _known_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"yeats2021-mnist-real, batch 64": {"plain": 0.02, "pgd(4)": 0.09, "gn": 0.06}}
    monkeypatch.setattr(training_cost, "step_seconds_record", lambda: {"seconds": seconds})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "plain"),
        ({"penalty": "squared-norm:strength=0.1"}, "l1"),
        (
            {
                "penalty": "squared-norm:strength=0.1",
                "model": "yeats2021-mnist-complex:second_order=frozen_phase",
            },
            "l1, frozen phase",
        ),
        (
            {"penalty": "squared-norm:strength=0.1", "update_similarity": True},
            "l1, update similarity",
        ),
        (
            {"penalty": "squared-norm:strength=0.1,backend=finite-difference"},
            "l1, finite_difference",
        ),
        ({"penalty": "gn:strength=0.1"}, "gn"),
        ({"attack": "pgd:eps=0.1,steps=8"}, "pgd(8)"),
        (
            {"attack": "mixture:attack='pgd:eps=0.1,steps=8'"},
            "mixture(pgd(8), 0.5)",
        ),
        ({"precision": "bf16"}, "plain, bf16"),
        ({"augmentation": ("uniform:0.1",)}, "plain"),
    ],
    ids=str,
)
def test_what_a_step_costs_is_named(changes: dict[str, object], name: str) -> None:
    complex_network = replace(MNIST, **({"model": "yeats2021-mnist-complex"} | changes))  # type: ignore[arg-type] # settings of a test
    assert objective_name(complex_network) == name


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 30 * 938),
        ({"validation_size": 10_000}, 30 * 782),
        ({"limit_train": 65}, 30 * 2),
        ({"limit_train": 70_000, "epochs": 1}, 938),
        ({"data": "svhn_10k", "batch_size": 100}, 30 * 80),
        ({"data": "folder:a-folder-of-ones-own"}, None),
    ],
    ids=str,
)
def test_the_last_partial_batch_is_a_step(changes: dict[str, object], steps: int | None) -> None:
    assert step_count(replace(MNIST, **changes)) == steps  # type: ignore[arg-type] # as above


@pytest.mark.usefixtures("_known_steps")
def test_pgd_of_other_steps_counts_as_so_many_plain_ones() -> None:
    attacked = replace(MNIST, attack="pgd:eps=0.1,steps=4")  # type: ignore[arg-type] # read as a part
    assert step_seconds(attacked) == 0.09
    assert step_seconds(replace(MNIST, attack="pgd:eps=0.1,steps=8")) == pytest.approx(9 * 0.02)
    assert step_seconds(replace(MNIST, attack="n-fgsm:eps=0.1")) == pytest.approx(2 * 0.02)
    assert estimated_seconds(MNIST) == pytest.approx(30 * 938 * 0.02)


@pytest.mark.usefixtures("_known_steps")
def test_a_penalty_in_every_fourth_step_costs_a_quarter_of_what_it_adds() -> None:
    penalised = replace(MNIST, penalty="gn:strength=0.1", ramp="ramp:5", penalty_every=4)  # type: ignore[arg-type] # read as parts
    assert step_seconds(penalised) == pytest.approx(0.75 * 0.02 + 0.25 * 0.06)
    assert step_seconds(replace(penalised, batch_size=32)) is None


@pytest.mark.usefixtures("_known_steps")
@pytest.mark.parametrize(
    "changes",
    [
        {"penalty": "squared-norm:strength=0.1"},
        {"batch_size": 32},
        {"model": "yeats2021-mnist-gelu"},
    ],
    ids=str,
)
def test_what_was_never_measured_is_unknown(changes: dict[str, object]) -> None:
    assert estimated_seconds(replace(MNIST, **changes)) is None  # type: ignore[arg-type] # as above


def test_a_trained_network_costs_what_it_took(tmp_path: Path) -> None:
    store, network = NetworkStore(tmp_path), Network("a", DIGITS)
    (entry,) = plan([network], store)
    assert (entry.is_trained, entry.seconds) == (False, None)
    other = Network("b", replace(DIGITS, seed=1))
    store.train(network)
    taken = sum(epoch.seconds for epoch in store.metrics(network))
    (entry,) = plan([network], store)
    assert entry.is_trained
    assert entry.seconds == taken > 0
    assert total_seconds([entry]) == taken
    assert total_seconds(plan([network, other], store)) is None


@pytest.mark.usefixtures("_known_steps")
def test_a_plan_costs_the_sum_of_what_is_missing(tmp_path: Path) -> None:
    networks = [Network("a", MNIST), Network("b", replace(MNIST, seed=1))]
    entries = plan(networks, NetworkStore(tmp_path))
    assert not any(entry.is_trained for entry in entries)
    assert total_seconds(entries) == pytest.approx(2 * 30 * 938 * 0.02)


def test_the_measurement_says_where_it_was_made() -> None:
    record = step_seconds_record()
    assert record["threads"] == 1
    assert record["processor"]
    assert record["torch"]
    assert all(taken > 0 for found in record["seconds"].values() for taken in found.values())


@pytest.mark.parametrize("name", experiment_names())
def test_every_planned_network_was_measured(name: str) -> None:
    networks = experiment_by_name(name).networks(scale_by_name("paper"), (0,))
    unknown = {
        f"{network.config.model}: {objective_name(network.config)}"
        for network in networks
        if estimated_seconds(network.config) is None
    }
    assert not unknown, "run benchmarks/step_seconds.py"
