"""What our layers for real networks save in a training step, against PyTorch's.

The same networks, once as they are and once with PyTorch's layers in their place, on a batch of 64
random images. The ratio is that of median processor seconds, in turns.

Run: python benchmarks/real_blocks.py [--threads 1] [--repeats 20]
"""

import argparse
from functools import partial

import torch
from gradient_step import gradient_step
from interleaved import measure_in_turn, ratio_cells
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.layers import use_torch_layers
from steadygrad.memory import keep_freed_memory
from steadygrad.models import build_model, model_entry
from steadygrad.penalties import SquaredNormPenalty

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
    Console().print(table)


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
