"""What a paper on structured penalties shows, on digits: noise, covariances, lines and tables."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.attacks import PGD, LongRangeCorrelated
from steadygrad.covariance import Dataset, Exponential
from steadygrad.evaluation.corruptions import Fog, Shift
from steadygrad.experiments import (
    Interval,
    LineChart,
    MatrixImage,
    Measurements,
    NetworkStore,
    Workbench,
    train_networks,
)
from steadygrad.experiments.accuracies import mean_accuracy
from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.method_rows import Method, MethodAttacks
from steadygrad.experiments.method_table import MethodTable, PrintedColumns
from steadygrad.experiments.network_pictures import NoiseGallery, SoftmaxPanels
from steadygrad.experiments.noise_curves import NoiseCurves, NoisePanel
from steadygrad.experiments.perturbation_covariances import (
    CovarianceFunctions,
    LongRangeMatrices,
    PerturbationMatrices,
)
from steadygrad.experiments.printed import PrintedDifference
from steadygrad.experiments.roth2018.recipes import PAPER
from steadygrad.experiments.unseen import UnseenDisturbances

PLAIN, PENALISED = DIGITS.plain("real"), DIGITS.penalised_network("real", 1)
SCALE = replace(TINY_SCALE, whole_grids=True, steps=2, queries=5, worst_case=4)
ROWS = ("table1/mnist/clean", "table1/mnist/gn")

NOISE = NoiseCurves(
    paper=PAPER,
    stem="noise",
    title="noise",
    data_title="digits",
    x_label="decay length",
    x_name="decay length",
    of_paper=(PENALISED, PLAIN),
    panels=(
        NoisePanel(
            stem="noise",
            title="in deviations",
            noises={
                length: LongRangeCorrelated(
                    eps=0.3,
                    covariance=Exponential(length, 0.0),
                    samples=3,
                    unit="image",
                )
                for length in (1.0, 4.0)
            },
        ),
        NoisePanel(
            stem="noise-of-images",
            title="covariance of the images",
            noises={0.3: LongRangeCorrelated(eps=0.3, samples=2, covariance=Dataset())},
        ),
    ),
    printed=(
        PrintedDifference(
            quantity="penalised minus plain",
            path="lrc_attack_cifar10/claim_sgr_minus_gn_at_zeta_16_eps_0.3_at_least",
            first=PENALISED,
            second=PLAIN,
            eps=4.0,
            is_lower_bound=True,
        ),
    ),
    gallery=NoiseGallery(networks=(PLAIN,), eps=0.3, unit="image", decay_lengths=(1.0, 2.0)),
)
TABLE = MethodTable(
    paper=PAPER,
    stem="table",
    title="methods on digits",
    data_title="digits",
    methods=(
        Method(network=PLAIN, row=ROWS[0], is_source=True),
        Method(network=PENALISED, row=ROWS[1]),
        Method(network=DIGITS.plain("gelu")),
    ),
    attacks=MethodAttacks(
        eps_values=(0.0, 0.05, 0.1), transfer_eps=(0.0, 0.1), steps=2, transfer_steps=3
    ),
    printed=PrintedColumns(
        clean=0,
        attacks={"random noise": 1, "PGD": 2, "targeted PGD": 3},
        transfer={ROWS[0]: 4},
        deepfool=9,
    ),
)
UNSEEN = UnseenDisturbances(
    paper=PAPER,
    stem="unseen",
    title="unseen",
    data_title="digits",
    compared_networks=(PLAIN, PENALISED),
    corruptions={"fog": Fog(), "shift": Shift(1)},
    attacks={"L2": PGD(eps=0.5, steps=2, norm="l2")},
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    store = NetworkStore(tmp_path_factory.mktemp("networks"))
    for experiment in (NOISE, TABLE, UNSEEN):
        assert train_networks(experiment.networks(SCALE, (0,)), store)
    return Workbench(store=store, scale=SCALE, seeds=(0,))


def test_noise_is_measured_at_every_place_of_every_panel(bench: Workbench) -> None:
    outcome = NOISE.measure(bench)
    curves, bars = outcome.charts["noise"]
    assert isinstance(curves, LineChart) and isinstance(bars, LineChart)
    assert {line.x for line in curves.series} == {(1.0, 4.0)}
    assert bars.x_names == (PENALISED.label, PLAIN.label)
    (grid,) = outcome.charts["noise-samples"]
    assert grid.titles[:4] == ("ζ = 1", "ζ = 1", "ζ = 2", "ζ = 2")
    (compared,) = outcome.compared
    rows = {row[0]: row for row in outcome.tables["noise"].rows}
    ours = float(rows[PENALISED.label][-1]) - float(rows[PLAIN.label][-1])  # type: ignore[arg-type] # cells of numbers
    assert compared.ours == pytest.approx(ours)
    assert outcome.tables["noise"].columns[-1] == "decay length 4"


def test_a_lower_bound_is_reproduced_from_above(bench: Workbench) -> None:
    (compared,) = NOISE.measure(bench).compared
    above = replace(compared, ours=60.0, interval=(50.0, 70.0), obstacle=None)
    assert above.verdict == "reproduced"
    assert replace(above, is_lower_bound=False).verdict == "differs"
    assert replace(above, ours=0.0, interval=(-5.0, 5.0)).verdict == "differs"


def test_a_method_meets_examples_of_an_independent_network(bench: Workbench) -> None:
    networks = TABLE.networks(SCALE, (0,))
    assert [network.config.seed for network in networks] == [0, 0, 0, 100]
    outcome = TABLE.measure(bench)
    table = outcome.tables["table"]
    assert [row[0] for row in table.rows] == [m.network.label for m in TABLE.methods]
    where = table.columns.index(f"from {PLAIN.label}")
    assert all(isinstance(row[where + 1], Interval) for row in table.rows)
    paths = [entry.path for entry in outcome.compared]
    assert tuple(sorted(paths)) == tuple(sorted(TABLE.printed_paths()))
    assert {path.rsplit("/", 1)[1] for path in paths} == {"0", "1", "2", "3", "4", "9"}


def test_the_mean_over_radii_is_the_area_under_the_curve(bench: Workbench) -> None:
    attack = TABLE.attacks.by_column(SCALE)["PGD"]
    points = bench.points(bench.scale.of(PLAIN), attack, TABLE.attacks.eps_values, SCALE.attacked)
    first, middle, last = (point.accuracy for point in points)
    rows = TABLE.measure(bench).tables["table"].rows
    columns = TABLE.measure(bench).tables["table"].columns
    found = rows[0][columns.index("PGD")]
    assert found == round(100 * (first / 4 + middle / 2 + last / 4), 1)


def test_without_a_partner_a_transfer_is_left_out(bench: Workbench, tmp_path: Path) -> None:
    store = NetworkStore(tmp_path / "networks")
    assert train_networks(TABLE.networks(SCALE, (0,))[:3], store)
    outcome = TABLE.measure(replace(bench, store=store))
    where = outcome.tables["table"].columns.index(f"from {PLAIN.label}")
    assert {row[where] for row in outcome.tables["table"].rows} == {None}
    transferred = [entry for entry in outcome.compared if entry.path.endswith("/4")]
    assert {entry.verdict for entry in transferred} == {"not comparable"}


@pytest.mark.parametrize("experiment", [NOISE, TABLE, UNSEEN], ids=lambda one: one.stem)
def test_measurements_draw_the_same_tables_without_the_networks(
    experiment: Experiment, bench: Workbench, tmp_path: Path
) -> None:
    fresh = replace(bench)
    before = experiment.measure(fresh)
    fresh.measurements.write(tmp_path / "measurements.json")
    earlier = Measurements.read(tmp_path / "measurements.json")
    alone = replace(bench, store=NetworkStore(tmp_path / "none"), earlier=earlier)
    assert experiment.measure(alone).tables == before.tables
    needed = experiment.networks(SCALE, (0,))
    assert alone.measurable(needed) == needed


def test_a_transfer_outlives_its_source(bench: Workbench, tmp_path: Path) -> None:
    known = replace(bench, measurements=Measurements())
    before = TABLE.measure(known)
    victims = NetworkStore(tmp_path / "networks")
    assert train_networks(TABLE.networks(SCALE, (0,))[:3], victims)
    later = replace(bench, store=victims, earlier=known.measurements, measurements=Measurements())
    assert TABLE.measure(later).tables == before.tables


def test_unseen_disturbances_have_a_row_for_each_network(bench: Workbench) -> None:
    table = UNSEEN.measure(bench).tables["unseen"]
    assert table.columns[2::2] == ("clean", "fog", "shift", "L2", "kept under corruptions")
    plain, penalised = table.rows
    assert plain[0] != penalised[0]
    (clean,) = bench.points(bench.scale.of(PLAIN), PGD(eps=0.0), (0.0,), SCALE.attacked)
    assert plain[2] == round(100 * mean_accuracy([clean]).accuracy, 1)


def test_lines_pass_through_the_image_itself(bench: Workbench) -> None:
    lines = SoftmaxPanels(
        paper=PAPER,
        stem="lines",
        title="lines",
        data_title="digits",
        compared_networks=(PLAIN, PENALISED),
        eps=0.05,
        images=2,
    )
    outcome = lines.measure(bench)
    assert len(outcome.charts["lines"]) == 4
    for panel in outcome.charts["lines"]:
        assert isinstance(panel, LineChart)
        assert 0 in panel.series[0].x
        assert all(0 <= value <= 1 for line in panel.series for value in line.y)
    assert [row[2] for row in outcome.tables["lines"].rows] == [SCALE.attacked] * 2


def test_matrices_are_of_the_attacks_and_of_the_images(bench: Workbench) -> None:
    attacks = {"PGD": "pgd", "DeepFool": "deepfool"}
    figure = PerturbationMatrices(
        paper=PAPER, stem="matrices", data_title="digits", network=PLAIN, attacks=attacks
    )
    outcome = figure.measure(bench)
    assert [chart.title for chart in outcome.charts["matrices"]] == [*attacks, "training images"]
    for chart in outcome.charts["matrices"]:
        assert isinstance(chart, MatrixImage)
        assert chart.values.abs().max().item() == pytest.approx(1)
        assert torch.equal(chart.values, chart.values.T)
    functions = CovarianceFunctions(
        paper=PAPER, stem="functions", data_title="digits", network=PLAIN, attacks={"PGD": "pgd"}
    )
    within, between = functions.measure(bench).charts["functions"]
    assert isinstance(within, LineChart) and isinstance(between, LineChart)
    assert [line.group for line in within.series] == ["PGD", "training images"]
    assert within.series[0].y[0] == pytest.approx(1)
    assert between.series == ()


def test_long_range_matrices_need_no_network(bench: Workbench) -> None:
    figure = LongRangeMatrices(
        paper=PAPER,
        stem="long",
        title="long",
        dataset="digits",
        data_title="digits",
        decay_lengths=(1.0, 4.0),
    )
    assert figure.networks(SCALE, (0,)) == ()
    outcome = figure.measure(bench)
    assert len(outcome.charts["long"]) == 3
    assert [row[1] for row in outcome.tables["long"].rows][:2] == [1.0, 4.0]
