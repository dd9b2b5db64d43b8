"""Harden an image classifier of transformers with its own Trainer."""

import tempfile
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from steadygrad.datasets import load_dataset
from steadygrad.integrations import PenalizedTrainerMixin

MEAN, STD = (0.5,), (0.25,)


class HardeningTrainer(PenalizedTrainerMixin, Trainer):
    """The Trainer with a penalty in its loss."""


def rows(split: str, count: int) -> list[dict[str, Tensor]]:
    """Return examples as the Trainer takes them, normalised as an image processor would."""
    digits = load_dataset("digits", split).first(count)  # type: ignore[arg-type]
    values = (digits.images() - MEAN[0]) / STD[0]
    return [{"pixel_values": v, "labels": y} for v, y in zip(values, digits.labels, strict=True)]


def main(**arguments: Any) -> float:
    """Train a tiny vision transformer on the embedded digits; return its evaluation loss."""
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=8, patch_size=2, num_channels=1, hidden_size=64, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=128, num_labels=10,
    )  # fmt: skip
    settings = {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": 6,
        "per_device_train_batch_size": 32,
        "learning_rate": 2e-3,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 20,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
    }
    trainer = HardeningTrainer(
        model=ViTForImageClassification(config),
        args=TrainingArguments(**(settings | arguments)),
        train_dataset=rows("train", 1437),
        eval_dataset=rows("test", 128),
        penalty="norm:eps=0.02",
        mean=MEAN,
        std=STD,
    )
    trainer.train()
    return float(trainer.evaluate()["eval_loss"])


if __name__ == "__main__":
    print(f"evaluation loss {main():.3f}")
