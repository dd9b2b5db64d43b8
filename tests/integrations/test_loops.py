"""Runs of transformers, Lightning and Accelerate end in the weights of a plain loop."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import load_dataset
from steadygrad.errors import ImageError
from steadygrad.integrations import PenalizedTrainerMixin, PenalizedTraining, robustness_callback
from steadygrad.models import Classifier
from steadygrad.penalties import NormPenalty

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]
PENALTY = NormPenalty(eps=0.05)
RATE = 0.05


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 10))


def images_and_labels(count: int = 96) -> tuple[Tensor, Tensor]:
    digits = load_dataset("digits", "train").first(count)
    return digits.images(), digits.labels


def plain_loop(model: nn.Module, batch: int, accumulation: int = 1) -> dict[str, Tensor]:
    """Return the weights after one epoch of SGD in the stored order."""
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    pairs = list(zip(*(t.split(batch) for t in images_and_labels()), strict=True))
    for number, (images, labels) in enumerate(pairs, start=1):
        (PENALTY(model, images, labels).loss / accumulation).backward()
        if number % accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
    return dict(model.state_dict())


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_trainer_of_transformers(accumulation: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class InOrder(PenalizedTrainerMixin, transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=10,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config)
    images, labels = images_and_labels()
    rows = [
        {"pixel_values": v, "labels": y} for v, y in zip((images - 0.5) / 0.25, labels, strict=True)
    ]
    wrapped = Classifier(copy.deepcopy(model).train(), mean=[0.5], std=[0.25])
    expected = plain_loop(wrapped, 32 // accumulation, accumulation)

    def trainer(**settings: Any) -> Any:
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=1,
            per_device_train_batch_size=32 // accumulation,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
            learning_rate=RATE,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
        )
        chosen = {"mean": [0.5], "std": [0.25]} | settings
        return InOrder(
            model=model, args=arguments, train_dataset=rows, eval_dataset=rows, penalty=PENALTY,
            **chosen,
        )  # fmt: skip

    running = trainer()
    running.train()
    inner = {k.removeprefix("model."): t for k, t in expected.items() if k.startswith("model.")}
    assert_same(inner, dict(model.state_dict()))
    told = running.evaluate()
    with torch.no_grad():
        logits = wrapped.eval()(images)
    plain = nn.functional.cross_entropy(logits, labels).item()
    assert told["eval_loss"] == pytest.approx(plain, rel=1e-3)
    assert running.predict(rows[:5]).predictions.shape == (5, 10)
    with pytest.raises(ImageError, match="turn back into pixels"):
        trainer(mean=[0.1], std=[0.9]).train()
    with pytest.raises(ImageError, match="expected the mean and std"):
        trainer(mean=None, std=None)


def test_lightning() -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Small(PenalizedTraining, lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.penalty, self.network = PENALTY, network()

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)

        def validation_step(self, batch: Any, _index: int) -> None:
            assert not torch.is_grad_enabled()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), RATE)

    loader = DataLoader(TensorDataset(*images_and_labels()), 32)
    module = Small()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[robustness_callback("fgsm:eps=0.1", images=40)],
    )
    trainer.fit(module, loader, loader)
    assert_same(plain_loop(network(), 32), dict(module.network.state_dict()))
    logged = trainer.callback_metrics
    assert logged["train_penalty"] > 0 and 0 <= logged["val_robust_accuracy"] <= 1


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
