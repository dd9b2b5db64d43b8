"""Standard AutoAttack over many images: attacked and kept in parts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.attacks import PGD
from steadygrad.experiments import Network, NetworkStore, Workbench, standard_autoattack
from steadygrad.experiments.standard_autoattack import KEY, StandardAutoAttack
from steadygrad.experiments.worst_case import BatteryAttack, attacked_in_turn

EPS = 0.1
SCALE = replace(TINY_SCALE, attacked=100)
NETWORK = DIGITS.plain("real", seed=0)
EXPERIMENT = StandardAutoAttack(
    paper="made-up",
    stem="left",
    title="what is left",
    data_title="digits",
    attacked_networks=(NETWORK,),
    eps_values=(EPS,),
    images=50,
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    # In place of minutes of AutoAttack: an attack that draws nothing, so that parts change nothing.
    monkeypatch.setattr(
        standard_autoattack, "AutoAttack", lambda eps: PGD(eps=eps, random_start=False)
    )
    monkeypatch.setattr(standard_autoattack, "PART", 20)
    store = NetworkStore(tmp_path)
    assert store.train(SCALE.of(NETWORK))
    return Workbench(store=store, scale=SCALE, seeds=(0,))


def answers(bench: Workbench, network: Network) -> list[dict[str, object]]:
    files = (bench.store.path(network) / "answers").glob("*.json")
    return [json.loads(file.read_text())["key"] for file in files]


def test_the_parts_together_are_the_whole(bench: Workbench) -> None:
    network = SCALE.of(NETWORK)
    battery = (BatteryAttack(KEY, KEY, PGD(eps=EPS, random_start=False)),)
    whole = attacked_in_turn(bench, network, EPS, battery, EXPERIMENT.images)
    ((label, _, clean, left, _),) = EXPERIMENT.measure(bench).tables["left"].rows
    assert label == NETWORK.label
    assert clean == round(100 * whole.correct / 50, 1)
    assert left == round(100 * whole.point.accuracy, 1)
    assert 0 < whole.point.correct < whole.correct


def test_each_part_is_kept_and_the_first_is_what_a_smaller_run_measured(bench: Workbench) -> None:
    replace(EXPERIMENT, images=20).measure(bench)
    ((only,),) = [answers(bench, SCALE.of(NETWORK))]
    EXPERIMENT.measure(bench)
    parts = answers(bench, SCALE.of(NETWORK))
    assert only in parts
    assert sorted((part.get("first", 0), part["n"]) for part in parts) == [
        (0, 20),
        (20, 40),
        (40, 50),
    ]
