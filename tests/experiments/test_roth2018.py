"""The declarations of Roth et al.: printed strengths, sides, and what is trained once."""

import pytest

from steadygrad.experiments import distinct, experiment_by_name, experiment_names, scale_by_name
from steadygrad.experiments.roth2018 import EXPERIMENTS
from steadygrad.experiments.roth2018.recipes import CIFAR10, LRC, MNIST, Recipe
from steadygrad.penalties import GradientNormPenalty, Standardized, Structured
from steadygrad.training import Adam, configuration_digest

ARTEFACTS = (
    "figure1 figure2 figure3 section4.3 table1-mnist table1-cifar10 figure4 figure5 figure6 "
    "departures unseen"
)


def test_the_ten_artefacts_and_what_goes_beyond_them_are_there() -> None:
    assert tuple(EXPERIMENTS) == tuple(f"roth2018/{stem}" for stem in ARTEFACTS.split())
    assert set(EXPERIMENTS) <= set(experiment_names())


@pytest.mark.parametrize(("recipe", "gamma", "lam"), [(MNIST, 10, 3), (CIFAR10, 0.025, 0.005)])
def test_printed_strengths_are_halved_and_taken_at_standardised_images(
    recipe: Recipe, gamma: float, lam: float
) -> None:
    gn, sgr = recipe.gn().config.penalty, recipe.sgr().config.penalty
    assert gn == Standardized(penalty=GradientNormPenalty(strength=gamma / 2))
    assert isinstance(sgr, Standardized) and isinstance(sgr.penalty, Structured)
    assert sgr.penalty.strength == lam / 2
    assert sgr.penalty.covariance.decay == 0.1  # type: ignore[union-attr] # a running one
    at_pixels = recipe.gn(side="pixels").config
    assert at_pixels.penalty == GradientNormPenalty(strength=gamma / 2)
    assert configuration_digest(at_pixels) != configuration_digest(recipe.gn().config)


def test_training_is_the_papers() -> None:
    for recipe, epochs in ((MNIST, 50), (CIFAR10, 75)):
        config = recipe.clean().config
        assert (config.batch_size, config.epochs) == (128, epochs)
        assert config.optimizer == Adam(learning_rate=1e-3, weight_decay=0.0)
        decayed = recipe.weight_decay().config.optimizer
        assert decayed == Adam(learning_rate=1e-3, weight_decay=0.005)


def test_networks_are_shared_between_the_figures() -> None:
    paper = scale_by_name("paper")
    every = [n for e in EXPERIMENTS.values() for n in e.networks(paper, (0,))]
    assert len(distinct(every)) < len(every)
    clean = CIFAR10.clean().digest
    users = [
        name
        for name in EXPERIMENTS
        if clean in {n.digest for n in experiment_by_name(name).networks(paper, (0,))}
    ]
    assert len(users) == 8
    assert LRC.clean.digest == clean


def test_every_departure_is_another_network() -> None:
    departures = experiment_by_name("roth2018/departures")
    networks = departures.networks(scale_by_name("paper"), (0,))
    assert len({network.digest for network in networks}) == len(networks) == 20
