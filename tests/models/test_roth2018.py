"""The networks of Roth et al. (2018), Table 3, and the standardisation inside them."""

import pytest
import torch
from torch import nn

from steadygrad.attacks import FGSM
from steadygrad.layers import GELU, Conv2d, Linear
from steadygrad.models import build_model, model_entry

WIDTHS = {
    "mnist": [32, 32, 64, 64, 200, 200, 10],
    "cifar10": [64, 64, 128, 128, 256, 256, 10],
}
NAMES = [(data, kind) for data in WIDTHS for kind in ("relu", "gelu")]
each_network = pytest.mark.parametrize(("data", "kind"), NAMES)


@each_network
def test_the_layers_are_those_of_table_3(data: str, kind: str) -> None:
    activation = nn.ReLU if kind == "relu" else GELU
    pair = [Conv2d, activation, Conv2d, activation, nn.MaxPool2d]
    dense = [Linear, activation, Linear, activation, Linear]
    modules = list(build_model(f"roth2018-{data}-{kind}").children())
    assert [type(module) for module in modules[1:]] == [*pair, *pair, nn.Flatten, *dense]
    widths = [
        module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
        for module in modules
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    assert widths == WIDTHS[data]
    for module in modules:
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (0, 0))


@each_network
def test_each_image_is_standardised_inside(data: str, kind: str) -> None:
    name = f"roth2018-{data}-{kind}"
    model = build_model(name).double().eval()
    images = torch.rand(
        3,
        *model_entry(name).input_shape,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    # Another brightness and contrast for each image of the batch.
    contrast = torch.tensor([1.0, 0.2, 0.5]).view(3, 1, 1, 1)
    brightness = torch.tensor([0.0, 0.3, 0.1]).view(3, 1, 1, 1)
    logits = model(images)
    assert logits.std() > 0.01
    torch.testing.assert_close(model(contrast * images + brightness), logits)
    # So eps is in raw pixels, whatever the contrast.
    moved = FGSM(eps=0.05)(model, 0.2 + 0.2 * images, torch.zeros(3, dtype=torch.int64))
    change = (moved - 0.2 - 0.2 * images).abs().amax(dim=(1, 2, 3))
    torch.testing.assert_close(change, torch.full_like(change, 0.05))
