"""Accuracy under attacks that see outputs alone, beside a white-box attack at equal radius."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from steadygrad.attacks import NES, PGD, Attack, describe_attack
from steadygrad.evaluation import AccuracyPoint, worst_case
from steadygrad.experiments.accuracies import mean_accuracy, percent_interval, percent_series
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.measurements import Answer
from steadygrad.experiments.network import Network
from steadygrad.experiments.printed import compared_accuracy
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.json_file import required

__all__ = ["QueryAttack"]


@dataclass(frozen=True, kw_only=True)
class QueryAttack(Artefact):
    """Networks under NES on the true class' logit and on the cross-entropy, and under PGD(8).

    The logit is what the code of Yeats et al. (2021) climbs down; the cross-entropy beside it is
    the stronger choice. All three have the same radius.

    Args:
        dataset, data_title: the test images, and what people call them; caution: what keeps
            results on them from being compared with the paper's, "" for nothing.
        of_paper: networks of the paper, of seed 0 and its scale, by where their accuracy is
            printed; beyond: ours besides.
        eps: radius; steps, queries: of NES, queries an image.
    """

    dataset: str
    data_title: str
    of_paper: Mapping[str, Network]
    beyond: tuple[Network, ...]
    eps: float
    steps: int
    queries: int
    caution: str = ""

    @property
    def title(self) -> str:
        """What it shows."""
        return f"accuracy under NES, a query attack, on {self.data_title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks first, then what goes beyond them, seed by seed."""
        return scale.all_of((*self.of_paper.values(), *self.beyond), seeds)

    def printed_paths(self) -> tuple[str, ...]:
        """Return the path of each network's accuracy."""
        return tuple(self.of_paper)

    def queries_at(self, scale: Scale) -> int:
        """Return the queries an image at a scale."""
        return self.queries if scale.query_limit is None else scale.query_limit

    def tried(self, scale: Scale) -> "tuple[TriedAttack, ...]":
        """Return the three attacks; the first is the paper's."""
        queries = self.queries_at(scale)
        on_entropy = NES(eps=0.0, queries=queries, steps=self.steps)
        on_logit = NES(eps=0.0, queries=queries, steps=self.steps, loss="logit")
        return (
            TriedAttack("NES on the logit", "NES on the logit", on_logit),
            TriedAttack("NES on the cross-entropy", "NES on the cross-entropy", on_entropy),
            TriedAttack("PGD(8), white box", "PGD(8), white box", PGD(eps=0.0, steps=8)),
        )

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every trained network in three ways."""
        scale, tried = bench.scale, self.tried(bench.scale)
        measured: dict[str, list[_Measured]] = {}
        for network in bench.measurable(self.networks(scale, bench.seeds)):
            found = self._measured(bench, network, tried)
            measured.setdefault(network.variant, []).append(found)
        return ExperimentOutcome(
            caption=self._caption(bench),
            charts={self.stem: (self._chart(tried, list(measured.values())),)},
            tables={self.stem: self._table(tried, measured.values())},
            compared=tuple(
                compared_accuracy(
                    f"{network.label}: accuracy under NES (%)",
                    self.paper,
                    path,
                    [one.attacked[tried[0].key] for one in measured.get(network.variant, ())],
                    obstacle=scale.obstacle(self.caution),
                    note=tried[0].title,
                )
                for path, network in self.of_paper.items()
            ),
        )

    def _caption(self, bench: Workbench) -> str:
        tested = len(bench.image_set(self.dataset, bench.scale.queried))
        caption = (
            f"{self.data_title}, scale {bench.scale.name}: the first {tested:,} test images, all "
            f"counted, eps {self.eps:g}; NES: {self.steps} steps, "
            f"{self.queries_at(bench.scale):,} queries an image, "
            "antithetic pairs of width 0.001, on minus the logit of the true class (the paper's "
            "code) or on the cross-entropy; PGD: 8 steps, random start. Seeds "
            f"{', '.join(map(str, bench.seeds))}. Bars are 95 % intervals for the choice of "
            "images; the paper's values are over 1,000 images."
        )
        if self.caution:
            caption += f" Not comparable with the paper: {self.caution}."
        return caption

    def _measured(
        self, bench: Workbench, network: Network, tried: Sequence["TriedAttack"]
    ) -> "_Measured":
        """Attack the first test images at the figure's radius, all of them counted."""
        images = bench.scale.queried
        data = bench.image_set(self.dataset, images)

        def measure() -> Answer:
            curves = {
                one.key: bench.curve(network, one.attack, (0.0, self.eps), images) for one in tried
            }
            return {
                "clean": curves[tried[0].key].points[0].correct,
                "attacked": {key: curve.points[1].correct for key, curve in curves.items()},
                "worst": worst_case(list(curves.values())).points[1].correct,
            }

        described = {one.key: describe_attack(one.attack) for one in tried}
        question = bench.question(
            "correct under each attack and under all", data, eps=self.eps, attacks=described
        )
        answer = bench.answer(network, question, measure)
        where = f"what was measured of {network.label}"
        attacked = required(answer, "attacked", dict, where)

        def point(counts: Mapping[str, int], name: str, eps: float) -> AccuracyPoint:
            return AccuracyPoint(eps, required(counts, name, int, where), len(data))

        return _Measured(
            network,
            point(answer, "clean", 0.0),
            {one.key: point(attacked, one.key, self.eps) for one in tried},
            point(answer, "worst", self.eps),
        )

    def _printed(self) -> dict[str, float]:
        """Return the paper's accuracies by variant."""
        return {
            network.variant: published_number(self.paper, path)
            for path, network in self.of_paper.items()
        }

    def _table(
        self, tried: Sequence["TriedAttack"], measured: Iterable[Sequence["_Measured"]]
    ) -> Table:
        printed = self._printed()
        rows: list[tuple[Cell, ...]] = [
            (
                one.network.label,
                one.network.config.seed,
                _percent(one.clean),
                *(_percent(one.attacked[attack.key]) for attack in tried),
                _percent(one.worst),
                percent_interval(mean_accuracy([one.worst])),
                printed.get(one.network.variant),
            )
            for networks in measured
            for one in networks
        ]
        return Table(
            title=f"{self.data_title}: accuracy (%) at eps {self.eps:g}",
            columns=(
                "network",
                "seed",
                "clean",
                *(attack.title for attack in tried),
                "worst of all",
                "its 95 % interval",
                f"paper ({tried[0].title})",
            ),
            rows=tuple(rows),
            note="Worst of all: images classified correctly without attack and after each one.",
            intervals=("its 95 % interval",),
        )

    def _chart(
        self, tried: Sequence["TriedAttack"], measured: Sequence[Sequence["_Measured"]]
    ) -> LineChart:
        printed = self._printed()
        networks = [own[0].network for own in measured]
        series = []
        for index, attack in enumerate(tried):
            points = [mean_accuracy([one.attacked[attack.key] for one in own]) for own in measured]
            places = [place + 0.15 * (index - 1) for place in range(len(networks))]
            series.append(percent_series(attack.title, places, points, drawn="points"))
        return LineChart(
            title=f"{self.data_title}: NES and PGD(8) at eps {self.eps:g}",
            x_label="network",
            y_label="accuracy (%)",
            series=tuple(series),
            printed=tuple(
                PrintedPoint("", x, printed[network.variant], series=tried[0].title)
                for x, network in zip(series[0].x, networks, strict=True)
                if network.variant in printed
            ),
            x_names=tuple(
                network.label.replace(", ", ",\n").replace(" at ", "\nat ") for network in networks
            ),
        )


@dataclass(frozen=True)
class TriedAttack:
    """One of the attacks, of any radius.

    Args:
        title: what people read; key: by what its outcome is stored.
    """

    title: str
    key: str
    attack: Attack


@dataclass(frozen=True)
class _Measured:
    """One network's accuracies: without attack, under each by its key, under all of them."""

    network: Network
    clean: AccuracyPoint
    attacked: Mapping[str, AccuracyPoint]
    worst: AccuracyPoint


def _percent(point: AccuracyPoint) -> float:
    return round(100 * point.accuracy, 1)
