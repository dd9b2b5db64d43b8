"""The curve, radius by radius: every example that still stands is attacked at the next one."""

import time
from collections.abc import Callable, Iterable, MutableMapping

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, describe_attack, norm_of
from steadygrad.evaluation.accuracy import correct, model_device
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint
from steadygrad.evaluation.eps_grid import ascending_eps
from steadygrad.evaluation.trial import ProgressCount, Trial
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["accuracy_curve"]


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
    outcomes: MutableMapping[str, Tensor] | None = None,
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
    outcomes: bool (n,) of batches that the same call has attacked before, and to which further
        ones are added: a ``KeptOutcomes`` lets a killed call go on.

    Raises: ImageError, LabelError, ModelError, HyperparameterError.
    """
    began = time.perf_counter()
    radii = ascending_eps(eps_values, norm_of(attack))
    n, points = len(images), []
    count = ProgressCount(progress, len(radii) * n)
    with evaluation_mode(model):
        is_correct = correct(model, images, labels, batch_size, device)
        place = model_device(model, images) if device is None else torch.device(device)
        trial = Trial(model, images, labels, attack, batch_size, seed, place, outcomes)
        broken_at = torch.full((n,), torch.inf, dtype=torch.float64)
        broken_at[~is_correct] = 0.0
        for eps in radii:
            if eps == 0:
                survives, rows = is_correct, torch.zeros(0, dtype=torch.int64)
            else:
                is_open = broken_at.isinf() if reuse_broken else torch.ones_like(is_correct)
                survives, rows = torch.zeros_like(is_correct), is_open.nonzero().squeeze(1)
            count.add(n - len(rows))
            survives[rows] = trial.withstand(rows, eps, lambda batch: count.add(len(batch)))
            broken_at[~survives & broken_at.isinf()] = eps
            points.append(AccuracyPoint(eps=eps, correct=int(survives.sum()), n=n))
    return AccuracyCurve(
        attack=describe_attack(attack),
        points=tuple(points),
        broken_at=broken_at,
        seed=seed,
        seconds=time.perf_counter() - began,
        search="sweep" if reuse_broken else "separate",
    )
