"""Independent random streams from one seed: one generator per purpose."""

import hashlib

import torch

__all__ = ["derive_seed", "derived_generator"]


def derive_seed(seed: int, purpose: str) -> int:
    """Return a seed in [0, 2^63) that depends on ``seed`` and ``purpose`` alone.

    Hashing keeps the streams apart: neighbouring seeds, or one seed's purposes, share no draws.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def derived_generator(
    seed: int, purpose: str, *, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a generator on ``device``, seeded by ``derive_seed``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose))
