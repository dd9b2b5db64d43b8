"""What is measured of a training method: attacks, examples of other networks, and margins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steadygrad.attacks import PGD, Attack, RandomNoise, describe_attack
from steadygrad.evaluation import (
    AccuracyPoint,
    craft_adversarial_examples,
    deepfool_margins,
    predictions,
)
from steadygrad.experiments.accuracies import MeanAccuracy, mean_accuracy, mean_over_radii
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.transfer_pairs import EXAMPLES, PARTNER
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench
from steadygrad.json_file import required
from steadygrad.store import Store

__all__ = ["Method", "MethodAttacks", "MethodRow"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of the table.

    Args:
        network: of seed 0 and the paper's scale.
        row: where its printed numbers stand, such as "table1/mnist/clean"; "" for none.
        is_source: whether its examples are shown to the others.
    """

    network: Network
    row: str = ""
    is_source: bool = False


@dataclass(frozen=True)
class MethodRow:
    """What was measured of one method.

    clean: for each seed; attacked: means over the radii, by the column; transferred: the same, by
    the source's ``row``; margins: DeepFool's, for each seed.
    """

    method: Method
    clean: tuple[MeanAccuracy, ...]
    attacked: Mapping[str, tuple[MeanAccuracy, ...]]
    transferred: Mapping[str, tuple[MeanAccuracy, ...]]
    margins: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class MethodAttacks:
    """What every method is put to.

    Args:
        eps_values: radii of the means, ascending from 0; transfer_eps: those of the transfers.
        steps: of the white-box PGD; transfer_steps: of that whose examples are transferred.
    """

    eps_values: tuple[float, ...]
    transfer_eps: tuple[float, ...]
    steps: int = 10
    transfer_steps: int = 40

    def by_column(self, scale: Scale) -> dict[str, Attack]:
        """Return the attacks of the columns, in their order; steps of eps / 5, as the paper's."""
        pgd = _pgd(scale.attack_steps(self.steps))
        return {
            "random noise": RandomNoise(eps=0.0),
            "PGD": pgd,
            "targeted PGD": replace(pgd, target="random"),
        }

    def row(self, bench: Workbench, method: Method, sources: Sequence[Method]) -> MethodRow:
        """Attack a method's networks, show them the examples of the sources', measure margins."""
        networks = bench.measurable(bench.scale.all_of([method.network], bench.seeds))
        radii = bench.scale.radii(self.eps_values, ())
        attacked = {
            name: tuple(
                mean_over_radii(bench.points(network, attack, radii, bench.scale.attacked))
                for network in networks
            )
            for name, attack in self.by_column(bench.scale).items()
        }
        transferred: dict[str, tuple[MeanAccuracy, ...]] = {}
        for source in sources:
            points = [self._transfer(bench, source, network) for network in networks]
            if points and all(point is not None for point in points):
                transferred[source.row] = tuple(p for p in points if p is not None)
        return MethodRow(
            method,
            tuple(mean_accuracy([bench.clean_accuracy(network)]) for network in networks),
            attacked,
            transferred,
            tuple(_margins(bench, network) for network in networks),
        )

    def _transfer(self, bench: Workbench, source: Method, victim: Network) -> MeanAccuracy | None:
        """Return the victim's mean accuracy on a source's examples; None without the source."""
        seed = victim.config.seed + PARTNER
        attacked = bench.scale.of(source.network.of_seed(seed))
        attack = _pgd(bench.scale.attack_steps(self.transfer_steps))
        radii = bench.scale.radii(self.transfer_eps, ())
        data = bench.image_set(victim.config.data, bench.scale.attacked)
        question = bench.question(
            "correct on another network's examples",
            data,
            source=attacked.digest,
            attack=describe_attack(attack),
            eps=list(radii),
        )
        is_shown = bench.store.has(attacked) and bench.store.has(victim)
        if not is_shown and bench.earlier.find(victim, question) is None:
            return None

        def measure() -> dict[str, Any]:
            kept = Store(bench.store.folder / EXAMPLES)
            model, shown = bench.model(attacked), bench.model(victim)
            correct = []
            for eps in radii:
                examples = craft_adversarial_examples(
                    model,
                    data.images(),
                    data.labels,
                    replace(attack, eps=eps),
                    source=attacked.label,
                    dataset=data.name,
                    split=data.split,
                    seed=EVALUATION_SEED,
                    store=kept,
                )
                right = predictions(shown, examples.images) == data.labels
                correct.append(int(right.sum()))
            return {"correct": correct}

        if is_shown:
            bench.progress(f"{source.network.label} to {victim.label}: transfer")
            answer = bench.answer(victim, question, measure)
        else:
            answer = bench.measurements.take_over(victim, question, bench.earlier)
        if bench.measurable([attacked]):
            bench.training_seconds(attacked)  # noted, so that a source counts as measured
        correct = required(answer, "correct", list, f"what was measured of {victim.label}")
        return mean_over_radii(
            [AccuracyPoint(eps, k, len(data)) for eps, k in zip(radii, correct, strict=True)]
        )


def _pgd(steps: int) -> PGD:
    return PGD(eps=0.0, steps=steps, reach=steps / 5, start_from_prediction=True)


def _margins(bench: Workbench, network: Network) -> Mapping[str, Any]:
    """Return mean, its interval and the share of unbroken images under DeepFool."""
    data = bench.image_set(network.config.data, bench.scale.attacked)

    def measure() -> dict[str, Any]:
        bench.progress(f"{network.label}: DeepFool on {len(data)} images")
        margins = deepfool_margins(bench.model(network), data.images(), device=bench.device)
        return {k: v for k, v in margins.to_json().items() if k in ("mean", "ci95", "unbroken")}

    return bench.answer(network, bench.question("DeepFool margins", data), measure)
