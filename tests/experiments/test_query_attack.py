"""NES beside PGD: what is asked at which scale, and what is compared with print."""

from dataclasses import replace
from pathlib import Path

import pytest

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.attacks import NES, PGD
from steadygrad.evaluation import read_evaluation
from steadygrad.experiments import (
    NOT_TRAINED,
    SCALES,
    ExperimentOutcome,
    LineChart,
    NetworkStore,
    Workbench,
    train_networks,
)
from steadygrad.experiments.yeats2021 import others_examples
from steadygrad.experiments.yeats2021.others_examples import query_attack

EXPERIMENT = query_attack(DIGITS)
TITLES = tuple(one.title for one in EXPERIMENT.tried(TINY_SCALE))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    store = NetworkStore(tmp_path_factory.mktemp("networks"))
    assert train_networks(EXPERIMENT.networks(TINY_SCALE, (0,)), store)
    return Workbench(store=store, scale=TINY_SCALE, seeds=(0,))


@pytest.fixture(scope="module")
def outcome(bench: Workbench) -> ExperimentOutcome:
    return EXPERIMENT.measure(bench)


def test_every_scale_has_its_images_and_queries() -> None:
    sizes = {name: (s.queried, EXPERIMENT.queries_at(s)) for name, s in SCALES.items()}
    assert sizes == {"smoke": (8, 64), "quick": (100, 4000), "paper": (1000, 4000)}


def test_the_paper_row_climbs_the_logit_and_the_other_the_cross_entropy() -> None:
    on_logit, on_entropy, _ = (one.attack for one in EXPERIMENT.tried(SCALES["paper"]))
    assert on_logit == NES(eps=0.0, queries=4000, steps=8, loss="logit")
    assert on_entropy == replace(on_logit, loss="cross-entropy")


def test_the_paper_trains_five_networks_and_ours_are_fourteen() -> None:
    networks = others_examples.NES.networks(SCALES["paper"], (0,))
    assert len({network.digest for network in networks}) == len(networks) == 14
    attacked = [network.config.attack for network in networks if network.config.attack]
    assert attacked and all(attack == PGD(eps=0.2, steps=4) for attack in attacked)


def test_every_printed_accuracy_is_compared_once(outcome: ExperimentOutcome) -> None:
    assert tuple(entry.path for entry in outcome.compared) == EXPERIMENT.printed_paths()
    assert {entry.obstacle for entry in outcome.compared} == {"run at scale smoke, not the paper's"}


def test_the_worst_of_all_is_no_better_than_any_attack(outcome: ExperimentOutcome) -> None:
    table = outcome.tables["nes"]
    assert len(table.rows) == 14
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        attacked = [cells[name] for name in ("clean", *TITLES)]
        assert all(isinstance(cell, float) for cell in attacked)
        assert cells["worst of all"] <= min(attacked)  # type: ignore[operator, type-var] # floats


def test_caption_and_figure_say_how_much_was_asked(outcome: ExperimentOutcome) -> None:
    assert "the first 8 test images" in outcome.caption
    assert "64 queries an image" in outcome.caption
    (chart,) = outcome.charts["nes"]
    assert isinstance(chart, LineChart)
    assert [series.label for series in chart.series] == list(TITLES)
    assert len(chart.printed) == 5


def test_what_was_measured_is_kept_with_the_network(
    bench: Workbench, outcome: ExperimentOutcome
) -> None:
    run = bench.store.path(EXPERIMENT.networks(TINY_SCALE, (0,))[0])
    kept = [read_evaluation(path).curve.attack for path in run.glob("evaluations/*.json")]
    losses = sorted(attack["loss"] for attack in kept if attack["name"] == "nes")
    assert losses == ["cross-entropy", "logit"]
    assert EXPERIMENT.measure(bench) == outcome


def test_measurements_give_the_same_without_the_networks(
    bench: Workbench, outcome: ExperimentOutcome, tmp_path: Path
) -> None:
    without = replace(bench, store=NetworkStore(tmp_path), earlier=bench.measurements)
    assert EXPERIMENT.measure(without) == outcome


def test_one_network_is_enough(bench: Workbench, tmp_path: Path) -> None:
    network = EXPERIMENT.networks(TINY_SCALE, (0,))[5]
    (tmp_path / network.folder_name).symlink_to(bench.store.path(network))
    outcome = EXPERIMENT.measure(replace(bench, store=NetworkStore(tmp_path)))
    assert [row[0] for row in outcome.tables["nes"].rows] == [network.label]
    assert {entry.obstacle for entry in outcome.compared} == {NOT_TRAINED}
