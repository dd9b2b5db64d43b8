"""Parameters and MACs, against Table 1 of Yeats et al. (2021) and by hand."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from steadygrad.errors import UnknownNameError
from steadygrad.layers import ComplexConv2d
from steadygrad.models import (
    build_model,
    mac_count,
    model_entry,
    parameter_count,
    published_counts,
)

PUBLISHED = Path(__file__).parents[2] / "src/steadygrad/experiments/published/yeats2021.json"
TABLE1 = json.loads(PUBLISHED.read_text())["table1_parameters_and_macs"]
REAL = [(row, *counts) for row, counts in TABLE1["real"].items()]
COMPLEX = [(row, *counts) for row, counts in TABLE1["complex"].items()]


@pytest.mark.parametrize(("row", "parameters", "macs"), REAL)
@pytest.mark.parametrize("kind", ["real", "gelu"])
def test_real_rows_hold_as_printed(row: str, parameters: int, macs: int, kind: str) -> None:
    name = f"yeats2021-{row.replace('_', '-')}-{kind}"
    model = build_model(name)
    assert parameter_count(model) == parameters
    assert mac_count(model, model_entry(name).input_shape) == macs


@pytest.mark.parametrize(("row", "parameters", "macs"), COMPLEX)
def test_complex_rows_follow_from_the_three_slips(row: str, parameters: int, macs: int) -> None:
    assert published_counts(f"yeats2021-{row.replace('_', '-')}-complex") == (parameters, macs)


def test_complex_rows_in_truth() -> None:
    # By hand, weights and both biases: 2 * (inputs * outputs * taps + outputs) a layer.
    mnist = 2 * (9 * 16 + 16) + 2 * (9 * 8 * 32 + 32) + 2 * (784 * 128 + 128) + 2 * (1280 + 10)
    assert parameter_count(build_model("yeats2021-mnist-complex")) == mnist
    fashion = build_model("yeats2021-fashion-mnist-complex")
    dense = 1568 * 64 + 64 * 10
    printed = TABLE1["complex"]["fashion_mnist"][1]
    assert mac_count(fashion, (1, 28, 28)) == printed + dense


def test_strided_grouped_convolution_by_hand() -> None:
    # 6 outputs, each reading 2 of 4 channels through 3x3 taps, at 4x4 positions.
    model = nn.Sequential(ComplexConv2d(4, 6, 3, stride=2, padding=1, groups=2))
    assert mac_count(model, (4, 8, 8)) == 4 * (6 * 2 * 9) * 16


def test_counting_leaves_no_trace() -> None:
    model = build_model("ross2018-real").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    mac_count(model, (1, 28, 28))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_networks_outside_the_table_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Table 1 has no network 'ross2018-real'"):
        published_counts("ross2018-real")


def test_our_copy_of_the_printed_figures_is_the_reference() -> None:
    reference = Path(__file__).parents[3] / "shared/reference/yeats2021.json"
    if not reference.exists():
        pytest.skip("the reference figures do not lie beside the project")
    assert json.loads(reference.read_text()) == json.loads(PUBLISHED.read_text())
