"""Finding a curve by one attack that grows: each radius goes on from the one before."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import PGD, Attack, describe_attack, with_eps
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.curve import AccuracyCurve
from steadygrad.evaluation.divided_batches import each_batch
from steadygrad.evaluation.labelled_images import ImageSource
from steadygrad.evaluation.sweep import CurveStart, ProgressCount
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = ["continued_curve"]


def continued_curve(
    model: Classifier,
    images: ImageSource,
    labels: Labels | None,
    attack: Attack,
    eps_values: Iterable[float],
    *,
    batch_size: int = 256,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracyCurve:
    """Return the curve of an attack that goes on from the smaller radius instead of anew.

    At the smallest radius the attack runs as it is. At every larger one the change of each image
    that is still classified correctly is stretched to the new radius, and half as many steps of
    the attack's size there follow. An image is dropped at the first step that misleads the model:
    it counts as broken at this radius and every larger one. So an image has taken 8 + 4 + 4 + ...
    steps of PGD(8) at the larger radii, not 8, for half the time of ``accuracy_curve``.

    Args:
        model: images to logits.
        images: as ``accuracy_curve``.
        labels: as ``accuracy_curve``.
        attack: ``PGD`` of one start and without a target; its own eps plays no part.
        eps_values: radii; at eps 0 nothing is attacked.
        batch_size: images attacked together at first, at least 1; those that are broken leave.
        seed: every batch gets a CPU generator that depends on (seed, number of the batch) alone.
        device: where batches are sent; None takes the model's.
        progress: called as ``progress(done, total)``, counting every example once at every radius.

    Raises:
        HyperparameterError: the attack cannot be continued, or a setting is out of range.
        ImageError, LabelError, ModelError: as ``accuracy_curve``.
    """
    if not (isinstance(attack, PGD) and attack.is_continuable):
        settings = ""
        if isinstance(attack, PGD):
            settings = f" with restarts={attack.restarts} and target={attack.target}"
        raise HyperparameterError(
            "expected pgd with restarts=1 and no target for the search 'continued', got "
            f"{describe_attack(attack)['name']}{settings}"
        )
    growing = attack
    start = CurveStart.of(
        model, images, labels, attack, eps_values, batch_size=batch_size, seed=seed, device=device
    )
    radii, is_correct = start.radii, start.is_correct
    count = ProgressCount(progress, len(radii) * len(is_correct))
    with evaluation_mode(model):
        broken_at = torch.zeros(len(is_correct), dtype=torch.float64, device="cpu")
        tried = [eps for eps in radii if eps > 0]
        batches = torch.split(is_correct.nonzero().squeeze(1), batch_size)
        count.add(len(radii) * len(is_correct) - len(tried) * int(is_correct.sum()))

        def attacked(number: int) -> Tensor:
            generator = derived_generator(seed, f"continued, batch {number}")
            return _broken_at(model, *start.batch(batches[number]), growing, tried, generator)

        def settle(number: int, found: Tensor) -> None:
            broken_at[batches[number]] = found
            count.add(len(tried) * len(found))

        if is_correct.any():
            each_batch(len(batches), attacked, report=settle)
    return start.curve(broken_at, "continued")


def _broken_at(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: PGD,
    radii: list[float],
    generator: torch.Generator,
) -> Tensor:
    """Return the smallest of the radii that broke each image, float64 on the CPU; else infinity."""
    found = torch.full((len(images),), torch.inf, dtype=torch.float64, device="cpu")
    rows, before = torch.arange(len(images), device=images.device), 0.0
    changed = images
    for eps in radii:
        at_radius = with_eps(attack, eps)
        if before == 0:
            begun, steps = at_radius.start(images, generator), attack.steps
        else:
            begun = images + (changed - images) * (eps / before)
            steps = -(-attack.steps // 2)
        changed, is_wrong = at_radius.continued(model, images, labels, begun, steps)
        found[rows[is_wrong].cpu()] = eps
        kept = ~is_wrong
        rows, images, labels, changed = rows[kept], images[kept], labels[kept], changed[kept]
        before = eps
        if len(rows) == 0:
            break
    return found
