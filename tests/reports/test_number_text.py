"""How numbers of results are written."""

import pytest

from steadygrad.experiments import Cell, Interval
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
        (Interval(1.25, 20.0), "1.2 to 20.0"),
        (Interval(-0.1234, 0.5, digits=3, is_signed=True), "-0.123 to +0.500"),
    ],
)
def test_numbers_are_short_but_small_ones_keep_three_digits(cell: Cell, text: str) -> None:
    assert number_text(cell) == text
