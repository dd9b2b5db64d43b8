"""Networks as usually built: ResNet-18, ResNet-50 and ViT-S/16 for 224 pixels, ResNet-18 for 32."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Attention", "VisionTransformer", "resnet", "set_fused_attention", "small_resnet18"]


class ResidualBlock(nn.Module):
    """``act(body(x) + shortcut(x))``; the shortcut is a 1x1 convolution where shapes differ.

    activation: of the block, ReLU as in the source or a smooth one.

    Source: He et al., CVPR 2016 (arXiv:1512.03385); a bottleneck strides in its 3x3 convolution.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        *,
        is_bottleneck: bool,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        outputs = 4 * width if is_bottleneck else width
        plan: tuple[tuple[int, int, int, int], ...]
        if is_bottleneck:
            plan = ((inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1))
        else:
            plan = ((inputs, width, 3, stride), (width, outputs, 3, 1))
        layers: list[nn.Module] = []
        for before, after, kernel, step in plan:
            convolution = _convolution(before, after, kernel, step)
            layers += [convolution, nn.BatchNorm2d(after), activation()]
        self.body = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )
        self.activation = activation()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


def resnet(
    blocks: tuple[int, int, int, int],
    *,
    is_bottleneck: bool,
    width: int = 64,
    classes: int = 1000,
) -> nn.Sequential:
    """Return a residual network: (2, 2, 2, 2) is ResNet-18, bottlenecks (3, 4, 6, 3) ResNet-50."""
    stem = (
        _convolution(3, width, 7, 2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    stages = _stages(blocks, width, is_bottleneck=is_bottleneck, activation=nn.ReLU)
    return nn.Sequential(*stem, *stages, *_head(stages, classes))


def small_resnet18(num_classes: int = 10, width: int = 64, channels: int = 3) -> nn.Sequential:
    """Return ResNet-18 for images of 32 pixels, with GELU: a 3x3 stem of stride 1, no pooling."""
    stem = (_convolution(channels, width, 3, 1), nn.BatchNorm2d(width), nn.GELU())
    stages = _stages((2, 2, 2, 2), width, is_bottleneck=False, activation=nn.GELU)
    return nn.Sequential(*stem, *stages, *_head(stages, num_classes))


def _stages(
    blocks: tuple[int, int, int, int],
    width: int,
    *,
    is_bottleneck: bool,
    activation: type[nn.Module],
) -> list[ResidualBlock]:
    stages: list[ResidualBlock] = []
    channels = width
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            block = ResidualBlock(
                channels,
                width * 2**stage,
                stride,
                is_bottleneck=is_bottleneck,
                activation=activation,
            )
            stages.append(block)
            channels = block.outputs
    return stages


def _head(stages: list[ResidualBlock], classes: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stages[-1].outputs, classes)


class Attention(nn.Module):
    """Multi-head self-attention of tokens (batch, tokens, width).

    is_fused: use PyTorch's fused kernels, which have no second derivative; otherwise two products
        and a softmax.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.is_fused = heads, True
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        joined = self.project_in(x).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4).unbind(0)
        if self.is_fused:
            mixed = scaled_dot_product_attention(query, key, value)
        else:
            scores = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
            mixed = scores.softmax(dim=-1) @ value
        out: Tensor = self.project_out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out


class EncoderBlock(nn.Module):
    """Attention and a two-layer perceptron, each behind a layer norm and around a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.perceptron(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """A vision transformer that classifies from the mean token; the defaults are ViT-S/16 at 224.

    Source: Dosovitskiy et al., ICLR 2021 (arXiv:2010.11929); small as in Touvron et al., 2021.
    """

    def __init__(
        self,
        *,
        size: int = 224,
        patch: int = 16,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(dim=1))
        return logits


def set_fused_attention(model: nn.Module, is_fused: bool) -> None:
    """Choose the attention of all blocks; a model without attention is left alone."""
    for attention in _attentions(model):
        attention.is_fused = is_fused


def _attentions(model: nn.Module) -> Iterator[Attention]:
    return (module for module in model.modules() if isinstance(module, Attention))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
