"""What our layers for real networks save in a training step, against PyTorch's.

The same networks, once as they are and once with PyTorch's layers in their place, on a batch of 64
random images. Then networks of PyTorch's layers, as anyone builds them, whose layers double
backpropagation runs as ours, and once does not. The ratio is that of median processor seconds, in
turns.

Run: python benchmarks/real_blocks.py [--threads 1] [--repeats 20]
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from unittest.mock import patch

import torch
from device_suite.networks import VisionTransformer, resnet, set_fused_attention, small_resnet18
from gradient_step import gradient_step
from interleaved import measure_in_turn, ratio_cells
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.layers import use_torch_layers
from steadygrad.memory import keep_freed_memory
from steadygrad.models import build_model, model_entry
from steadygrad.penalties import NormPenalty, SquaredNormPenalty, backends

BATCH_SIZE = 64
MODELS = (
    "yeats2021-mnist-real",
    "yeats2021-mnist-gelu",
    "yeats2021-cifar1-real",
    "yeats2021-cifar1-gelu",
    "yeats2021-cifar1-complex",
    "roth2018-cifar10-relu",
    "ross2018-real",
)


def main() -> None:
    """Measure every network, plain and penalised, and print a table."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    table = Table("network", "step", "CPU ms", "with PyTorch's", "ratio", "spread")
    for name in MODELS:
        torch.manual_seed(0)
        ours, theirs = build_model(name), build_model(name)
        use_torch_layers(theirs)
        images = torch.rand(BATCH_SIZE, *model_entry(name).input_shape)
        labels = torch.randint(10, (BATCH_SIZE,))
        for step, penalty in (("penalised", SquaredNormPenalty(strength=0.1)), ("plain", None)):
            timings = measure_in_turn(
                {
                    "ours": gradient_step(ours, partial(_loss, ours, images, labels, penalty)),
                    "PyTorch's": gradient_step(
                        theirs, partial(_loss, theirs, images, labels, penalty)
                    ),
                },
                arguments.repeats,
            )
            table.add_row(name, step, *ratio_cells(timings["ours"], timings["PyTorch's"]))
    for name, (build, side, batch) in OTHERS.items():
        table.add_row(name, "penalised", *_as_ours(build(), side, batch, arguments.repeats))
    Console().print(table)


def _small_vit() -> nn.Module:
    model = VisionTransformer(size=32, patch=4, width=192, depth=4, heads=3, classes=10)
    set_fused_attention(model, False)  # the fused kernels have no second derivative
    return model


def _small_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 64, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


OTHERS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "CNN, 32 pixels": (_small_cnn, 32, 64),
    "ResNet-18 (GELU), 32 pixels": (small_resnet18, 32, 16),
    "ViT of 4 blocks, 32 pixels": (_small_vit, 32, 32),
    "ResNet-50, 224 pixels": (partial(resnet, (3, 4, 6, 3), is_bottleneck=True), 224, 4),
}
"""Networks, pixels of a side, images of a batch."""


def _as_ours(model: nn.Module, side: int, batch: int, repeats: int) -> tuple[str, str, str, str]:
    images, labels = torch.rand(batch, 3, side, side), torch.randint(10, (batch,))
    penalty = NormPenalty(eps=4 / 255)
    step = gradient_step(model.train(), lambda: penalty(model, images, labels).loss)

    def with_pytorchs() -> None:
        with patch.object(backends, "_own_layers", lambda _: nullcontext()):
            step()

    timings = measure_in_turn({"ours": step, "PyTorch's": with_pytorchs}, repeats)
    return ratio_cells(timings["ours"], timings["PyTorch's"])


def _loss(
    model: nn.Module, images: Tensor, labels: Tensor, penalty: SquaredNormPenalty | None
) -> Tensor:
    if penalty is None:
        return cross_entropy(model(images), labels)
    return penalty(model, images, labels).loss


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=20, help="rounds (default 20)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
