"""Every number that a paper prints is a setting, or compared by exactly one experiment."""

from collections import Counter

import pytest

from steadygrad.experiments import (
    experiment_by_name,
    experiment_names,
    published_numbers,
    recipe,
    roth2018,
    setting_paths,
    yeats2021,
)

PAPERS = {"yeats2021": yeats2021, "roth2018": roth2018}
SETTINGS = [(paper, setting) for paper, room in PAPERS.items() for setting in room.SETTINGS]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_printed_number_has_one_place(paper: str) -> None:
    experiments = PAPERS[paper].EXPERIMENTS.values()
    used = Counter(path for experiment in experiments for path in experiment.printed_paths())
    used.update(setting_paths(paper, PAPERS[paper].SETTINGS))
    printed = set(published_numbers(paper))
    assert sorted(printed - set(used)) == []
    assert sorted(set(used) - printed) == []
    assert [path for path, times in used.items() if times > 1] == []


@pytest.mark.parametrize(("paper", "setting"), SETTINGS)
def test_a_setting_is_printed_and_its_experiment_is_there(paper: str, setting: str) -> None:
    assert PAPERS[paper].SETTINGS[setting] in PAPERS[paper].EXPERIMENTS
    paths = setting_paths(paper, PAPERS[paper].SETTINGS)
    assert setting in paths or any(path.startswith(setting) for path in paths)


def test_the_catalogue_has_the_experiments_of_both_papers_and_the_recipe() -> None:
    declared = [name for room in (*PAPERS.values(), recipe) for name in room.EXPERIMENTS]
    assert list(experiment_names())[: len(declared)] == declared  # then those of other packages
    assert all(experiment_by_name(name).name == name for name in declared)
