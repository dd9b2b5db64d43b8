"""Figure 5 and the supplement's Figure 1: points, means and claims of made-up trainings."""

from dataclasses import replace
from pathlib import Path

import pytest

from digits_recipe import DIGITS, TINY_SCALE
from made_up_training import made_up_training
from steadygrad.experiments import LineChart, NetworkStore, Table, Workbench
from steadygrad.experiments.epoch_points import LossAndPenalty, UpdateSimilarity
from steadygrad.experiments.training_histories import Panel
from steadygrad.experiments.yeats2021.training import panel
from steadygrad.training import SGD
from written_results import written_results

RECIPE = replace(DIGITS, title="first", penalised={"update_similarity": True})
OTHER = replace(
    DIGITS,
    title="second",
    settings={**DIGITS.settings, "optimizer": SGD(learning_rate=0.01)},
    caution="half of the data",
    penalised={"update_similarity": True},
)
PANELS = (panel(RECIPE, (0, 8)), panel(OTHER, (0, 2)))
SIMILARITY = UpdateSimilarity(paper="yeats2021", stem="figure5", panels=PANELS, last_epochs=2)
PENALTY = LossAndPenalty(paper="yeats2021", stem="supplement-figure1", panels=PANELS, last_epochs=2)
SCALE = replace(TINY_SCALE, epochs=0.75)
SEEDS = (0, 1)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(store=NetworkStore(tmp_path / "networks"), scale=SCALE, seeds=SEEDS)


def made_up(
    bench: Workbench,
    label: str,
    seed: int,
    losses: tuple[float, ...],
    similarities: tuple[float, ...] | None = None,
    penalties: tuple[float, ...] | None = None,
    of: Panel = PANELS[0],
) -> None:
    networks = of.networks(SCALE, SEEDS)
    network = next(n for n in networks if (n.label, n.config.seed) == (label, seed))
    epochs = [{"data_loss": loss, "penalty": 0.0, "update_similarity": None} for loss in losses]
    for number, epoch in enumerate(epochs):
        if similarities is not None:
            epoch |= {"update_similarity": similarities[number], "penalty": 0.5}
        if penalties is not None:
            epoch["penalty"] = penalties[number]
    made_up_training(bench.store, network, epochs)


def rows(table: Table, *columns: str) -> list[tuple[object, ...]]:
    places = [table.columns.index(column) for column in columns]
    return [tuple(row[place] for place in places) for row in table.rows]


def series(chart: object) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    assert isinstance(chart, LineChart)
    assert all(line.drawn == "points" for line in chart.series)
    return {line.label: (line.x, line.y) for line in chart.series}


def test_a_point_is_an_epoch_of_a_seed_and_early_ones_are_left_out(bench: Workbench) -> None:
    made_up(bench, "real, no defence", 0, (9.0, 0.5, 0.25))
    made_up(bench, "complex, beta 8", 0, (9.0, 2.0, 1.0), (0.1, 0.5, 0.7))
    made_up(bench, "complex, beta 8", 1, (9.0, 4.0, 3.0), (0.2, 0.6, 0.8))
    outcome = SIMILARITY.measure(bench)
    (chart,) = outcome.charts["figure5"]
    assert series(chart) == {
        "real, no defence": ((1.0, 1.0), (0.5, 0.25)),
        "complex, beta 8": ((0.5, 0.7, 0.6, 0.8), (2.0, 1.0, 4.0, 3.0)),
    }
    means = rows(outcome.tables["figure5"], "network", "seeds", "epochs", "similarity")
    assert means == [("real, no defence", 1, 2, "1.0000"), ("complex, beta 8", 2, 2, "0.6500")]
    assert rows(outcome.tables["figure5"], "training loss") == [("0.3750",), ("2.5000",)]
    assert outcome.tables["figure5-claims"].rows == ()
    assert "stand at 1 by definition" in outcome.caption
    assert "second" not in outcome.caption


def test_lower_on_the_mean_is_enough_for_similarity_but_not_for_loss(bench: Workbench) -> None:
    made_up(bench, "complex, beta 8", 0, (9.0, 1.0, 3.0), (0.0, 0.9, 0.2))
    made_up(bench, "real, beta 8", 0, (9.0, 2.0, 3.0), (0.0, 0.8, 0.6))
    made_up(bench, "real GELU, beta 8", 1, (9.0, 1.5, 3.5), (0.0, 0.1, 0.3))
    table = SIMILARITY.measure(bench).tables["figure5-claims"]
    assert rows(table, "claim", "other network", "epochs that agree", "holds") == [
        ("lower similarity", "real, beta 8", "1 of 2", "yes"),
        ("strictly lower training loss", "real, beta 8", "1 of 2", "no"),
        ("lower similarity", "real GELU, beta 8", "1 of 2", "no"),
        ("strictly lower training loss", "real GELU, beta 8", "2 of 2", "yes"),
    ]
    assert rows(table, "mean", "its value")[:2] == [("0.5500", "0.7000"), ("2.0000", "2.5000")]


def test_the_rule_of_the_papers_code_is_asked_too(bench: Workbench) -> None:
    made_up(bench, "complex, beta 8, frozen phase", 0, (9.0, 1.0, 3.0), (0.0, 0.9, 0.2))
    made_up(bench, "real, beta 8", 0, (9.0, 2.0, 3.0), (0.0, 0.8, 0.6))
    table = SIMILARITY.measure(bench).tables["figure5-claims"]
    assert rows(table, "complex network", "claim", "holds") == [
        ("complex, beta 8, frozen phase", "lower similarity", "yes"),
        ("complex, beta 8, frozen phase", "strictly lower training loss", "no"),
    ]


def test_the_penalty_is_converted_to_norms(bench: Workbench) -> None:
    made_up(bench, "complex, beta 8", 0, (9.0, 2.0, 1.0), (0.5,) * 3, (7.0, 0.5, 0.5))
    outcome = PENALTY.measure(bench)
    (chart,) = outcome.charts["supplement-figure1"]
    assert series(chart) == {"complex, beta 8": ((0.5, 0.5), (2.0, 1.0))}
    # In batches of 32, beta 8 is the strength 8 / 1024.
    assert rows(
        outcome.tables["supplement-figure1"],
        "penalty (nats)",
        "squared norm of an image's gradient",
        "the paper's, before beta",
    ) == [("0.5000", "64.000", "0.062500")]


def test_both_terms_are_compared_epoch_by_epoch(bench: Workbench) -> None:
    made_up(bench, "complex, beta 8", 0, (9.0, 1.0, 1.0), (0.5,) * 3, (1.0, 0.2, 0.4))
    made_up(bench, "real, beta 8", 0, (9.0, 2.0, 2.0), (0.5,) * 3, (1.0, 0.3, 0.3))
    table = PENALTY.measure(bench).tables["supplement-figure1-both-terms"]
    assert rows(table, "other network", "loss lower", "penalty lower", "both lower") == [
        ("real, beta 8", "2 of 2", "1 of 2", "1 of 2")
    ]


def test_a_partial_data_set_says_so_in_the_caption(bench: Workbench) -> None:
    made_up(bench, "real, beta 2", 0, (1.0, 1.0, 1.0), (0.5,) * 3, of=PANELS[1])
    for experiment in (SIMILARITY, PENALTY):
        outcome = experiment.measure(bench)
        assert "second: half of the data." in outcome.caption
        assert "first" not in outcome.caption


def test_the_networks_of_both_figures_are_the_same() -> None:
    ours, theirs = (
        {network.digest for network in experiment.networks(SCALE, SEEDS)}
        for experiment in (SIMILARITY, PENALTY)
    )
    assert len(ours) == 2 * (3 * 2 + 1) * 2
    assert theirs < ours
    assert all(n.config.penalty.strength > 0 for n in PENALTY.networks(SCALE, SEEDS))
    assert SIMILARITY.printed_paths() == PENALTY.printed_paths() == ()


@pytest.mark.parametrize("whole", [SIMILARITY, PENALTY], ids=lambda one: one.stem)
def test_digits_from_training_to_the_folder(
    whole: UpdateSimilarity | LossAndPenalty, tmp_path: Path
) -> None:
    (alone,) = (m for m in panel(RECIPE, (8,)).members if m.kind == "complex")
    experiment = replace(whole, panels=(replace(PANELS[0], members=(alone,)),))
    figure = whole.stem
    store = NetworkStore(tmp_path / "networks")
    folder = written_results(experiment, scale=TINY_SCALE, seeds=(0,), store=store, out=tmp_path)
    (network,) = experiment.networks(TINY_SCALE, (0,))
    (epoch,) = store.metrics(network)
    assert epoch.update_similarity is not None
    measured = epoch.update_similarity if figure == "figure5" else epoch.penalty
    assert f"{measured:.4f}" in (folder / f"{figure}.csv").read_text()
    assert "training cross-entropy (nats)" in (folder / f"{figure}.svg").read_text()
