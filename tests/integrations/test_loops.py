"""Runs of Accelerate end in the weights of a plain loop, and the examples run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from plain_loop import PENALTY, RATE, assert_same, images_and_labels, network, plain_loop

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]


def test_accelerate_with_accumulation() -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = network()
    loader = DataLoader(TensorDataset(*images_and_labels()), 16)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for images, labels in loader:
        with accelerator.accumulate(model):
            accelerator.backward(PENALTY(model, images, labels).loss)
            optimizer.step()
            optimizer.zero_grad()
    assert_same(plain_loop(network(), 16, 2), dict(model.state_dict()))


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("own_loop", "torch"),
        ("accelerate_loop", "accelerate"),
        ("lightning_module", "lightning"),
        ("transformers_trainer", "transformers"),
    ],
)
def test_recipes_run(name: str, library: str, recipe: Callable[[str], ModuleType]) -> None:
    pytest.importorskip(library)
    recipe(name).main()


def test_accelerate_in_two_processes_and_bf16(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    script = tmp_path / "two.py"
    example = Path(__file__).parents[2] / "examples"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(example)!r})\n"
        "from accelerate_loop import main\n"
        "assert main(epochs=1, precision='bf16') < 2.4\n"
    )
    launch = ("-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu")
    done = subprocess.run(
        [sys.executable, *launch, "--num_machines", "1", script],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
