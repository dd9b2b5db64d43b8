"""The printed numbers, and what is said of ours beside them."""

import pytest

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.experiments import Compared, published_number, published_numbers, verdict_counts

PATH = "nes_query_attack/real/gr_beta_64"


def test_paths_lead_through_objects_and_lists() -> None:
    assert published_number("yeats2021", "table1_parameters_and_macs/real/mnist/1") == 4_241_152
    assert published_number("roth2018", "hyper_parameters/mnist/sgr/lambda") == 3.0
    assert len(published_numbers("yeats2021")) > 90


@pytest.mark.parametrize(
    ("paper", "path", "message"),
    [
        ("yeats2020", PATH, "paper one of yeats2021, roth2018, got 'yeats2020'"),
        ("yeats2021", "table9", "no number called 'table9'"),
    ],
)
def test_unknown_papers_and_paths_are_named(paper: str, path: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        published_number(paper, path)


def compared(**changes: object) -> Compared:
    settings = {"quantity": "NES", "paper": "yeats2021", "path": PATH, "ours": 62.0}
    return Compared(**(settings | changes))  # type: ignore[arg-type] # settings of a test


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"ours": 62.3}, "reproduced"),
        ({"ours": 62.0}, "differs"),
        ({"ours": 62.0, "tolerance": 0.5}, "reproduced"),
        ({"ours": 60.0, "interval": (57.0, 63.0)}, "reproduced"),
        ({"ours": 60.0, "interval": (58.0, 62.0)}, "differs"),
        ({"ours": 62.3, "obstacle": "other data"}, "not comparable"),
        ({"ours": None, "obstacle": "not run"}, "not comparable"),
    ],
    ids=str,
)
def test_the_verdict_asks_whether_the_printed_number_is_in_reach(
    changes: dict[str, object], verdict: str
) -> None:
    entry = compared(**changes)
    assert entry.printed == 62.3
    assert entry.verdict == verdict
    assert verdict_counts([entry])[verdict] == 1  # type: ignore[index] # one of the three


def test_a_missing_number_needs_its_reason() -> None:
    with pytest.raises(HyperparameterError, match="a reason why NES was not measured"):
        compared(ours=None)
