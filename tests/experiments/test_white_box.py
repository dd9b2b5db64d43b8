"""White-box figures, run whole on small digits, and their parts against plain countings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from steadygrad.attacks import PGD
from steadygrad.errors import CheckpointError
from steadygrad.experiments import (
    Measurements,
    Network,
    NetworkStore,
    Scale,
    Workbench,
    train_networks,
    training_cost,
)
from steadygrad.experiments.accuracies import (
    measured_accuracies,
)
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.matched import at_equal_time
from steadygrad.experiments.printed import (
    PrintedAccuracy,
    PrintedRadius,
)
from steadygrad.experiments.white_box import WhiteBox, pgd_curves
from steadygrad.experiments.worst_case import (
    worst_case_of,
)
from steadygrad.experiments.yeats2021.recipes import RECIPES, Lineup, Recipe
from steadygrad.experiments.yeats2021.white_box import (
    FIGURE6,
    FIGURE7,
    FIGURE8,
    FIGURE9,
    FIGURE10,
    LINEUPS,
    independent_networks,
    white_box,
)
from steadygrad.training import MultiStep

DIGITS = Recipe(
    dataset="digits",
    title="digits",
    models={"complex": "digits-complex", "real": "digits-real", "gelu": "digits-gelu"},
    settings={"epochs": 8, "schedule": MultiStep(at=(4,)), "batch_size": 64},
    attack_eps=0.2,
)
SCALE = Scale(
    name="paper",
    limit_train=128,
    epochs=0.25,
    attacked=10,
    worst_case=6,
    clean=20,
    steps=2,
    queries=5,
    is_comparable=True,
)
LINEUP = Lineup(
    recipe=DIGITS,
    betas={"complex": (64,), "real": (64,), "gelu": (64,)},
    equal_time_epochs=4,
)
CURVES = pgd_curves((0.0, 0.1, 0.2), judged_eps=0.1)
PRINTED = (
    PrintedAccuracy(
        quantity="clean",
        path="figure6_mnist_text/real_clean_beta_512",
        networks=(DIGITS.penalised_network("real", 64),),
        eps=0,
    ),
    PrintedAccuracy(
        quantity="complex, clean",
        path="figure6_mnist_text/complex_clean_all_betas",
        networks=(DIGITS.penalised_network("complex", 64),),
        eps=0,
    ),
)
FIGURE = white_box("figure", LINEUP, CURVES, PRINTED)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(store=NetworkStore(tmp_path / "networks"), scale=SCALE, seeds=(0,))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_figure_measures_every_network_and_the_worst_is_never_above_any(
    bench: Workbench,
) -> None:
    networks = FIGURE.networks(SCALE, (0,))
    assert len({network.digest for network in networks}) == len(networks) == 15
    assert train_networks(networks, bench.store)
    outcome = FIGURE.measure(bench)
    assert len(outcome.tables["figure"].rows) == 15
    assert [len(outcome.charts[name][0].series) for name in ("figure", "figure-beyond")] == [6, 11]
    real, exact, frozen = outcome.compared
    assert {entry.verdict for entry in outcome.compared} <= {"reproduced", "differs"}
    assert real.quantity == "clean"
    assert frozen.quantity == f"{exact.quantity}, by frozen phase"
    assert (frozen.path, frozen.printed) == (exact.path, exact.printed)
    for row in outcome.tables["figure-worst-case"].rows:
        _, clean, _, worst, _, *broken = row
        assert isinstance(clean, float)
        assert isinstance(worst, float)
        assert worst <= clean
        assert clean - worst == pytest.approx(sum(map(float, broken)), abs=0.2)  # type: ignore[arg-type] # cells, charts of one kind
    for chart in outcome.charts["figure-matched"]:
        assert isinstance(chart, LineChart)
        for point in chart.series:
            assert point.low is not None and point.high is not None
            assert point.low <= point.y <= point.high
            assert point.low < point.high
    # The digits' steps were never measured: the clock decides.
    reckoned, times = zip(
        *(row[1:3] for row in outcome.tables["figure-equal-time"].rows), strict=True
    )
    assert set(reckoned) == {None}
    assert list(times) == sorted(times)  # type: ignore[type-var] # cells, charts of one kind


def test_equal_time_is_that_of_the_steps_without_what_is_measured_in_them(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, penalised = DIGITS.plain("real", seed=0), DIGITS.penalised_network("real", 8, seed=0)
    networks = [
        replace(n, config=replace(n.config, limit_train=64, epochs=2, update_similarity=watched))
        for n, watched in ((plain, False), (penalised, True))
    ]
    train_networks(networks, bench.store)
    known = {"plain": 600.0, "l1": 300.0, "l1, update similarity": 10_000.0}
    record = {
        "processor": "p",
        "seconds": {training_cost.measured_model(plain.config): known},
    }
    monkeypatch.setattr(training_cost, "step_seconds_record", lambda: record)
    measured = measured_accuracies(bench, networks, PGD(eps=0.1, steps=1), (0.0, 0.1))
    found = at_equal_time(bench, tuple(measured.values()), "PGD(1)", 0.1)
    assert [row[:2] for row in found.table.rows] == [(penalised.label, 10.0), (plain.label, 20.0)]
    assert found.charts[1].x_label == "minutes of training on one core"
    assert [point.x for point in found.charts[1].series] == [(20.0,), (10.0,)]


@pytest.mark.parametrize("lineup", LINEUPS.values(), ids=LINEUPS)
def test_equal_time_is_what_the_steps_were_measured_to_take(lineup: Lineup) -> None:
    recipe = lineup.recipe
    penalised = recipe.penalised_network("complex", 1).config
    trained = recipe.pgd_trained(lineup.adversary, epochs=lineup.equal_time_epochs).config
    first, second = (
        training_cost.estimated_seconds(replace(config, update_similarity=False))
        for config in (penalised, trained)
    )
    assert first is not None and second is not None
    assert second == pytest.approx(first, rel=0.15), "measured anew? set equal_time_epochs"


def test_a_second_radius_to_learn_from_adds_one_network_of_the_papers_kind() -> None:
    once = {network.digest for network in FIGURE.networks(SCALE, (0,))}
    wider = white_box("figure", replace(LINEUP, wider_attack_eps=0.25), CURVES)
    twice = wider.networks(SCALE, (0,))
    (added,) = [network for network in twice if network.digest not in once]
    assert len(twice) == len(once) + 1
    assert added.label == "real, PGD(4)-trained at 0.25"
    assert added.config.attack == PGD(eps=0.25, steps=4)


@pytest.mark.parametrize(
    "figure", [FIGURE6, FIGURE7, FIGURE8, FIGURE9, *FIGURE10.panels], ids=lambda figure: figure.name
)
def test_attack_training_reaches_the_radius_that_figures_judge_at(figure: WhiteBox) -> None:
    attacks = [network.config.attack for network in figure.networks(SCALE, (0,))]
    learnt = max(attack.eps for attack in attacks if attack is not None)
    assert learnt >= figure.curves.judged_eps


def test_only_trained_networks_are_drawn_and_the_others_numbers_say_why(bench: Workbench) -> None:
    network = next(n for n in FIGURE.networks(SCALE, (0,)) if n.label == "complex, no defence")
    train_networks([network], bench.store)
    outcome = FIGURE.measure(bench)
    assert [row[0] for row in outcome.tables["figure"].rows] == ["complex, no defence"]
    assert "figure-beyond" not in outcome.charts
    assert outcome.compared[0].verdict == "not comparable"
    assert outcome.compared[0].obstacle == "the network is not trained yet"


def test_what_networks_are_called_decides_nothing(bench: Workbench) -> None:
    train_networks([n for n in FIGURE.networks(SCALE, (0,)) if not n.is_defended], bench.store)

    def called_x(networks: tuple[Network, ...]) -> tuple[Network, ...]:
        return tuple(replace(network, label="x, no defence") for network in networks)

    other = replace(FIGURE, of_paper=called_x(FIGURE.of_paper), beyond=called_x(FIGURE.beyond))
    for name, table in FIGURE.measure(bench).tables.items():
        renamed = other.measure(bench).tables[name]
        of_networks = ("network", "best by then")
        numbers, same = (
            [
                [c for c, head in zip(row, t.columns, strict=True) if head not in of_networks]
                for row in t.rows
            ]
            for t in (table, renamed)
        )
        assert numbers == same
    assert len(FIGURE.measure(bench).tables["figure"].rows) == 3


@pytest.fixture
def without_networks(bench: Workbench, tmp_path: Path) -> Workbench:
    """Return a bench of no networks, which knows what was measured of one."""
    network = FIGURE.networks(SCALE, (0,))[0]
    train_networks([network], bench.store)
    FIGURE.measure(bench)
    path = tmp_path / "measurements.json"
    bench.measurements.write(path)
    return replace(bench, store=NetworkStore(tmp_path / "none"), earlier=Measurements.read(path))


def test_measurements_draw_the_same_without_the_networks(
    bench: Workbench, without_networks: Workbench, tmp_path: Path
) -> None:
    assert FIGURE.measure(without_networks) == FIGURE.measure(bench)
    for one, name in ((without_networks, "one.json"), (bench, "other.json")):
        one.measurements.write(tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_measurements_answer_no_other_question(without_networks: Workbench) -> None:
    more_images = replace(without_networks, scale=replace(SCALE, attacked=11))
    with pytest.raises(CheckpointError, match="complex, no defence is not trained here"):
        FIGURE.measure(more_images)


@pytest.mark.parametrize(
    ("asked", "answer", "said"),
    [
        ("correct at each eps", {"correct": [1]}, "expected 3 counts, got 1"),
        ("correct at each eps", {"correct": ["1", 2, 3]}, "expected counts from 0 to .*, got '1'"),
        ("correct at each eps", {"correct": [999, 2, 3]}, "expected counts from 0 to .*, got 999"),
        ("correct at each eps", {}, "it has no 'correct'"),
        ("worst case", {"correct": 3, "broken_by": {}}, "it has no 'PGD"),
        ("worst case", {"correct": "3", "broken_by": {}}, "damaged"),
        ("seconds of training", {"seconds": "long"}, "expected a finite number"),
    ],
)
def test_a_damaged_answer_is_named(
    without_networks: Workbench, asked: str, answer: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "measurements.json"
    values = json.loads(path.read_text())
    for entry in values["answers"]:
        if entry["key"]["asked"] == asked:
            entry["values"] = answer
    path.write_text(json.dumps(values))
    damaged = replace(without_networks, earlier=Measurements.read(path))
    with pytest.raises(CheckpointError, match=f"what was measured of complex.*{said}"):
        FIGURE.measure(damaged)


def test_a_worst_case_is_kept_until_the_weights_change(bench: Workbench) -> None:
    network = FIGURE.networks(SCALE, (0,))[0]
    train_networks([network], bench.store)
    said: list[str] = []
    listening = replace(bench, progress=said.append)
    first = worst_case_of(listening, network, 0.1)
    assert worst_case_of(listening, network, 0.1) == first
    assert len(said) == 1
    (kept,) = bench.store.path(network).glob("answers/worst-case-*.json")
    kept.write_text(kept.read_text().replace('"model": "', '"model": "another '))
    assert worst_case_of(listening, network, 0.1) == first
    assert [text for text in said if "is damaged" in text]
    kept.write_text("{")
    assert worst_case_of(listening, network, 0.1) == first


def test_independent_networks_are_three_at_least_and_one_line_each(bench: Workbench) -> None:
    independent = independent_networks("independent", LINEUP, CURVES)
    networks = independent.networks(SCALE, (0,))
    assert [n.config.seed for n in networks] == [0, 1, 2] * 9
    assert len({n.digest for n in networks}) == len(networks)
    assert [n.config.seed for n in independent.networks(SCALE, (0, 1, 2, 5))[:4]] == [0, 1, 2, 5]
    train_networks((*networks[:2], networks[9]), bench.store)
    outcome = independent.measure(bench)
    (of_paper,), (beyond,) = outcome.charts.values()
    assert isinstance(of_paper, LineChart)
    assert isinstance(beyond, LineChart)
    assert of_paper.title == "digits: complex, beta 64"
    assert [series.label for series in of_paper.series] == ["seed 0", "seed 1"]
    assert beyond.title == "digits: real GELU, beta 64"
    assert of_paper.y_range == beyond.y_range
    lowest, mean, highest, *of_gelu = outcome.tables["independent"].rows
    assert lowest[:3] == ("complex, beta 64", 2, "lowest")
    for low, middle, high in zip(lowest[3:], mean[3:], highest[3:], strict=True):
        assert middle == pytest.approx((low + high) / 2, abs=0.11)  # type: ignore[operator] # cells of numbers
    assert [row[3:] for row in of_gelu] == [of_gelu[0][3:]] * 3
    worst = outcome.tables["independent-worst-case"].rows
    assert [row[0] for row in worst] == [
        "complex, beta 64, seed 0",
        "complex, beta 64, seed 1",
        "real GELU, beta 64, seed 0",
    ]


@pytest.mark.parametrize("figure", [FIGURE6, FIGURE7, FIGURE8, FIGURE9], ids=lambda f: f.name)
def test_printed_numbers_ask_for_networks_and_radii_of_the_figure(figure: WhiteBox) -> None:
    variants = {network.variant for network in figure.networks(SCALE, (0,))}
    for entry in figure.printed:
        assert isinstance(entry, PrintedAccuracy | PrintedRadius)
        assert {network.variant for network in entry.networks} <= variants
        if isinstance(entry, PrintedAccuracy):
            assert any(abs(entry.eps - eps) < 1e-9 for eps in figure.curves.eps_values)
    assert figure.curves.judged_eps in figure.curves.eps_values


def test_recipes_convert_the_papers_strength() -> None:
    mnist = RECIPES["mnist"].penalised_network("complex", 512, seed=0).config
    assert mnist.penalty.strength == pytest.approx(0.125)
    cifar = RECIPES["cifar10"]
    complex_, real = (cifar.penalised_network(k, 32, seed=0).config for k in ("complex", "real"))
    assert complex_.penalty.strength == pytest.approx(32 / 128**2)
    # The released code takes a real network's gradient at pixels divided by their deviation.
    assert real.penalty.strength == pytest.approx(0.04 * complex_.penalty.strength)
    strongest = LINEUPS["figure9"].betas["real"][-1]
    as_strong = cifar.penalised_network("real", strongest).config
    assert as_strong.penalty.strength == pytest.approx(complex_.penalty.strength)
