"""Cutting a set in two so that both parts hold the classes in the same proportions."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["stratified_split"]


def stratified_split(labels: Tensor, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of (what remains, what is held out), each in increasing order.

    labels: ``(N,)`` class indices. held_out: how many to take, from 0 to N.
    Each class gives ``held_out * count / N`` examples, rounded down; those still missing come
    from the classes with the largest remainders, the lower class index first among equals.
    """
    # RandomState and not torch: its stream is frozen, so a split means the same images in every
    # version of every library.
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels.cpu().numpy(), return_counts=True)
    quotas, remainders = np.divmod(counts.astype(np.int64) * held_out, max(len(labels), 1))
    missing = held_out - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:missing]] += 1

    chosen = np.zeros(len(labels), dtype=bool)
    for label, quota in zip(classes, quotas, strict=True):
        members = np.flatnonzero(labels.cpu().numpy() == label)
        chosen[random.permutation(members)[:quota]] = True
    return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))
