"""Harden a network under Accelerate: ``accelerate launch --num_processes 2 --cpu <this file>``.

Gradient accumulation and bf16 work as usual: call the penalty inside ``accumulate`` and give its
loss to ``accelerator.backward``.
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import load_dataset
from steadygrad.penalties import CrossEntropy, NormPenalty


def main(epochs: int = 2, accumulation: int = 2, precision: str = "no", cpu: bool = True) -> float:
    """Train on the embedded digits; return the last loss."""
    torch.manual_seed(0)
    accelerator = Accelerator(
        gradient_accumulation_steps=accumulation, mixed_precision=precision, cpu=cpu
    )
    digits = load_dataset("digits", "train")
    loader = DataLoader(TensorDataset(digits.images(), digits.labels), 32, shuffle=True)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    penalty, loss = NormPenalty(eps=0.1), CrossEntropy(smoothing=0.1)
    value = 0.0
    for epoch in range(epochs):
        for images, labels in loader:
            with accelerator.accumulate(model):
                result = penalty(model, images, labels, loss=loss)
                accelerator.backward(result.loss)
                optimizer.step()
                optimizer.zero_grad()
        value = result.loss.item()
        accelerator.print(f"epoch {epoch + 1}: loss {value:.3f}")
    return value


if __name__ == "__main__":
    main()
