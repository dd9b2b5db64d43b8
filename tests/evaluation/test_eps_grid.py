"""How people write radii, and how they write them wrong."""

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import ascending_eps, parse_eps_grid


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0", (0.0,)),
        ("8/255", (8 / 255,)),
        ("0,0.1,8/255", (0.0, 8 / 255, 0.1)),
        (" 0.3 , 0.1 ", (0.1, 0.3)),
        ("0:0.3:0.1", (0.0, 0.1, 0.2, 0.3)),
        ("0:8/255:2/255", (0.0, 2 / 255, 4 / 255, 6 / 255, 8 / 255)),
        ("0.1:0.1:0.1", (0.1,)),
        ("0,0.1:0.3:0.1,1", (0.0, 0.1, 0.2, 0.3, 1.0)),
        ("1e-3", (0.001,)),
    ],
)
def test_reads(text: str, values: tuple[float, ...]) -> None:
    assert parse_eps_grid(text) == values


def test_sixteen_points_to_the_end_without_drift() -> None:
    grid = parse_eps_grid("0:0.3:0.02")
    assert len(grid) == 16
    assert grid == tuple(round(0.02 * index, 10) for index in range(16))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got '' in ''"),
        ("0,,0.1", "got '' in '0,,0.1'"),
        ("a lot", "numbers like 0.1 or 8/255, or start:stop:step, got 'a lot'"),
        ("1/0", "got '1/0'"),
        ("1e400", "got '1e400'"),
        ("0:1e400:1e399", "got '1e400'"),
        ("nan", "got 'nan'"),
        ("0:0.3", "start:stop:step, for example 0:0.3:0.02, got '0:0.3'"),
        ("0:0.1:0.2:0.3", "start:stop:step"),
        ("0:0.3:0", "step > 0 in '0:0.3:0'"),
        ("0.3:0:0.1", "start <= stop"),
        ("0:0.3:0.07", "leads from 0 to 0.3 exactly, got 0.07 in '0:0.3:0.07'"),
        ("0:1:1/100000", "at most 1000 values of eps, got 100001"),
        ("8", r"eps in \[0, 1\], got 8.0; did you mean 8/255"),
        ("-0.1", r"eps in \[0, 1\], got -0.1"),
        ("0.1,0.1", "every eps once, got 0.1 twice"),
        ("0:0.2:0.1,1/10", "every eps once, got 0.1 twice"),
    ],
)
def test_refuses_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message) as caught:
        parse_eps_grid(text)
    assert "\n" not in str(caught.value)


def test_no_radius_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="at least one eps, got none"):
        ascending_eps([])


def test_not_a_number_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="got nan"):
        ascending_eps([0.0, float("nan")])
