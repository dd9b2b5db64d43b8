"""Laws of steadygrad.training.evaluation_mode."""

import pytest
from torch import nn

from steadygrad.training import evaluation_mode


def test_every_module_gets_its_own_mode_back_also_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    model.train()
    model[1][0].eval()  # frozen statistics, as in fine-tuning
    before = [module.training for module in model.modules()]

    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before

    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        _ = 1 / 0
    assert [module.training for module in model.modules()] == before
