"""Figures 6 and 7: accuracy under PGD(8) against its radius, network by network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steadygrad.attacks import PGD
from steadygrad.evaluation import AccuracyCurve, AccuracyPoint, wilson_interval
from steadygrad.experiments.chart import LineChart, PrintedPoint, Series
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.recipes import RECIPES, Kind, Recipe

__all__ = ["FIGURE6", "FIGURE7", "PrintedAccuracy", "WhiteBox"]

ATTACK = PGD(eps=0.0, steps=8)


@dataclass(frozen=True, kw_only=True)
class PrintedAccuracy:
    """A number in the text about a figure: of which network, at which radius.

    path: in the paper's data file; eps 0 is the clean accuracy, on the whole test set.
    """

    quantity: str
    path: str
    kind: Kind
    beta: float
    eps: float


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """One of the figures.

    betas: strengths of the penalty, by kind of network; those of the paper's legend that its text
        does not name are ours.
    neighbour: half-width of the uniform noise of "the penalty at a random neighbour".
    """

    name: str
    recipe: Recipe
    betas: dict[Kind, tuple[float, ...]]
    eps_values: tuple[float, ...]
    printed: tuple[PrintedAccuracy, ...]
    neighbour: float = 0.1

    @property
    def title(self) -> str:
        """What it shows."""
        return f"PGD(8) accuracy against radius on {self.recipe.title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks, the smooth twin's and the variants of the penalty."""
        return tuple(
            Network(network.label, scale.shrink(network.config))
            for seed in seeds
            for network in self._of_seed(seed)
        )

    def _of_seed(self, seed: int) -> list[Network]:
        recipe, strongest = self.recipe, max(self.betas["complex"])
        noise = f"uniform:{self.neighbour:g}"
        networks = [recipe.plain(kind, seed=seed) for kind in self.betas]
        for kind, betas in self.betas.items():
            networks += [recipe.penalised_network(kind, beta, seed=seed) for beta in betas]
        networks += [
            recipe.penalised_network("complex", strongest, seed=seed, second_order="frozen_phase"),
            recipe.penalised_network("complex", strongest, seed=seed, noise=noise),
            recipe.penalised_network(
                "complex", strongest, seed=seed, second_order="frozen_phase", noise=noise
            ),
            recipe.penalised_network("gelu", strongest, seed=seed, noise=noise),
            recipe.pgd_trained("real", seed=seed),
            recipe.pgd_trained("gelu", seed=seed),
        ]
        return networks

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every network at every radius, and count its clean accuracy on all test images."""
        by_label: dict[str, list[Network]] = {}
        for network in self.networks(bench.scale, bench.seeds):
            by_label.setdefault(network.label, []).append(network)
        curves, clean = {}, {}
        for label, networks in by_label.items():
            curves[label] = [
                bench.curve(network, ATTACK, self.eps_values, bench.scale.attacked)
                for network in networks
            ]
            clean[label] = [bench.clean_accuracy(network).points[0] for network in networks]
        compared = self._compared(bench, curves, clean)
        seeds = ", ".join(map(str, bench.seeds))
        caption = (
            f"{self.recipe.title}, scale {bench.scale.name}: PGD(8) with a random start, step "
            f"1.85 eps / 8, on the first {bench.scale.attacked:,} test images; seeds {seeds}; "
            "bands are 95 % intervals for the choice of images. Clean accuracies in the table: "
            f"{_clean_images(bench.scale)}."
        )
        figure = self.name.split("/")[1]
        return ExperimentOutcome(
            caption=caption,
            charts={figure: self._charts(curves, compared)},
            tables={figure: self._table(curves, clean)},
            compared=compared,
        )

    def _charts(
        self, curves: dict[str, list[AccuracyCurve]], compared: Sequence[Compared]
    ) -> tuple[LineChart, LineChart]:
        """Return the paper's networks, and what goes beyond them, over the same axes."""
        strongest = self.recipe.penalised_network(
            "complex", max(self.betas["complex"]), seed=0
        ).label
        beyond = [label for label in curves if "GELU" in label or _is_variant(label)]
        pairs = zip(self.printed, compared, strict=True)
        printed = tuple(
            PrintedPoint(f"{entry.kind}, beta {entry.beta:g}", entry.eps, number.printed)
            for entry, number in pairs
            if entry.beta
        )
        chart = LineChart(
            title=f"{self.recipe.title}: the paper's networks",
            x_label="radius eps of PGD(8) (share of the pixel range)",
            y_label="accuracy (%)",
            series=tuple(_series(k, runs) for k, runs in curves.items() if k not in beyond),
            printed=printed,
        )
        more = tuple(_series(label, curves[label]) for label in (strongest, *beyond))
        return chart, replace(chart, title="Beyond the paper", series=more, printed=())

    def _table(
        self,
        curves: dict[str, list[AccuracyCurve]],
        clean: dict[str, list[AccuracyPoint]],
    ) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for label, runs in curves.items():
            for run, point in zip(runs, clean[label], strict=True):
                accuracies = (round(100 * p.accuracy, 1) for p in run.points)
                rows.append((label, round(100 * point.accuracy, 2), *accuracies))
        return Table(
            title=self.title,
            columns=("network", "clean", *(f"eps {eps:g}" for eps in self.eps_values)),
            rows=tuple(rows),
            note="Accuracies in percent; a row for each seed.",
        )

    def _compared(
        self,
        bench: Workbench,
        curves: dict[str, list[AccuracyCurve]],
        clean: dict[str, list[AccuracyPoint]],
    ) -> tuple[Compared, ...]:
        obstacle = None
        if bench.scale.name != "paper":
            obstacle = f"run at scale {bench.scale.name}, not the paper's"
        compared = []
        for entry in self.printed:
            seed = bench.seeds[0]
            network = (
                self.recipe.penalised_network(entry.kind, entry.beta, seed=seed)
                if entry.beta
                else self.recipe.plain(entry.kind, seed=seed)
            )
            points = (
                clean[network.label]
                if entry.eps == 0
                else [_at(run, entry.eps) for run in curves[network.label]]
            )
            right, n = sum(p.correct for p in points), sum(p.n for p in points)
            low, high = wilson_interval(right, n)
            compared.append(
                Compared(
                    quantity=entry.quantity,
                    paper="yeats2021",
                    path=entry.path,
                    ours=100 * right / n,
                    interval=(100 * low, 100 * high),
                    tolerance=1.0,
                    obstacle=obstacle,
                    note="printed to a whole percent, one network; ours over "
                    f"{len(points)} seed(s)",
                )
            )
        return tuple(compared)


def _is_variant(label: str) -> bool:
    return "frozen phase" in label or "neighbour" in label


def _clean_images(scale: Scale) -> str:
    return "all test images" if scale.clean is None else f"the first {scale.clean} test images"


def _at(curve: AccuracyCurve, eps: float) -> AccuracyPoint:
    return next(point for point in curve.points if abs(point.eps - eps) < 1e-9)


def _series(label: str, runs: Sequence[AccuracyCurve]) -> Series:
    """Return the mean over the seeds, with the interval of all their images together."""
    eps_values = runs[0].eps_values
    right = [sum(run.points[i].correct for run in runs) for i in range(len(eps_values))]
    total = sum(run.n for run in runs)
    bounds = [wilson_interval(count, total) for count in right]
    return Series(
        label=label,
        x=eps_values,
        y=tuple(100 * count / total for count in right),
        low=tuple(100 * low for low, _ in bounds),
        high=tuple(100 * high for _, high in bounds),
    )


_TEXT6 = "figure6_mnist_text"
_TEXT7 = "figure7_fashion_mnist_text"

FIGURE6 = WhiteBox(
    name="yeats2021/figure6",
    recipe=RECIPES["mnist"],
    betas={"complex": (64, 512), "real": (64, 384, 512), "gelu": (64, 512)},
    eps_values=tuple(k / 50 for k in range(16)),
    printed=(
        PrintedAccuracy(
            quantity="complex, beta 512: clean accuracy (%)",
            path=f"{_TEXT6}/complex_clean_all_betas",
            kind="complex",
            beta=512,
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, no defence: clean accuracy (%)",
            path=f"{_TEXT6}/real_clean_small_beta",
            kind="real",
            beta=0,
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, beta 384: clean accuracy (%)",
            path=f"{_TEXT6}/real_clean_beta_384",
            kind="real",
            beta=384,
            eps=0,
        ),
        PrintedAccuracy(
            quantity="real, beta 512: clean accuracy (%)",
            path=f"{_TEXT6}/real_clean_beta_512",
            kind="real",
            beta=512,
            eps=0,
        ),
    ),
)

FIGURE7 = WhiteBox(
    name="yeats2021/figure7",
    recipe=RECIPES["fashion_mnist"],
    betas={"complex": (16, 64), "real": (16, 64), "gelu": (16, 64)},
    eps_values=tuple(k / 50 for k in range(16)),
    printed=tuple(
        PrintedAccuracy(
            quantity=f"{kind}, beta 64: {what} (%)",
            path=f"{_TEXT7}/{path}_{kind}",
            kind=kind,
            beta=64,
            eps=eps,
        )
        for kind in ("complex", "real")
        for what, path, eps in (
            ("clean accuracy", "clean", 0.0),
            ("PGD(8) at eps 0.16", "pgd8_eps_0.16", 0.16),
        )
    ),
)
