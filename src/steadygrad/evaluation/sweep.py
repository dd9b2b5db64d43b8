"""Finding a curve: radius by radius, by bisection, or from the distances of one run."""

import time
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, describe_attack, norm_of, with_eps
from steadygrad.attacks.adapters import ForeignAttack
from steadygrad.attacks.results import check_result
from steadygrad.checks import check_finite_losses, check_logits
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import correct, model_device
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint, ascending_eps, surviving
from steadygrad.evaluation.divided_batches import dividing_ranks, each_batch, from_main_rank
from steadygrad.evaluation.labelled_images import ImageSource, labelled_images
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.model_answer import answer
from steadygrad.seeds import derived_generator

__all__ = [
    "CurveStart",
    "ProgressCount",
    "Trial",
    "accuracy_curve",
    "bisected_curve",
    "distance_curve",
]


@dataclass(frozen=True, eq=False)
class Trial:
    """Everything but the radius and the rows. The model is in eval mode already.

    outcomes: of batches that were attacked before, by radius and number; further ones are added.
    """

    model: Classifier
    images: Images
    labels: Labels
    attack: Attack
    batch_size: int
    seed: int
    device: torch.device
    outcomes: MutableMapping[str, Tensor] | None = None

    def withstand(self, rows: Tensor, eps: float, report: Callable[[Tensor], None]) -> Tensor:
        """Attack the examples at ``rows`` (int64); return which are still right, bool, on the CPU.

        Examples are attacked in full batches, whichever rows they come from; ``report`` hears
        the outcome of each when it is done.
        Raises: ModelError, for outputs that are no finite logits.
        """
        if len(rows) == 0:
            return torch.zeros(0, dtype=torch.bool, device="cpu")
        attack, batches = with_eps(self.attack, eps), torch.split(rows, self.batch_size)
        names = [f"eps {eps!r}, batch {number}" for number in range(len(batches))]
        known = self._known(names, batches)

        def outcome(number: int) -> Tensor:
            if number in known:
                return known[number]
            generator = derived_generator(self.seed, names[number])
            return self._withstand_batch(attack, batches[number], generator)

        def settle(number: int, survives: Tensor) -> None:
            if self.outcomes is not None and number not in known and dividing_ranks().is_main:
                self.outcomes[names[number]] = survives
            report(survives)

        return torch.cat(each_batch(len(batches), outcome, report=settle))

    def _known(self, names: Sequence[str], batches: Sequence[Tensor]) -> dict[int, Tensor]:
        """Return the outcomes of batches that were attacked before, by number."""
        if self.outcomes is None:
            return {}
        outcomes = self.outcomes
        return from_main_rank(
            lambda: {
                number: outcomes[name]
                for number, name in enumerate(names)
                if name in outcomes and len(outcomes[name]) == len(batches[number])
            }
        )

    def _withstand_batch(self, attack: Attack, rows: Tensor, generator: torch.Generator) -> Tensor:
        images, labels = self.images[rows].to(self.device), self.labels[rows].to(self.device)
        adversarial = attack(self.model, images, labels, generator=generator)
        check_result(attack, adversarial, images)
        with torch.no_grad():
            logits = answer(self.model, adversarial)
        check_logits(logits, len(images))
        check_finite_losses(logits)
        return (logits.argmax(dim=1) == labels).cpu()


class ProgressCount:
    """Tells ``progress(done, total)`` how many pairs of an example and a radius are settled."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def add(self, settled: int) -> None:
        self.done += settled
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass(frozen=True)
class CurveStart:
    """What every search for a curve begins with, and how it ends.

    radii: ascending; images, labels: tensors; is_correct: bool (n,), without attack; place: where
    batches are sent; began: in seconds of ``time.perf_counter``.
    """

    radii: tuple[float, ...]
    images: Images
    labels: Labels
    is_correct: Tensor
    place: torch.device
    attack: Attack
    seed: int
    began: float

    @classmethod
    def of(
        cls,
        model: Classifier,
        images: ImageSource,
        labels: Labels | None,
        attack: Attack,
        eps_values: Iterable[float],
        *,
        batch_size: int,
        seed: int,
        device: torch.device | str | None,
    ) -> "CurveStart":
        """Classify the images; arguments and errors as of ``accuracy_curve``."""
        began = time.perf_counter()
        radii = ascending_eps(eps_values, norm_of(attack))
        images, labels = labelled_images(images, labels)
        is_correct = correct(model, images, labels, batch_size, device)
        place = model_device(model, images, device)
        return cls(radii, images, labels, is_correct, place, attack, seed, began)

    def batch(self, rows: Tensor) -> tuple[Images, Labels]:
        """Return some examples where batches are sent."""
        images, labels = self.images[rows.to(self.images.device)], self.labels
        return images.to(self.place), labels[rows.to(labels.device)].to(self.place)

    def curve(
        self, broken_at: Tensor, search: str, points: Sequence[AccuracyPoint] | None = None
    ) -> AccuracyCurve:
        """Return the curve; its points follow from ``broken_at`` where none are given."""
        return AccuracyCurve(
            attack=describe_attack(self.attack),
            points=surviving(broken_at, self.radii) if points is None else tuple(points),
            broken_at=broken_at,
            seed=self.seed,
            seconds=time.perf_counter() - self.began,
            search=search,
        )


def accuracy_curve(
    model: Classifier,
    images: ImageSource,
    labels: Labels | None,
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

    images: (N, channels, height, width) in [0, 1], with labels int64 (N,); or, with labels None,
        an ``ImageDataset``, a torch ``Dataset`` of (image, label), or a loader of batches.
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
        ones are added: ``Store.growing`` lets a killed call go on.

    Raises: ImageError, LabelError, ModelError, HyperparameterError.
    """
    start = CurveStart.of(
        model, images, labels, attack, eps_values, batch_size=batch_size, seed=seed, device=device
    )
    radii, is_correct = start.radii, start.is_correct
    n, points = len(is_correct), []
    count = ProgressCount(progress, len(radii) * n)
    with evaluation_mode(model):
        trial = Trial(
            model, start.images, start.labels, attack, batch_size, seed, start.place, outcomes
        )
        broken_at = torch.full((n,), torch.inf, dtype=torch.float64, device="cpu")
        broken_at[~is_correct] = 0.0
        for eps in radii:
            if eps == 0:
                survives, rows = is_correct, torch.zeros(0, dtype=torch.int64, device="cpu")
            else:
                is_open = broken_at.isinf() if reuse_broken else torch.ones_like(is_correct)
                survives, rows = torch.zeros_like(is_correct), is_open.nonzero().squeeze(1)
            count.add(n - len(rows))
            survives[rows] = trial.withstand(rows, eps, lambda batch: count.add(len(batch)))
            broken_at[~survives & broken_at.isinf()] = eps
            points.append(AccuracyPoint(eps=eps, correct=int(survives.sum()), n=n))
    return start.curve(broken_at, "sweep" if reuse_broken else "separate", points)


def bisected_curve(
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
    """Return the curve of ``accuracy_curve``, if an attack that fails also fails at smaller radii.

    Every example ends between two neighbouring radii, both really tried: the attack broke it at
    ``broken_at`` and failed at the radius before. Radii further down are not tried, so that the
    curve can lie above that of ``accuracy_curve``, which gives the attacker every radius in turn,
    and must not be trusted where an attack does better at a smaller radius (masked gradients).
    15 radii cost 4 attacks an example, where a robust model costs the sweep nearly 15.

    Arguments and errors: as ``accuracy_curve``.
    """
    start = CurveStart.of(
        model, images, labels, attack, eps_values, batch_size=batch_size, seed=seed, device=device
    )
    radii, is_correct = start.radii, start.is_correct
    tried = tuple(eps for eps in radii if eps > 0)
    n = len(is_correct)
    count = ProgressCount(progress, len(radii) * n)
    with evaluation_mode(model):
        trial = Trial(model, start.images, start.labels, attack, batch_size, seed, start.place)
        broken_at = torch.zeros(n, dtype=torch.float64, device="cpu")
        wrong = n - int(is_correct.sum())
        count.add((len(radii) - len(tried)) * n + len(tried) * wrong)

        def search(rows: Tensor, withstood: int, broke: int) -> None:
            """Settle the examples that withstand ``tried[withstood]`` and break at ``[broke]``."""
            if len(rows) == 0 or broke - withstood == 1:
                broken_at[rows] = tried[broke] if broke < len(tried) else torch.inf
                return
            middle = (withstood + broke) // 2

            def settled(survives: Tensor) -> None:
                survivors = int(survives.sum())
                count.add(survivors * (middle - withstood))
                count.add((len(survives) - survivors) * (broke - middle))

            survives = trial.withstand(rows, tried[middle], settled)
            search(rows[~survives], withstood, middle)
            search(rows[survives], middle, broke)

        # Nobody breaks below the first radius or at one beyond the last: -1 and len(tried).
        search(is_correct.nonzero().squeeze(1), -1, len(tried))
    return start.curve(broken_at, "bisection")


def distance_curve(
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
    """Return the curve that one run of a minimizing attack gives, at as many radii as wanted.

    The attack looks for each image's nearest adversarial image, whatever its ``eps``. An image is
    broken at every radius from that distance on, which is its ``broken_at``; the radii cost
    nothing.

    Args:
        model: images to logits; in eval mode throughout.
        images: as in ``accuracy_curve``.
        labels: as in ``accuracy_curve``.
        attack: one that minimizes, such as ``FMN``, ``DDN``, ``CarliniWagner`` or ``HopSkipJump``.
        eps_values: radii at which the curve has points, in any order.
        batch_size: images attacked together, at least 1.
        seed: every batch gets a CPU generator that depends on the seed and its number alone.
        device: where batches are sent; None takes the model's.
        progress: called as ``progress(done, total)``, counting images.

    Returns:
        the curve; its ``broken_at`` holds distances, not radii of the grid.

    Raises:
        ImageError, LabelError, ModelError: for what cannot be attacked.
        HyperparameterError: the attack does not minimize, or a radius is refused.
    """
    if not (isinstance(attack, ForeignAttack) and attack.is_minimal):
        raise HyperparameterError(
            "expected an attack that minimizes the perturbation, such as fmn, ddn, carlini-wagner "
            "or hop-skip-jump, to find a curve from distances, got "
            f"{describe_attack(attack)['name']}"
        )
    start = CurveStart.of(
        model, images, labels, attack, eps_values, batch_size=batch_size, seed=seed, device=device
    )
    is_correct = start.is_correct
    with evaluation_mode(model):
        batches = torch.split(is_correct.nonzero().squeeze(1), batch_size)
        count = ProgressCount(progress, len(is_correct))
        count.add(int((~is_correct).sum()))

        def distances(number: int) -> Tensor:
            generator = derived_generator(seed, f"distances, batch {number}")
            _, found = attack.closest(model, *start.batch(batches[number]), generator=generator)
            return found.double().cpu()

        broken_at = torch.zeros(len(is_correct), dtype=torch.float64, device="cpu")
        if is_correct.any():
            broken_at[is_correct] = torch.cat(
                each_batch(len(batches), distances, report=lambda _, found: count.add(len(found)))
            )
    return start.curve(broken_at, "distance")
