"""Laws of steadygrad.training.schedule."""

import pytest

from steadygrad.training import multi_step_rate


def test_the_rate_drops_after_each_named_epoch() -> None:
    rates = [
        multi_step_rate(epoch, learning_rate=1.0, drop_at=(2, 3), drop_factor=0.5)
        for epoch in range(1, 6)
    ]
    assert rates == pytest.approx([1, 1, 0.5, 0.25, 0.25])
