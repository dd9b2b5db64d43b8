"""The black-box experiment: NES on Fashion-MNIST, one architecture, beside PGD at equal radius."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from steadygrad.attacks import NES, PGD, Attack, describe_attack
from steadygrad.evaluation import AccuracyPoint, worst_case
from steadygrad.experiments.accuracies import mean_accuracy, percent_series
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.comparison import interval_text
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.measurements import Answer
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.spread import compared_accuracy
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.printed import PAPER, obstacle_at
from steadygrad.experiments.yeats2021.recipes import RECIPES, Kind, Recipe
from steadygrad.json_file import required

__all__ = ["QueryAttack"]

TEXT = "nes_query_attack"
BETA = 64
"""As in the names of the data file's entries."""

Defence: TypeAlias = Literal["undefended", "gr_beta_64", "adversarially_trained_eps_0.2"]
"""As the data file calls them."""

SIZES: Mapping[str, tuple[int, int | None]] = {
    "smoke": (8, 64),
    "quick": (100, None),
    "paper": (1000, None),
}
"""Images, and queries for each (None: as many as printed), by the name of the scale."""

OF_PAPER = "NES on the logit"
ATTACKS = (OF_PAPER, "NES on the cross-entropy", "PGD(8), white box")


@dataclass(frozen=True, kw_only=True)
class QueryAttack:
    """The paper's five networks, their smooth twins, frozen phase, and random neighbours.

    The paper's code climbs minus the logit of the true class; the cross-entropy beside it is the
    stronger choice. Both have the radius, steps and queries that the paper prints.
    """

    recipe: Recipe = RECIPES["fashion_mnist, identical"]
    name: str = "yeats2021/nes"

    @property
    def title(self) -> str:
        """What it shows."""
        return f"accuracy under NES, a query attack, on {self.recipe.title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks first, then what goes beyond them."""
        return tuple(
            scale.of(network)
            for seed in seeds
            for network in (
                *self._of_paper(seed).values(),
                *(
                    self._network("gelu", defence, seed)
                    for defence in ("undefended", "gr_beta_64", "adversarially_trained_eps_0.2")
                ),
                self.recipe.penalised_network(
                    "complex", BETA, seed=seed, second_order="frozen_phase"
                ),
                *self.recipe.at_a_neighbour(BETA, seed=seed),
            )
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return the path of each network's accuracy."""
        return tuple(self._of_paper(0))

    def _of_paper(self, seed: int) -> dict[str, Network]:
        """Return the paper's networks by where their accuracies are printed."""
        rows: tuple[tuple[Kind, Defence], ...] = (
            ("real", "undefended"),
            ("real", "gr_beta_64"),
            ("real", "adversarially_trained_eps_0.2"),
            ("complex", "undefended"),
            ("complex", "gr_beta_64"),
        )
        return {
            f"{TEXT}/{kind}/{defence}": self._network(kind, defence, seed) for kind, defence in rows
        }

    def _network(self, kind: Kind, defence: Defence, seed: int) -> Network:
        match defence:
            case "undefended":
                return self.recipe.plain(kind, seed=seed)
            case "gr_beta_64":
                return self.recipe.penalised_network(kind, BETA, seed=seed)
            case "adversarially_trained_eps_0.2":
                return self.recipe.pgd_trained(kind, seed=seed)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every trained network in three ways."""
        images, queries = _sizes(bench.scale)
        attacks = _attacks(queries)
        measured: dict[str, list[_Measured]] = {}
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            found = _measured(bench, network, attacks, images)
            measured.setdefault(network.label, []).append(found)
        tested = len(bench.test_set(self.recipe.dataset, images))
        caption = (
            f"{self.recipe.title}, scale {bench.scale.name}: the first {tested:,} test images, all "
            f"counted, eps {_eps():g}; NES: {_steps()} steps, {queries:,} queries an image, "
            "antithetic pairs of width 0.001, on minus the logit of the true class (the paper's "
            "code) or on the cross-entropy; PGD: 8 steps, random start. Seeds "
            f"{', '.join(map(str, bench.seeds))}. Bars are 95 % intervals for the choice of "
            "images; stars are the paper's values, over 1,000 images."
        )
        if self.recipe.caution:
            caption += f" Not comparable with the paper: {self.recipe.caution}."
        return ExperimentOutcome(
            caption=caption,
            charts={"nes": (self._chart(measured),)},
            tables={"nes": self._table(measured)},
            compared=tuple(
                compared_accuracy(
                    f"{network.label}: accuracy under NES (%)",
                    PAPER,
                    path,
                    [one.attacked[OF_PAPER] for one in measured.get(network.label, ())],
                    obstacle=obstacle_at(bench.scale, self.recipe.caution),
                    note=OF_PAPER,
                )
                for path, network in self._of_paper(0).items()
            ),
        )

    def _printed(self) -> dict[str, float]:
        """Return the paper's accuracies by our labels."""
        return {
            network.label: published_number(PAPER, path)
            for path, network in self._of_paper(0).items()
        }

    def _table(self, measured: Mapping[str, Sequence["_Measured"]]) -> Table:
        printed = self._printed()
        rows: list[tuple[Cell, ...]] = [
            (
                label,
                one.network.config.seed,
                _percent(one.clean),
                *(_percent(one.attacked[name]) for name in ATTACKS),
                _percent(one.worst),
                interval_text([100 * bound for bound in one.worst.ci95]),
                printed.get(label),
            )
            for label, networks in measured.items()
            for one in networks
        ]
        return Table(
            title=f"{self.recipe.title}: accuracy (%) at eps {_eps():g}",
            columns=(
                "network",
                "seed",
                "clean",
                *ATTACKS,
                "worst of all",
                "its 95 % interval",
                f"paper ({OF_PAPER})",
            ),
            rows=tuple(rows),
            note="Worst of all: images that are right without attack and after each of the three.",
        )

    def _chart(self, measured: Mapping[str, Sequence["_Measured"]]) -> LineChart:
        labels, printed = tuple(measured), self._printed()
        series = []
        for index, name in enumerate(ATTACKS):
            points = [
                mean_accuracy([one.attacked[name] for one in measured[label]]) for label in labels
            ]
            places = [place + 0.15 * (index - 1) for place in range(len(labels))]
            series.append(percent_series(name, places, points, drawn="points"))
        return LineChart(
            title=f"{self.recipe.title}: NES and PGD(8) at eps {_eps():g}",
            x_label="network",
            y_label="accuracy (%)",
            series=tuple(series),
            printed=tuple(
                PrintedPoint("", x, printed[label], series=OF_PAPER)
                for x, label in zip(series[0].x, labels, strict=True)
                if label in printed
            ),
            x_names=tuple(label.replace(", ", ",\n").replace(" at ", "\nat ") for label in labels),
        )


@dataclass(frozen=True)
class _Measured:
    """One network's accuracies: without attack, under each by its name, under all of them."""

    network: Network
    clean: AccuracyPoint
    attacked: Mapping[str, AccuracyPoint]
    worst: AccuracyPoint


def _measured(
    bench: Workbench, network: Network, attacks: Mapping[str, Attack], images: int
) -> _Measured:
    """Attack the first ``images`` test images at the paper's radius, all of them counted."""
    data = bench.test_set(network.config.dataset, images)

    def measure() -> Answer:
        curves = {
            name: bench.curve(network, attack, (0.0, _eps()), images)
            for name, attack in attacks.items()
        }
        return {
            "clean": curves[OF_PAPER].points[0].correct,
            "attacked": {name: curve.points[1].correct for name, curve in curves.items()},
            "worst": worst_case(list(curves.values())).points[1].correct,
        }

    described = {name: describe_attack(attack) for name, attack in attacks.items()}
    question = bench.question(
        "correct under each attack and under all", data, eps=_eps(), attacks=described
    )
    answer = bench.answer(network, question, measure)
    where = f"what was measured of {network.label}"
    attacked = required(answer, "attacked", dict, where)

    def point(counts: Mapping[str, int], name: str, eps: float) -> AccuracyPoint:
        return AccuracyPoint(eps, required(counts, name, int, where), len(data))

    return _Measured(
        network,
        point(answer, "clean", 0.0),
        {name: point(attacked, name, _eps()) for name in attacks},
        point(answer, "worst", _eps()),
    )


def _eps() -> float:
    return published_number(PAPER, f"{TEXT}/epsilon")


def _steps() -> int:
    return int(published_number(PAPER, f"{TEXT}/steps"))


def _sizes(scale: Scale) -> tuple[int, int]:
    """Return images and queries an image."""
    images, queries = SIZES[scale.name]
    return images, queries or int(published_number(PAPER, f"{TEXT}/queries_per_image"))


def _attacks(queries: int) -> dict[str, Attack]:
    on_logit, on_entropy, white_box = ATTACKS
    return {
        on_logit: NES(eps=0.0, queries=queries, steps=_steps(), loss="logit"),
        on_entropy: NES(eps=0.0, queries=queries, steps=_steps()),
        white_box: PGD(eps=0.0, steps=8),
    }


def _percent(point: AccuracyPoint) -> float:
    return round(100 * point.accuracy, 1)
