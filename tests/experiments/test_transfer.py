"""Table 2: who meets whose examples, and what is said of the outcome."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.attacks import FGSM
from steadygrad.datasets import UniformNoise, load_dataset
from steadygrad.evaluation import AccuracyPoint, accuracy
from steadygrad.experiments import (
    NOT_TRAINED,
    ExperimentOutcome,
    LineChart,
    NetworkStore,
    Table,
    Workbench,
    published_number,
    train_networks,
)
from steadygrad.experiments.printed import NETWORK_SPREAD, allowed_spread
from steadygrad.experiments.transfer import ordering_sentence
from steadygrad.experiments.transfer_pairs import TransferCell, TransferCells
from steadygrad.experiments.yeats2021.others_examples import TABLE2, fgsm_transfer

EXPERIMENT = fgsm_transfer({"mnist": DIGITS})
(GRID,) = EXPERIMENT.grids
PAPER = replace(TINY_SCALE, name="paper", is_comparable=True)
EPS = published_number("yeats2021", "table2_fgsm_transfer/epsilon/mnist")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> NetworkStore:
    store = NetworkStore(tmp_path_factory.mktemp("networks"))
    assert train_networks(EXPERIMENT.networks(PAPER, (0,)), store)
    return store


@pytest.fixture(scope="module")
def outcome(store: NetworkStore) -> ExperimentOutcome:
    return EXPERIMENT.measure(Workbench(store=store, scale=PAPER, seeds=(0,)))


def part_of(store: NetworkStore, folder: Path, wanted: Sequence[tuple[str, int]]) -> Workbench:
    """Return a bench with some of the networks alone, by label and seed."""
    for network in EXPERIMENT.networks(PAPER, (0,)):
        if (network.label.removeprefix("digits: "), network.config.seed) in wanted:
            (folder / network.folder_name).symlink_to(store.path(network))
    return Workbench(store=NetworkStore(folder), scale=PAPER, seeds=(0,))


def rows(table: Table) -> dict[str, dict[str, object]]:
    return {str(row[0]): dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_sources_and_victims_have_seeds_of_their_own() -> None:
    networks = EXPERIMENT.networks(PAPER, (0, 1))
    assert len({network.digest for network in networks}) == len(networks) == 2 * (6 + 12)
    frozen = [n for n in networks if getattr(n.config.model, "second_order", "") == "frozen_phase"]
    assert [network.config.seed for network in frozen] == [100, 100, 101, 101]
    assert {n.config.seed for n in networks if UniformNoise(0.1) in n.config.augmentation} == {
        100,
        101,
    }


def test_the_whole_table_trains_nothing_twice_and_has_every_printed_cell() -> None:
    whole = TABLE2
    networks = whole.networks(PAPER, (0,))
    assert len({network.digest for network in networks}) == len(networks) == 3 * 18
    assert len(set(whole.printed_paths())) == 60


def test_every_printed_cell_is_compared_once(outcome: ExperimentOutcome) -> None:
    assert tuple(entry.path for entry in outcome.compared) == EXPERIMENT.printed_paths()
    assert all(entry.obstacle is None for entry in outcome.compared)
    assert "stand in" not in outcome.caption


def test_a_cell_is_the_mean_over_both_directions(
    outcome: ExperimentOutcome, store: NetworkStore
) -> None:
    data = load_dataset("digits", "test", limit=PAPER.attacked)
    models = {
        (network.label.removeprefix("digits: "), network.config.seed): store.load(network).model
        for network in EXPERIMENT.networks(PAPER, (0,))
    }

    def shown(source: tuple[str, int], victim: tuple[str, int]) -> float:
        examples = FGSM(eps=EPS)(models[source], data.images(), data.labels)
        return 100 * accuracy(models[victim], examples, data.labels)

    real, complex_gr = "real, no defence", "complex, beta 64"
    expected = {
        "from_real/complex_gr/mnist/0": [
            shown((real, 0), (complex_gr, 100)),
            shown((real, 100), (complex_gr, 0)),
        ],
        "from_real/real_standard/mnist/0": [
            shown((real, 0), (real, 100)),
            shown((real, 100), (real, 0)),
        ],
        "from_complex/self/mnist/1": [
            shown((complex_gr, seed), (complex_gr, seed)) for seed in (0, 100)
        ],
    }
    found = {entry.path: entry for entry in outcome.compared}
    for path, (first, second) in expected.items():
        entry = found[f"table2_fgsm_transfer/{path}"]
        assert entry.ours == pytest.approx((first + second) / 2)
        assert entry.tolerance == pytest.approx(max(NETWORK_SPREAD, abs(first - second)))


def test_every_source_in_turn_leaves_no_more_than_the_best_of_them(
    outcome: ExperimentOutcome,
) -> None:
    table = rows(outcome.tables["table2-mnist"])
    assert next(iter(table)) == "self"
    assert len(table) == 13
    for name, row in table.items():
        if name != "self":
            worst, sources = str(row["every source in turn"]).split(maxsplit=1)
            cells = [str(v).split()[0] for k, v in row.items() if k.startswith("from ")]
            assert sources == "(6 of 6 sources)"
            assert float(worst) <= min(map(float, cells))
    assert "(95.8)" in str(table["complex, beta 64"]["from real, beta 64"])


def test_the_figure_names_its_victims_and_has_the_printed_points(
    outcome: ExperimentOutcome,
) -> None:
    (chart,) = outcome.charts["table2"]
    assert isinstance(chart, LineChart)
    assert len(chart.series) == 6
    assert len(chart.printed) == 20
    assert len(chart.x_names) == 5
    assert chart.x_names[1] == "real,\nno defence"
    (beyond,) = outcome.charts["table2-beyond"]
    assert isinstance(beyond, LineChart)
    assert len(beyond.series) == 6
    assert not beyond.printed
    assert len(beyond.x_names) == 8
    assert beyond.x_names[2] == "complex,\nbeta 64,\nfrozen phase"


def test_the_figure_has_no_place_for_a_victim_without_numbers(
    store: NetworkStore, tmp_path: Path
) -> None:
    real, frozen = ("real, no defence", 0), ("complex, beta 64, frozen phase", 100)
    outcome = EXPERIMENT.measure(part_of(store, tmp_path, [real, frozen]))
    (chart,) = outcome.charts["table2-beyond"]
    assert isinstance(chart, LineChart)
    assert chart.x_names == ("complex,\nbeta 64,\nfrozen phase",)
    (series,) = chart.series
    assert max(series.x) == pytest.approx(0, abs=0.5)


def test_a_second_call_attacks_nothing_anew(
    outcome: ExperimentOutcome, store: NetworkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> torch.Tensor:
        raise AssertionError("attacked again")

    monkeypatch.setattr(FGSM, "__call__", refuse)
    again = EXPERIMENT.measure(Workbench(store=store, scale=PAPER, seeds=(0,)))
    assert again.compared == outcome.compared


def test_networks_of_one_seed_stand_in_for_missing_ones_but_never_for_themselves(
    store: NetworkStore, tmp_path: Path
) -> None:
    real, complex_gr = "real, no defence", "complex, beta 64"
    bench = part_of(store, tmp_path, [(real, 0), (complex_gr, 0)])
    outcome = EXPERIMENT.measure(bench)
    table = rows(outcome.tables["table2-mnist"])
    assert str(table[complex_gr][f"from {real}"]).split()[0].endswith("*")
    assert str(table[real][f"from {real}"]).startswith("–")
    assert str(table[real]["every source in turn"]).endswith("* (1 of 6 sources)")
    (entry,) = (e for e in outcome.compared if e.path.endswith("from_real/complex_gr/mnist/0"))
    assert "of one seed but different trainings" in entry.note
    assert "of the same seed but of another training are used" in outcome.caption


def test_one_network_is_enough_to_measure_it_alone(store: NetworkStore, tmp_path: Path) -> None:
    outcome = EXPERIMENT.measure(part_of(store, tmp_path, [("complex, no defence", 100)]))
    measured = [entry.path for entry in outcome.compared if entry.ours is not None]
    assert measured == ["table2_fgsm_transfer/from_complex/self/mnist/0"]
    assert {e.obstacle for e in outcome.compared if e.ours is None} == {NOT_TRAINED}
    assert "cannot be judged" in outcome.caption


def test_a_victim_that_is_no_source_is_not_attacked(store: NetworkStore, tmp_path: Path) -> None:
    bench = part_of(store, tmp_path, [("complex, beta 64, frozen phase", 100)])
    outcome = EXPERIMENT.measure(bench)
    assert outcome.charts == {}
    assert all(entry.ours is None for entry in outcome.compared)


def test_other_data_or_less_training_are_named_as_obstacles(store: NetworkStore) -> None:
    partial = fgsm_transfer({"mnist": replace(DIGITS, caution="other data")})
    outcome = partial.measure(Workbench(store=store, scale=TINY_SCALE, seeds=(0,)))
    assert {entry.obstacle for entry in outcome.compared} == {
        "run at scale smoke, not the paper's; other data"
    }
    assert "not comparable with the paper: other data" in outcome.caption


class MadeUpCells(TransferCells):
    """Accuracies by the victim's way of training, whatever the source."""

    def __init__(self, right: dict[str, int]) -> None:
        super().__init__(())
        object.__setattr__(self, "right", right)

    def cell(self, source: str, victim: str) -> TransferCell | None:
        right: dict[str, int] = self.right  # type: ignore[attr-defined] # set above
        way = next(way for way, network in GRID.networks.items() if network.variant == victim)
        return TransferCell(points=(AccuracyPoint(EPS, right.get(way, 500), 1000),))


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ({"complex, penalised": 900}, "holds: it is ahead of the best other victim for 4 of 4"),
        ({"complex, penalised": 501}, "(4 of 4 on digits), beyond chance for 0"),
        ({"complex, penalised": 500}, "does not hold: it is ahead of the best other victim for 0"),
        ({"real, penalised": 900}, "beyond chance for 0, and behind beyond chance for 4"),
        (
            {"complex, penalised": 900, "gelu, penalised": 950},
            "victims too it does not hold: it is ahead of the best other victim for 0 of 6",
        ),
    ],
    ids=str,
)
def test_the_claim_is_judged_column_by_column(right: dict[str, int], said: str) -> None:
    grid = replace(GRID, cells=MadeUpCells(right))
    assert said in ordering_sentence(EXPERIMENT.claim, [grid], EXPERIMENT.rows)


def test_what_goes_beyond_the_paper_is_printed_nowhere() -> None:
    assert GRID.printed("real", "real") == 36.2
    assert GRID.printed("gelu, penalised", "real") is None
    assert GRID.printed("real", "complex, penalised, frozen phase") is None


def test_the_spread_is_at_least_two_points() -> None:
    near, far = AccuracyPoint(0.1, 90, 100), AccuracyPoint(0.1, 80, 100)
    assert allowed_spread([near]) == allowed_spread([near, near]) == NETWORK_SPREAD
    assert allowed_spread([near, far]) == pytest.approx(10)
