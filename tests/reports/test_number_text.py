"""How numbers of results are written."""

import pytest

from steadygrad.experiments import interval_text
from steadygrad.reports.experiments import number_text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("self", "self"),
        (208532, "208,532"),
        (62.0, "62"),
        (98.76, "98.8"),
        (-2.345, "-2.3"),
        (0.04321, "0.0432"),
        (0.0, "0"),
    ],
)
def test_numbers_are_short_but_small_ones_keep_three_digits(cell: float | None, text: str) -> None:
    assert number_text(cell) == text


def test_an_interval_or_nothing() -> None:
    assert interval_text((1.25, 20.0)) == "1.2 to 20.0"
    assert interval_text(None) == ""
