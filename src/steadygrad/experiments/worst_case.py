"""The accuracy that is left when several kinds of attack try every image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import PGD, Attack, AutoAttack, describe_attack
from steadygrad.evaluation import AccuracyPoint, predictions
from steadygrad.experiments.accuracies import Accuracies, mean_accuracy, percent_interval
from steadygrad.experiments.experiment import Cell, Table
from steadygrad.experiments.measurements import Answer
from steadygrad.experiments.network import Network
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench
from steadygrad.json_file import required
from steadygrad.seeds import derived_generator

__all__ = [
    "BatteryAttack",
    "WorstCase",
    "attack_in_turn",
    "attacked_in_turn",
    "worst_case_battery",
    "worst_case_of",
    "worst_case_table",
]


@dataclass(frozen=True)
class BatteryAttack:
    """One attack of the battery.

    Args:
        title: what people read.
        key: by what its outcome is stored and its random draws are seeded. The keys are the titles
            of the first version, written out: what was measured then stands.
    """

    title: str
    key: str
    attack: Attack


@dataclass(frozen=True)
class WorstCase:
    """How many of ``n`` images no attack broke at a radius.

    correct: images that are classified correctly without attack; broken_by: how many each attack
        broke of what those before it left, by its key, in their order.
    """

    eps: float
    n: int
    correct: int
    broken_by: Mapping[str, int]

    @property
    def point(self) -> AccuracyPoint:
        """The accuracy that is left."""
        return AccuracyPoint(self.eps, self.correct - sum(self.broken_by.values()), self.n)


def worst_case_battery(
    eps: float, steps: int = 50, queries: int = 5000
) -> tuple[BatteryAttack, ...]:
    """Return attacks of four kinds: long, towards every class, adaptive, without gradients.

    steps: of PGD on the cross-entropy, twice from the start; towards each class it takes 0.4 of
        them. queries: of Square, an image.
    Raises: MissingExtraError, without the library of AutoAttack; HyperparameterError, for eps.
    """
    fewer = max(1, round(0.4 * steps))
    return (
        BatteryAttack(
            f"PGD({steps}), 2 restarts",
            f"PGD({steps}), 2 restarts",
            PGD(eps=eps, steps=steps, restarts=2),
        ),
        BatteryAttack(
            f"PGD({fewer}) on the margin, to every class",
            f"PGD({fewer}) on the margin, to every class",
            PGD(eps=eps, steps=fewer, loss="margin", target="all"),
        ),
        BatteryAttack("APGD(100)", "APGD(100)", AutoAttack(eps=eps, attacks=("apgd-ce",))),
        BatteryAttack(
            f"Square, {queries:,} queries",
            f"Square, {queries:,} queries",
            AutoAttack(eps=eps, attacks=("square",), square_queries=queries),
        ),
    )


def attack_in_turn(
    model: Classifier,
    images: Images,
    labels: Labels,
    battery: Sequence[BatteryAttack],
    eps: float,
) -> WorstCase:
    """Give each attack the images that are still right; model in eval mode.

    images: (n, channels, height, width) in [0, 1] on the model's device; labels int64 (n,).
    """
    standing = (predictions(model, images) == labels.cpu()).nonzero().flatten()
    correct, broken_by = len(standing), {}
    for member in battery:
        broken_by[member.key] = 0
        if len(standing) == 0:
            continue
        purpose = f"worst case, eps {eps!r}, {member.key}"
        generator = derived_generator(EVALUATION_SEED, purpose)
        found = member.attack(model, images[standing], labels[standing], generator=generator)
        is_right = predictions(model, found) == labels[standing].cpu()
        broken_by[member.key] = int((~is_right).sum())
        standing = standing[is_right]
    return WorstCase(eps, len(images), correct, broken_by)


def worst_case_of(bench: Workbench, network: Network, eps: float) -> WorstCase:
    """Return the worst case on the first ``bench.scale.worst_case`` test images.

    Of a network that is not available here, what was measured earlier.
    """
    battery = worst_case_battery(eps, bench.scale.steps, bench.scale.queries)
    return attacked_in_turn(bench, network, eps, battery, bench.scale.worst_case)


def attacked_in_turn(
    bench: Workbench,
    network: Network,
    eps: float,
    battery: Sequence[BatteryAttack],
    limit: int,
    first: int = 0,
) -> WorstCase:
    """Return what a battery leaves of the images from ``first`` up to ``limit``.

    Measured now or earlier, see ``Workbench.answer``.
    """
    data = bench.image_set(network.config.data, limit)
    described = {member.key: describe_attack(member.attack) for member in battery}
    begin = {"first": first} if first else {}  # what was measured from the first image on stands
    question = bench.question("worst case", data, eps=eps, attacks=described, **begin)

    def measure() -> Answer:
        bench.progress(f"{network.label}: worst case at eps {eps:.3g}, images {first} to {limit}")
        images = data.images(slice(first, None)).to(bench.device)
        labels = data.labels[first:].to(bench.device)
        worst = attack_in_turn(bench.model(network), images, labels, battery, eps)
        return {"correct": worst.correct, "broken_by": dict(worst.broken_by)}

    answer = bench.answer(network, question, measure)
    where = f"what was measured of {network.label}"
    broken_by = required(answer, "broken_by", dict, where)
    broken = {member.key: required(broken_by, member.key, int, where) for member in battery}
    return WorstCase(eps, len(data) - first, required(answer, "correct", int, where), broken)


def worst_case_table(
    bench: Workbench,
    measured: Iterable[Accuracies],
    eps: float,
    title: str,
    attack: str = "PGD(8)",
) -> Table:
    """Return a row for each of them: its worst case at a radius of its curves, over its seeds.

    attack: how that of the curves is called.
    """
    rows: list[tuple[Cell, ...]] = []
    battery = worst_case_battery(eps, bench.scale.steps, bench.scale.queries)
    for accuracies in measured:
        worst = [worst_case_of(bench, network, eps) for network in accuracies.networks]
        left = mean_accuracy([one.point for one in worst])
        images = left.n * len(worst)
        rows.append(
            (
                accuracies.label,
                round(100 * sum(one.correct for one in worst) / images, 1),
                round(100 * accuracies.at(eps).accuracy, 1),
                round(100 * left.accuracy, 1),
                percent_interval(left),
                *(
                    round(100 * sum(one.broken_by[member.key] for one in worst) / images, 1)
                    for member in battery
                ),
            )
        )
    return Table(
        title=f"{title}: worst case over four attacks at eps {eps:.3g}",
        columns=(
            "network",
            "clean",
            f"{attack}, all attacked images",
            "worst case",
            "95 % interval",
            *(f"broken by {member.title}" for member in battery),
        ),
        rows=tuple(rows),
        intervals=("95 % interval",),
        note=f"Percent of the first {bench.scale.worst_case} test images, over the seeds, but "
        f"for {attack}: the first {bench.scale.attacked:,}. Each attack runs on the images that "
        "survived those before it.",
    )
