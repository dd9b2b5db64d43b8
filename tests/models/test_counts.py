"""Parameters and MACs, against Table 1 of Yeats et al. (2021) and by hand."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from steadygrad.errors import UnknownNameError
from steadygrad.layers import ComplexConv2d, ComplexLinear
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


def test_a_parameter_of_complex_dtype_counts_as_two_real_numbers() -> None:
    model = nn.Sequential(nn.Linear(3, 2, dtype=torch.complex64), nn.Linear(2, 1))
    assert parameter_count(model) == 2 * (3 * 2 + 2) + (2 + 1)


class InComplexNumbers(nn.Module):
    """Hands a layer of complex dtype its images as complex numbers."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.complex(images, images)).abs()


def test_a_complex_mac_of_complex_dtype_counts_as_four_real_ones() -> None:
    dense = nn.Linear(8, 5, dtype=torch.complex64)
    assert mac_count(InComplexNumbers(dense), (1, 8, 8)) == 4 * 8 * 8 * 5
    ours = nn.Sequential(nn.Flatten(), ComplexLinear(64, 5))
    theirs = nn.Sequential(nn.Flatten(), InComplexNumbers(nn.Linear(64, 5, dtype=torch.complex64)))
    assert mac_count(theirs, (1, 8, 8)) == mac_count(ours, (1, 8, 8))


def test_a_complex_convolution_counts_as_the_three_real_ones_that_it_is() -> None:
    real = nn.Sequential(nn.Conv2d(2, 3, 3))
    theirs = InComplexNumbers(nn.Conv2d(2, 3, 3, dtype=torch.complex64))
    assert mac_count(theirs, (2, 8, 8)) == 3 * mac_count(real, (2, 8, 8))


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


def test_a_linear_layer_counts_for_every_token() -> None:
    # An image of 8x8 as 8 tokens of 8 values, each through 8 x 5 weights.
    assert mac_count(nn.Sequential(nn.Flatten(1, 2), nn.Linear(8, 5)), (1, 8, 8)) == 8 * 8 * 5


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_grouped_convolutions_by_hand(groups: int, is_transposed: bool) -> None:
    kind = nn.ConvTranspose2d if is_transposed else nn.Conv2d
    layer = kind(4, 8, 3, padding=1, groups=groups)
    assert mac_count(nn.Sequential(layer), (4, 6, 5)) == 4 * 8 * 9 // groups * 6 * 5


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # of an encoder with one more token
def test_a_transformer_by_hand_attention_included() -> None:
    class Transformer(nn.Module):
        """Sixteen tokens of four pixels, width 8, two heads."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 8, 2, stride=2)
            layer = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(8, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(self.patches(images).flatten(2).mT).mean(dim=1))

    tokens, width = 16, 8
    projections = 4 * width * width * tokens  # query, key, value and output
    attention = 2 * tokens * tokens * width  # scores, and the weighted sum of values
    dense = 2 * width * 32 * tokens
    patches = tokens * width * 4
    expected = patches + 2 * (projections + attention + dense) + width * 3
    model = Transformer()
    assert mac_count(model, (1, 8, 8)) == expected
    assert torch.backends.mha.get_fastpath_enabled()
    model.requires_grad_(False)  # PyTorch then has a shortcut, in which nothing can be counted
    assert mac_count(model, (1, 8, 8)) == expected


def test_functions_and_shared_layers_count_as_often_as_they_are_called() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(4, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            rows = self.shared(self.shared(images.flatten(1)))
            return rows @ torch.eye(4)

    assert mac_count(Twice(), (1, 2, 2)) == 3 * 16
