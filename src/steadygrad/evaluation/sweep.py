"""Attack the same examples at one radius after another."""

import hashlib
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, describe_attack, with_eps
from steadygrad.checks import check_finite_losses, check_logits
from steadygrad.evaluation.accuracy import correct, model_device
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint
from steadygrad.evaluation.eps_grid import ascending_eps
from steadygrad.evaluation.evaluation_mode import evaluation_mode

__all__ = ["accuracy_curve", "batch_generator"]


def accuracy_curve(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    eps_values: Iterable[float],
    *,
    batch_size: int = 256,
    seed: int = 0,
    reuse_broken: bool = True,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyCurve:
    """Return the accuracy under ``attack`` at each radius, the model in eval mode throughout.

    images: (N, channels, height, width) in [0, 1]; labels int64 (N,).
    attack: its own eps plays no part; ``with_eps`` moves it to each of ``eps_values``, which are
        sorted first. The accuracy at eps 0 is the clean one; nothing is attacked for it.
    batch_size: examples attacked together, at least 1.
    seed: every batch gets a CPU generator that depends on (seed, eps, number of the batch) alone.
    reuse_broken: an example that is wrong without attack, or that a smaller radius broke, counts
        as broken at every larger one and is not attacked again: sound, since the smaller ball
        lies in the larger, and cheaper. False attacks every example anew at every radius, as
        papers that print one run a radius do; such a curve may rise.
    device: where batches are sent; None takes the model's.
    progress: called as ``progress(done, total)``, counting every example once at every radius.

    Raises: ImageError, LabelError, ModelError, HyperparameterError.
    """
    began = time.perf_counter()
    radii = ascending_eps(eps_values)
    total = len(radii) * len(images)
    with evaluation_mode(model):
        is_correct = correct(model, images, labels, batch_size, device)
        device = model_device(model, images) if device is None else torch.device(device)
        broken_at = torch.full((len(images),), torch.inf, dtype=torch.float64)
        broken_at[~is_correct] = 0.0
        points = []
        for index, eps in enumerate(radii):
            rows = (
                broken_at.isinf().nonzero().squeeze(1)
                if reuse_broken
                else torch.arange(len(images))
            )
            done = index * len(images) + len(images) - len(rows)
            survives = torch.zeros(len(images), dtype=torch.bool)
            if eps == 0:
                survives = is_correct
            else:
                at_eps = with_eps(attack, eps)
                for number, batch in enumerate(torch.split(rows, batch_size)):
                    if progress is not None:
                        progress(done, total)
                    survives[batch] = _withstands(
                        model,
                        images[batch].to(device),
                        labels[batch].to(device),
                        at_eps,
                        batch_generator(seed, eps, number),
                    )
                    done += len(batch)
            broken_at[~survives & broken_at.isinf()] = eps
            points.append(AccuracyPoint(eps=eps, correct=int(survives.sum()), n=len(images)))
    if progress is not None:
        progress(total, total)
    return AccuracyCurve(
        attack=describe_attack(attack),
        points=tuple(points),
        broken_at=broken_at,
        seed=seed,
        seconds=time.perf_counter() - began,
        reuse_broken=reuse_broken,
    )


def batch_generator(seed: int, eps: float, batch: int) -> torch.Generator:
    """Return a CPU generator that depends on these three alone, and differs for any two triples."""
    digest = hashlib.sha256(f"{seed}/{float(eps)!r}/{batch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _withstands(
    model: Classifier, images: Images, labels: Labels, attack: Attack, generator: torch.Generator
) -> Tensor:
    adversarial = attack(model, images, labels, generator=generator)
    with torch.no_grad():
        logits = model(adversarial)
    check_logits(logits, len(images))
    check_finite_losses(logits)
    return (logits.argmax(dim=1) == labels).cpu()
