"""Harden a LightningModule, and see robust accuracy after each validation."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import load_dataset
from steadygrad.integrations import PenalizedTraining, robustness_callback


class Digits(PenalizedTraining, LightningModule):
    """A small network; ``training_step`` comes from ``PenalizedTraining``."""

    def __init__(self) -> None:
        super().__init__()
        self.penalty = "norm:eps=0.1"
        self.network = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of images in [0, 1]."""
        return self.network(images)

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Log the clean accuracy."""
        images, labels = batch
        self.log("val_accuracy", (self(images).argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


def loader(split: str, shuffle: bool) -> DataLoader:
    """Return batches of the embedded digits."""
    digits = load_dataset(split=split, source="digits")  # type: ignore[arg-type]
    return DataLoader(TensorDataset(digits.images(), digits.labels), 64, shuffle=shuffle)


def main(epochs: int = 2) -> dict[str, float]:
    """Train; return what was logged last."""
    torch.manual_seed(0)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[robustness_callback("pgd:eps=0.1,steps=5", images=128)],
    )  # fmt: skip
    trainer.fit(Digits(), loader("train", True), loader("test", False))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    print(main())
