"""Figure 10: real and complex networks of one architecture, on three data sets."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.experiments.chart import Chart
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import ExperimentOutcome
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.printed import PrintedAccuracy, PrintedDifference
from steadygrad.experiments.yeats2021.recipes import RECIPES
from steadygrad.experiments.yeats2021.white_box import WhiteBox

__all__ = ["FIGURE10", "IdenticalArchitecture"]


@dataclass(frozen=True, kw_only=True)
class IdenticalArchitecture:
    """Several data sets' white-box figures side by side; each panel's files bear its stem."""

    panels: tuple[WhiteBox, ...]
    name: str = "yeats2021/figure10"
    title: str = "PGD(8) accuracy on one architecture, that of Ross & Doshi-Velez"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return those of all panels; the data set stands before their labels."""
        return tuple(
            Network(f"{panel.recipe.title}: {network.label}", network.config)
            for panel in self.panels
            for network in panel.networks(scale, seeds)
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with."""
        return tuple(path for panel in self.panels for path in panel.printed_paths())

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Measure the panels of which a network is trained or was measured earlier."""
        outcomes: list[ExperimentOutcome] = []
        compared: list[Compared] = []
        for panel in self.panels:
            if bench.measurable(panel.networks(bench.scale, bench.seeds)):
                outcomes.append(panel.measure(bench))
                compared += outcomes[-1].compared
            else:
                compared += panel.compared(bench, {})
        return ExperimentOutcome(
            caption=" ".join(outcome.caption for outcome in outcomes),
            charts={
                f"figure10{suffix}": charts
                for suffix in ("", "-beyond")
                if (charts := _side_by_side(self.panels, outcomes, suffix))
            },
            tables={name: table for outcome in outcomes for name, table in outcome.tables.items()},
            compared=tuple(compared),
        )


def _side_by_side(
    panels: Sequence[WhiteBox], outcomes: Sequence[ExperimentOutcome], suffix: str
) -> tuple[Chart, ...]:
    """Return one figure's charts of every panel that has it."""
    names = [f"{panel.stem}{suffix}" for panel in panels]
    return tuple(
        chart for outcome in outcomes for name in names for chart in outcome.charts.get(name, ())
    )


FIGURE10 = IdenticalArchitecture(
    panels=(
        WhiteBox(
            name="yeats2021/figure10-mnist",
            recipe=RECIPES["mnist, identical"],
            betas={"complex": (2048,), "real": (2048,), "gelu": (2048,)},
            eps_values=tuple(k / 50 for k in range(16)),
            judged_eps=0.2,
            equal_time_epochs=45,
            printed=tuple(
                PrintedAccuracy(
                    quantity=f"MNIST, {kind}, beta 2048: clean accuracy (%)",
                    path=f"figure10_identical_architecture_text/mnist_beta_2048_clean/{kind}",
                    labels=(f"{kind}, beta 2048",),
                    eps=0,
                )
                for kind in ("complex", "real")
            ),
        ),
        WhiteBox(
            name="yeats2021/figure10-fashion-mnist",
            recipe=RECIPES["fashion_mnist, identical"],
            betas={"complex": (64,), "real": (64,), "gelu": (64,)},
            eps_values=tuple(k / 50 for k in range(16)),
            judged_eps=0.16,
            equal_time_epochs=45,
            printed=tuple(
                PrintedAccuracy(
                    quantity=f"Fashion-MNIST, {kind}, beta 64: PGD(8) at eps 0.16 (%)",
                    path=f"figure10_identical_architecture_text/fashion_mnist_pgd8_eps_0.16/{kind}",
                    labels=(f"{kind}, beta 64",),
                    eps=0.16,
                )
                for kind in ("complex", "real")
            ),
        ),
        WhiteBox(
            name="yeats2021/figure10-svhn",
            recipe=RECIPES["svhn, identical"],
            betas={"complex": (32,), "real": (32,), "gelu": (32,)},
            eps_values=tuple(k / 100 for k in range(13)),
            judged_eps=0.05,
            equal_time_epochs=45,
            printed=(
                PrintedDifference(
                    quantity="SVHN: clean accuracy, complex minus real (points)",
                    path="figure10_identical_architecture_text/svhn_clean_complex_minus_real",
                    first="complex, beta 32",
                    second="real, beta 32",
                    eps=0,
                ),
            ),
        ),
    )
)
