"""Every number that the paper prints is a setting, or compared by exactly one experiment."""

from collections import Counter

import pytest

from steadygrad.experiments import (
    experiment_by_name,
    experiment_names,
    published_numbers,
    setting_paths,
)
from steadygrad.experiments.yeats2021 import SETTINGS

EXPERIMENTS = [experiment_by_name(name) for name in experiment_names()]


def test_every_printed_number_has_one_place() -> None:
    used = Counter(path for experiment in EXPERIMENTS for path in experiment.printed_paths())
    used.update(setting_paths("yeats2021", SETTINGS))
    printed = set(published_numbers("yeats2021"))
    assert sorted(printed - set(used)) == []
    assert sorted(set(used) - printed) == []
    assert [path for path, times in used.items() if times > 1] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_printed_and_its_experiment_is_there(setting: str) -> None:
    assert SETTINGS[setting] in experiment_names()
    paths = setting_paths("yeats2021", SETTINGS)
    assert setting in paths or any(path.startswith(setting) for path in paths)
