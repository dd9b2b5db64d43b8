"""Experiments by name: ours, and those of other packages."""

import pytest

from announced_experiments import Theirs, announce
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.experiments import (
    catalogue,
    experiment_by_name,
    experiment_names,
    experiment_package,
)

OURS = tuple(catalogue._experiments())


def test_another_packages_experiment_comes_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Theirs("theirs/figure1")
    announce(monkeypatch, {"theirs/figure1": theirs})
    assert experiment_names() == (*OURS, "theirs/figure1")
    assert experiment_by_name("theirs/figure1") is theirs
    assert experiment_package("theirs/figure1") == "their_package:object0"
    assert experiment_package(OURS[0]) is None
    with pytest.raises(UnknownNameError, match="did you mean 'theirs/figure1'"):
        experiment_by_name("theirs/figure2")


def test_a_name_of_ours_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, {OURS[0]: Theirs(OURS[0])})
    with pytest.warns(UserWarning, match=f"'{OURS[0]}' of the package .* is left out: there is"):
        assert experiment_names() == OURS
    assert not isinstance(experiment_by_name(OURS[0]), Theirs)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        (Theirs, "to be an object with name, title, networks, printed_paths and measure, got"),
        ("figure", "to be an object with name, title, networks, printed_paths and measure, got"),
        (Theirs("theirs/figure2"), "is called 'theirs/figure2': expected the name of its entry"),
    ],
)
def test_a_broken_package_has_one_sentence_and_hides_no_other_experiment(
    monkeypatch: pytest.MonkeyPatch, found: object, sentence: str
) -> None:
    sound = Theirs("theirs/sound")
    announce(monkeypatch, {"theirs/figure1": found, "theirs/sound": sound})
    with pytest.warns(UserWarning, match=sentence) as told:
        assert experiment_names() == (*OURS, "theirs/sound")
    assert len(told) == 1
    assert experiment_by_name("theirs/sound") is sound
    with pytest.raises(HyperparameterError, match=sentence):
        experiment_by_name("theirs/figure1")
