"""Settings compared on validation images: what is shown, and on which images."""

from pathlib import Path

import pytest

from digits_recipe import TINY_SCALE
from steadygrad.attacks import PGD
from steadygrad.experiments import Network, NetworkStore, Workbench
from steadygrad.experiments.settings_grid import SettingsGrid
from steadygrad.experiments.white_box import Curves
from steadygrad.training import TrainingConfig

HELD_OUT = 40


def network(**settings: object) -> Network:
    chosen: dict[str, object] = {
        "data": "digits",
        "model": "digits-gelu",
        "epochs": 1,
        "limit_train": 64,
        "validation_size": HELD_OUT,
        "device": "cpu",
    }
    return Network("", TrainingConfig.from_dict(chosen | settings))


def grid() -> SettingsGrid:
    plain, noisy = network(), network(augmentation=["uniform:0.1"])
    return SettingsGrid(
        paper="recipe",
        stem="grid",
        title="noise and penalty",
        data_title="digits",
        axes={
            "noise": {"none": plain, "uniform 0.1": noisy},
            "penalty": {"none": plain, "norm": network(penalty="norm:eps=0.1")},
        },
        validation_size=HELD_OUT,
        curves=Curves(
            attack=PGD(eps=0.0, steps=2),
            name="PGD(2)",
            protocol="PGD(2)",
            eps_values=(0.05, 0.1),
            judged_eps=0.1,
        ),
        worst_eps=(0.1,),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> NetworkStore:
    """The networks of the first axis, and none of the second's own."""
    kept = NetworkStore(tmp_path_factory.mktemp("networks"))
    for each in grid().networks(TINY_SCALE, (0,))[:2]:
        kept.train(each)
    return kept


def test_a_network_on_two_axes_is_trained_once() -> None:
    labels = [each.label for each in grid().networks(TINY_SCALE, (0,))]
    assert labels == ["noise: none", "noise: uniform 0.1", "penalty: norm"]


def test_an_axis_with_nothing_of_its_own_yet_is_in_the_table_and_not_drawn(
    store: NetworkStore,
) -> None:
    outcome = grid().measure(Workbench(store=store, scale=TINY_SCALE, seeds=(0,)))
    assert [chart.title for chart in outcome.charts["grid"]] == ["noise"]
    assert [row[:2] for row in outcome.tables["grid"].rows] == [
        ("noise", "none"),
        ("noise", "uniform 0.1"),
        ("penalty", "none"),
    ]


def test_validation_images_are_judged_and_kept_as_such(store: NetworkStore) -> None:
    bench = Workbench(store=store, scale=TINY_SCALE, seeds=(0,))
    grid().measure(bench)
    (first, *_) = grid().networks(TINY_SCALE, (0,))
    kept = [path.read_text() for path in Path(store.path(first), "answers").glob("*.json")]
    assert kept and all(f'"validation_size": {HELD_OUT}' in text for text in kept)
    images = Workbench(store=store, scale=TINY_SCALE, seeds=(0,), validation_size=HELD_OUT)
    assert images.image_set("digits", None).split == "validation"
    assert len(images.image_set("digits", None)) == HELD_OUT
