"""What the gradient of images costs in a first layer, against PyTorch's.

Layers of well-known networks, a batch of images, one backward pass through the convolution to the
images. The ratio is that of median processor seconds, in turns.

Run: python benchmarks/image_gradient.py [--threads 1] [--repeats 11]
"""

import argparse
from functools import partial

import torch
from interleaved import measure_in_turn, ratio_cells
from rich.console import Console
from rich.table import Table

from steadygrad.layers.hand_written.sliding_window import SlidingWindow
from steadygrad.memory import keep_freed_memory

# Image shape, batch size; filters, kernel, stride, padding.
LAYERS = {
    "MNIST, Yeats et al.": ((1, 28, 28), 64, (32, 3, 1, 1)),
    "CIFAR-10, Roth et al.": ((3, 32, 32), 64, (64, 3, 1, 0)),
    "CIFAR-10, ResNet-18": ((3, 32, 32), 64, (64, 3, 1, 1)),
    "CIFAR-10, ResNet-20": ((3, 32, 32), 64, (16, 3, 1, 1)),
    "ImageNet, ResNet-50": ((3, 224, 224), 8, (64, 7, 2, 3)),
    "ImageNet, VGG-16": ((3, 224, 224), 8, (64, 3, 1, 1)),
    "ImageNet, ViT-B/16": ((3, 224, 224), 8, (768, 16, 16, 0)),
}


def main() -> None:
    """Measure every layer and print a table."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    table = Table("first layer of", "CPU ms", "PyTorch's", "ratio", "spread")
    for name, (shape, batch_size, (filters, kernel, stride, padding)) in LAYERS.items():
        torch.manual_seed(0)
        window = SlidingWindow(
            stride=(stride, stride), padding=(padding, padding), dilation=(1, 1), groups=1
        )
        images = torch.rand(batch_size, *shape)
        weight = torch.randn(filters, shape[0], kernel, kernel)
        gradient = torch.randn_like(window.convolve(images, weight))
        timings = measure_in_turn(
            {
                "ours": partial(window.input_gradient, gradient, images, weight),
                "PyTorch's": partial(
                    window.gradients, gradient, images, weight, (True, False, False)
                ),
            },
            arguments.repeats,
        )
        table.add_row(name, *ratio_cells(timings["ours"], timings["PyTorch's"]))
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=11, help="rounds (default 11)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
