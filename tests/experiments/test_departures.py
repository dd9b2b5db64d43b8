"""The variants are those of the figures' networks, and differ in what their name says."""

from dataclasses import asdict

import pytest

from steadygrad.experiments import SCALES
from steadygrad.experiments.yeats2021.departures import AS_HERE, QUESTIONS, Question

each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.title)
PAPER = SCALES["paper"]


@each_question
def test_the_unchanged_network_is_the_figures_own(question: Question) -> None:
    of_figure = {n.digest for n in question.figure.networks(PAPER, (0,))}
    networks = {question.name_of(n.label): n for n in question.networks(PAPER, (0,))}
    assert networks[AS_HERE].digest in of_figure
    for name, network in networks.items():
        assert (network.digest in of_figure) == (
            name == AS_HERE or ("frozen" in name and "without" not in name)
        ), name


@each_question
def test_a_variant_changes_its_own_settings_alone(question: Question) -> None:
    here, *variants = (asdict(n.config) for n in question.networks(PAPER, (0,)))
    for changes, variant in zip(question.changes.values(), variants, strict=True):
        assert {key: variant[key] for key in variant if variant[key] != here[key]} == changes


def test_every_seed_has_every_variant() -> None:
    for question in QUESTIONS:
        networks = question.networks(PAPER, (0, 1))
        labels = [n.label for n in networks]
        assert len(networks) == 2 * (1 + len(question.changes))
        assert labels[: len(labels) // 2] == labels[len(labels) // 2 :]
        assert len({n.digest for n in networks}) == len(networks)
