"""What the products of a dense layer cost, against PyTorch's.

Layers of well-known networks, a batch of rows: the output, the gradient of the input, and that of
the weights. A ratio is that of median processor seconds, in turns.

Run: python benchmarks/dense_products.py [--threads 1] [--repeats 11]
"""

import argparse
from collections.abc import Callable

import torch
from interleaved import measure_in_turn
from rich.console import Console
from rich.table import Table
from torch import Tensor

from steadygrad.layers.linear import linear
from steadygrad.memory import keep_freed_memory

# Rows (images, of a transformer times tokens), inputs, outputs.
LAYERS = {
    "MNIST, Yeats et al. (complex)": (64, 784, 128),
    "MNIST, Yeats et al. (real)": (64, 3136, 128),
    "MNIST, Ross & Doshi-Velez": (256, 3136, 1024),
    "ImageNet, ResNet-50": (64, 2048, 1000),
    "ImageNet, VGG-16": (8, 25088, 4096),
    "ImageNet, ViT-S/16": (8 * 197, 384, 1536),
}
RESULTS = ("output", "gradient of the input", "gradient of the weights")


def main() -> None:
    """Measure every layer and print a table."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    table = Table("dense layer of", *RESULTS, "largest spread")
    for name, (rows, inputs, outputs) in LAYERS.items():
        torch.manual_seed(0)
        x, weight, g = (
            torch.randn(shape) for shape in ((rows, inputs), (outputs, inputs), (rows, outputs))
        )
        ratios, spreads = [], []
        for factors in ((x, weight), (g, weight.t()), (g.t(), x.t())):
            timings = measure_in_turn(_contestants(*factors), arguments.repeats)
            ours, theirs = timings["ours"], timings["PyTorch's"]
            ratios.append(f"{ours.processor_seconds / theirs.processor_seconds:.2f}")
            spreads += [ours.spread, theirs.spread]
        table.add_row(name, *ratios, f"{max(spreads):.0%}")
    Console().print(table)


def _contestants(a: Tensor, b: Tensor) -> dict[str, Callable[[], Tensor]]:
    return {"ours": lambda: linear(a, b), "PyTorch's": lambda: a @ b.t()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=11, help="rounds (default 11)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
