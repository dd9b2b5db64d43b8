"""Randomness of libraries that know no generator: the global ones, borrowed and given back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from steadygrad.draws import ImageDraws, ShareDraws
from steadygrad.errors import HyperparameterError

__all__ = ["seeded_from"]


@contextmanager
def seeded_from(generator: torch.Generator | None) -> Iterator[int]:
    """Seed the global generators of torch, numpy and Python from ours; restore them afterwards.

    generator: gives one number; torch's global one does if this is None.
    Yields: the seed, for libraries that want one, in [0, 2**31).
    Raises: HyperparameterError, for ``ImageDraws`` and ``ShareDraws``.
    """
    if isinstance(generator, ImageDraws | ShareDraws):
        raise HyperparameterError(
            "expected a torch.Generator for an attack of another library, got "
            f"{type(generator).__name__}: it draws for whole batches and cannot draw for each "
            "image by itself; train with it in one process"
        )
    device = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**31, (), generator=generator, device=device))
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield seed
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
