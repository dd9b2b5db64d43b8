"""The variants are those of the figures' networks, and differ in what their name says."""

from dataclasses import replace
from pathlib import Path

import pytest

from digits_recipe import DIGITS, TINY_SCALE
from steadygrad.datasets import GaussianNoise
from steadygrad.experiments import SCALES, NetworkStore, Workbench, train_networks
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.departures import AS_HERE, Question
from steadygrad.experiments.white_box import pgd_curves
from steadygrad.experiments.worst_case import worst_case_of
from steadygrad.experiments.yeats2021.departures import DEPARTURES
from steadygrad.experiments.yeats2021.white_box import FIGURE6

QUESTIONS = DEPARTURES.questions
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.title)
PAPER = SCALES["paper"]


@each_question
def test_the_unchanged_network_is_the_figures_own(question: Question) -> None:
    of_figure = {n.digest for n in question.figure.networks(PAPER, (0,))}
    networks = question.variants()
    assert networks[AS_HERE].digest in of_figure
    for name, network in networks.items():
        assert (network.digest in of_figure) == (
            name == AS_HERE or ("frozen" in name and "without" not in name)
        ), name


@each_question
def test_a_variant_changes_its_own_settings_alone(question: Question) -> None:
    here, *variants = (n.config.to_dict() for n in question.networks(PAPER, (0,)))
    for name, variant in zip(question.changes, variants, strict=True):
        changed = {key for key in variant if variant[key] != here[key]}
        expected = {
            "optimizer": "momentum" in name,
            "model": "weights" in name or "frozen" in name,
            "augmentation": "noise" in name,
        }
        assert changed == {key for key, is_changed in expected.items() if is_changed}, name


def test_every_seed_has_every_variant() -> None:
    for question in QUESTIONS:
        networks = question.networks(PAPER, (0, 1))
        labels = [n.label for n in networks]
        assert len(networks) == 2 * (1 + len(question.changes))
        assert labels[: len(labels) // 2] == labels[len(labels) // 2 :]
        assert len({n.digest for n in networks}) == len(networks)


def test_variants_are_attacked_at_every_radius_and_by_four_kinds_of_attack(tmp_path: Path) -> None:
    figure = replace(FIGURE6, data_title="digits", curves=pgd_curves((0.0, 0.1, 0.2), 0.1))
    noisy = Question(
        figure=figure,
        network=DIGITS.penalised_network("real", 64),
        clean="figure6_mnist_text/real_clean_beta_512",
        changes={"with noise": lambda c: replace(c, augmentation=(GaussianNoise(0.05),))},
    )
    experiment = replace(DEPARTURES, questions=(noisy,))
    scale = replace(TINY_SCALE, attacked=10, worst_case=6, steps=2, queries=5)
    bench = Workbench(store=NetworkStore(tmp_path), scale=scale, seeds=(0,))
    assert train_networks(experiment.networks(scale, (0,)), bench.store)

    outcome = experiment.measure(bench)
    (curves,) = outcome.charts["departures-curves"]
    assert isinstance(curves, LineChart)
    assert [series.label for series in curves.series] == [AS_HERE, "with noise"]
    table = outcome.tables["departures"]
    for row, series, network in zip(
        table.rows, curves.series, noisy.networks(scale, (0,)), strict=True
    ):
        values = dict(zip(table.columns, row, strict=True))
        assert series.x == (0.0, 0.1, 0.2)
        assert values["PGD(8)"] == pytest.approx(series.y[1])
        by_trapezoids = (series.y[0] / 2 + series.y[1] + series.y[2] / 2) / 2
        assert values["mean over the radii"] == pytest.approx(by_trapezoids, abs=0.05)
        worst = worst_case_of(bench, network, 0.1)
        assert worst.n == 6
        assert values["worst case"] == pytest.approx(100 * worst.point.accuracy, abs=0.05)
