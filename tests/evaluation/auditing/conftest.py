"""A part of the held-out images, few enough to be audited in a test."""

import pytest

from small_audits import Data


@pytest.fixture
def few(held_out: Data) -> Data:
    return held_out[0][:60], held_out[1][:60]
