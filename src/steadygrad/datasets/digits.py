"""scikit-learn's 1,797 handwritten digits: the set that needs no download."""

import torch
from torch import Tensor

from steadygrad.datasets.splitting import stratified_split

__all__ = ["load_digits"]

TEST_SIZE = 360
SPLIT_SEED = 0


def load_digits(split: str) -> tuple[Tensor, Tensor]:
    """Return (pixels, labels) of "train" (1,437 images) or "test" (360).

    Shapes: pixels ``(N, 1, 8, 8)`` float32, the stored 0..16 divided by 16; labels ``(N,)`` int64.
    The split is our own, stratified and the same for everybody; both parts keep the stored order.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    pixels = torch.from_numpy(bunch.images).float().div(16).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).long()
    train, test = stratified_split(labels, TEST_SIZE, SPLIT_SEED)
    chosen = train if split == "train" else test
    return pixels[chosen], labels[chosen]
