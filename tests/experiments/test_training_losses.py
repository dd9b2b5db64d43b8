"""Figure 4 shows what the metrics say: means over seeds, last epochs, and nothing untrained."""

from dataclasses import replace
from pathlib import Path

import pytest

from digits_recipe import DIGITS, TINY_SCALE
from made_up_training import made_up_training
from steadygrad.datasets import GaussianNoise
from steadygrad.experiments import ExperimentOutcome, LineChart, Network, NetworkStore, Workbench
from steadygrad.experiments.training_losses import TrainingLosses
from steadygrad.experiments.yeats2021.training import panel
from steadygrad.reports.experiments import read_record
from written_results import written_results

RECIPE = replace(
    DIGITS,
    settings={**DIGITS.settings, "test_images": 40},
    penalised_noise=GaussianNoise(0.05),
)
EXPERIMENT = TrainingLosses(
    paper="yeats2021", stem="figure4", claim="", panel=panel(RECIPE, (0, 8))
)
SCALE = replace(TINY_SCALE, epochs=0.5)
SEEDS = (0, 1)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(store=NetworkStore(tmp_path / "networks"), scale=SCALE, seeds=SEEDS)


def network(bench: Workbench, label: str, seed: int) -> Network:
    networks = EXPERIMENT.networks(bench.scale, SEEDS)
    return next(n for n in networks if (n.label, n.config.seed) == (label, seed))


def made_up(bench: Workbench, label: str, seed: int, *losses: float) -> None:
    """Leave a training whose losses are these; the test loss lies 1 above, accuracies follow."""
    epochs = [
        {
            "data_loss": loss,
            "test_loss": loss + 1,
            "train_accuracy": 1 - loss / 4,
            "test_accuracy": 1 - loss / 2,
        }
        for loss in losses
    ]
    made_up_training(bench.store, network(bench, label, seed), epochs)


@pytest.fixture
def outcome(bench: Workbench) -> ExperimentOutcome:
    made_up(bench, "real, beta 8", 0, 1.0, 0.5)
    made_up(bench, "real, beta 8", 1, 2.0, 0.75)
    made_up(bench, "complex, beta 8", 0, 0.5, 0.25)
    made_up(bench, "real GELU, beta 8", 1, 0.25, 0.125)
    return EXPERIMENT.measure(bench)


def test_every_kind_is_trained_with_and_without_the_penalty() -> None:
    networks = EXPERIMENT.networks(SCALE, SEEDS)
    assert len({n.digest for n in networks}) == len(networks) == (3 * 2 + 1) * 2
    assert {n.config.epochs for n in networks} == {2}
    assert EXPERIMENT.printed_paths() == ()


def test_lines_are_means_over_the_seeds_that_are_there(outcome: ExperimentOutcome) -> None:
    training, test = outcome.charts["figure4"]
    assert isinstance(training, LineChart)
    assert isinstance(test, LineChart)
    lines = {line.label: line for line in training.series}
    assert list(lines) == ["real, beta 8", "complex, beta 8", "real GELU, beta 8"]
    assert lines["real, beta 8"].x == (1.0, 2.0)
    assert lines["real, beta 8"].y == (1.5, 0.625)
    assert test.series[0].y == (2.5, 1.625)
    assert test.series[1].y == (1.5, 1.25)


def test_the_table_has_the_last_epoch_of_every_network(outcome: ExperimentOutcome) -> None:
    table = outcome.tables["figure4"]
    rows = [row[:7] for row in table.rows]
    assert rows == [
        ("real, beta 8", 0, 2, "0.5000", "1.5000", "87.50", "75.00"),
        ("real, beta 8", 1, 2, "0.7500", "1.7500", "81.25", "62.50"),
        ("complex, beta 8", 0, 2, "0.2500", "1.2500", "93.75", "87.50"),
        ("real GELU, beta 8", 1, 2, "0.1250", "1.1250", "96.88", "93.75"),
    ]
    assert outcome.compared == ()


def test_the_complex_network_is_set_beside_the_others(outcome: ExperimentOutcome) -> None:
    table = outcome.tables["figure4-complex-against-real"]
    assert [row[:2] for row in table.rows] == [
        ("beta 8", "training loss (nats)"),
        ("beta 8", "test loss (nats)"),
        ("beta 8", "training accuracy (%)"),
        ("beta 8", "test accuracy (%)"),
    ]
    assert table.rows[0][2:] == ("0.2500", "0.6250", "0.1250", "yes", "no")
    assert table.rows[3][2:] == ("87.50", "68.75", "93.75", "yes", "no")


def test_so_is_the_one_trained_by_the_rule_of_the_papers_code(bench: Workbench) -> None:
    made_up(bench, "real, beta 8", 0, 1.0, 0.5)
    made_up(bench, "complex, beta 8, frozen phase", 0, 0.5, 0.75)
    table = EXPERIMENT.measure(bench).tables["figure4-complex-against-real"]
    assert {row[0] for row in table.rows} == {"beta 8, frozen phase"}
    assert table.rows[0][2:] == ("0.7500", "0.5000", "", "no", "")


def test_the_caption_says_what_sets_networks_apart(outcome: ExperimentOutcome) -> None:
    assert "nothing was chosen by them" in outcome.caption
    assert "augmented, in training mode" in outcome.caption
    assert "noise gaussian:0.05, as in the paper" in outcome.caption
    assert outcome.caption.count("complex, beta 8") >= 1


def test_digits_from_training_to_the_folder(tmp_path: Path) -> None:
    (alone,) = (m for m in panel(RECIPE, (8,)).members if m.kind == "complex")
    one = replace(EXPERIMENT, panel=replace(EXPERIMENT.panel, members=(alone,)))
    store = NetworkStore(tmp_path / "networks")
    folder = written_results(one, scale=SCALE, seeds=(0,), store=store, out=tmp_path)
    record = read_record(folder)
    assert record is not None
    assert record["figures"] == ["figure4"]
    bench = Workbench(store=store, scale=SCALE, seeds=(0,))
    last = store.metrics(network(bench, "complex, beta 8", 0))[-1]
    assert f"{last.data_loss:.4f}" in (folder / "figure4.csv").read_text()
    assert "nats" in (folder / "figure4.svg").read_text()
