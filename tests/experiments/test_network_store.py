"""A store trains each configuration once, and never hands out another."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from steadygrad.errors import CheckpointError, OutputError, UnknownNameError
from steadygrad.experiments import (
    Network,
    NetworkStore,
    distinct,
    missing,
    scale_by_name,
    train_networks,
)
from steadygrad.time_budget import TimeBudget
from steadygrad.training import LineProgress, TrainingConfig

CONFIG = TrainingConfig(data="digits", model="digits-real", limit_train=64, epochs=1)


@pytest.fixture
def store(tmp_path: Path) -> NetworkStore:
    return NetworkStore(tmp_path / "networks")


def test_a_network_is_trained_once(store: NetworkStore, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network("plain", CONFIG)
    assert missing([network], store) == (network,)
    assert store.train(network, LineProgress())
    assert "epoch 1/1" in capsys.readouterr().err
    assert store.train(network, LineProgress())
    assert capsys.readouterr().err == ""
    assert missing([network], store) == ()
    assert len(store.metrics(network)) == 1


def test_where_the_data_lies_makes_no_other_network() -> None:
    here = replace(CONFIG, data="mnist")
    moved = replace(here, data="mnist:data_dir=elsewhere", checkpoint_seconds=5.0, device="cpu")
    assert Network("a", here).digest == Network("b", moved).digest
    averaged = [replace(config, averaging="ema:0.9") for config in (here, moved)]
    assert Network("a", averaged[0]).digest == Network("b", averaged[1]).digest


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"epochs": 2}, {"penalty": "gn:strength=0.1"}, {"averaging": "ema:0.9"}],
    ids=str,
)
def test_what_decides_the_weights_makes_another(change: dict[str, object]) -> None:
    assert Network("a", CONFIG).digest != Network("a", replace(CONFIG, **change)).digest


def test_equal_configurations_are_one_network_under_the_first_label() -> None:
    networks = [Network("first", CONFIG), Network("other", replace(CONFIG, seed=1))]
    assert [n.label for n in distinct([*networks, Network("again", CONFIG)])] == ["first", "other"]


def test_a_folder_with_another_configuration_is_refused(store: NetworkStore) -> None:
    network, other = Network("a", CONFIG), Network("b", replace(CONFIG, seed=1))
    store.train(network)
    store.path(network).rename(store.path(other))
    with pytest.raises(CheckpointError, match="holds a network of another seed"):
        store.load(other)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "metrics.jsonl"])
@pytest.mark.parametrize("left", [0, 4, 60])
def test_a_damaged_network_is_named_before_anything_is_measured(
    store: NetworkStore, name: str, left: int
) -> None:
    if name == "metrics.jsonl" and left == 0:
        pytest.skip("a run without a finished epoch is not damaged: it goes on")
    network = Network("plain", CONFIG)
    store.train(network)
    file = store.path(network) / name
    file.write_bytes(file.read_bytes()[:left])
    for asked in (store.has, store.load, store.metrics, lambda one: missing([one], store)):
        with pytest.raises(CheckpointError) as caught:
            asked(network)
        assert str(file) in str(caught.value)
        assert f"delete the folder {store.path(network)}" in str(caught.value)


def test_a_network_that_is_not_there_is_named(store: NetworkStore) -> None:
    with pytest.raises(CheckpointError, match="plain is not trained yet"):
        store.load(Network("plain", CONFIG))


def test_an_unfinished_run_is_missing_and_goes_on(store: NetworkStore) -> None:
    half, whole = Network("half", CONFIG), Network("whole", replace(CONFIG, epochs=2))
    store.train(half)
    store.path(half).rename(store.path(whole))
    config = store.path(whole) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"epochs": 2}))
    assert missing([whole], store) == (whole,)
    assert store.train(whole)
    assert [epoch.epoch for epoch in store.metrics(whole)] == [1, 2]


def test_side_by_side_gives_the_networks_of_one_by_one(store: NetworkStore, tmp_path: Path) -> None:
    networks = [Network(f"seed {seed}", replace(CONFIG, seed=seed)) for seed in (0, 1)]
    assert train_networks(networks, store, jobs=2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = NetworkStore(tmp_path / "alone")
        assert train_networks(networks, alone)
    finally:
        torch.set_num_threads(threads)
    for network in networks:
        expected = alone.load(network).model.state_dict()
        for name, tensor in store.load(network).model.state_dict().items():
            torch.testing.assert_close(tensor, expected[name])


SHORT = Network("short", replace(CONFIG, data="mnist", model="yeats2021-mnist-gelu", batch_size=64))
LONG = Network("long", replace(SHORT.config, epochs=100))
UNKNOWN = Network("unknown", CONFIG)


@pytest.mark.parametrize(
    ("minutes", "order"), [(None, "unknown, long, short"), (9.0, "short, long, unknown")]
)
def test_within_a_limit_of_time_the_shortest_come_first(
    store: NetworkStore,
    monkeypatch: pytest.MonkeyPatch,
    minutes: float | None,
    order: str,
) -> None:
    trained: list[tuple[str, bool]] = []

    def note(_: NetworkStore, network: Network, __: object, left: float | None) -> bool:
        trained.append((network.label, left is None))
        return True

    monkeypatch.setattr(NetworkStore, "train", note)
    assert train_networks([UNKNOWN, LONG, SHORT], store, budget=TimeBudget(minutes))
    assert trained == [(label, minutes is None) for label in order.split(", ")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_when_time_is_over_nothing_is_trained_to_its_end(store: NetworkStore, jobs: int) -> None:
    networks = [Network(f"seed {seed}", replace(CONFIG, seed=seed)) for seed in (0, 1)]
    assert not train_networks(networks, store, jobs=jobs, budget=TimeBudget(1e-6))
    assert missing(networks, store) == tuple(networks)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = NetworkStore(tmp_path / "file")
    assert not store.has(Network("plain", CONFIG))
    with pytest.raises(OutputError, match=r"expected a folder for the networks, but .*file is a"):
        store.train(Network("plain", CONFIG))


def test_a_misspelt_scale_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"got 'smoek' \(did you mean 'smoke'\?\)"):
        scale_by_name("smoek")
