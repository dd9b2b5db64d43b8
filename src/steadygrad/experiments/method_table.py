"""Training methods against attacks, white-box and transferred: means over the attacks' radii."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    accuracy_series,
    mean_accuracy,
    measured_accuracies,
    percent_interval,
    percent_series,
)
from steadygrad.experiments.chart import LineChart, PrintedPoint, Series
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Interval, Table
from steadygrad.experiments.method_rows import Method, MethodAttacks, MethodRow
from steadygrad.experiments.network import Network
from steadygrad.experiments.printed import compared_accuracy
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.transfer_pairs import PARTNER
from steadygrad.experiments.white_box import PERCENT_RANGE
from steadygrad.experiments.workbench import NOT_TRAINED, Workbench
from steadygrad.experiments.worst_case import worst_case_table

__all__ = ["MethodTable", "PrintedColumns"]

DEEPFOOL_TOLERANCE = 0.1
"""Share of a printed DeepFool figure by which independently trained networks may differ."""


@dataclass(frozen=True, kw_only=True)
class PrintedColumns:
    """In which item of a printed row each column stands.

    Args:
        attacks: by the column's name; transfer: by the source's row.
    """

    clean: int
    attacks: Mapping[str, int] = field(hash=False)
    transfer: Mapping[str, int] = field(hash=False)
    deepfool: int


@dataclass(frozen=True, kw_only=True)
class MethodTable(Artefact):
    """Test accuracy, attacks averaged over their radii, transfer, and DeepFool's margins.

    Args:
        data_title: the data set for people.
        methods: the paper's first; transfers are from networks of another seed, which a method's
            transfer to itself needs.
        attacks: what they are put to.
        printed: where the paper's numbers stand.
    """

    title: str
    data_title: str
    methods: tuple[Method, ...]
    attacks: MethodAttacks
    printed: PrintedColumns

    @property
    def sources(self) -> tuple[Method, ...]:
        """The methods whose examples are shown to the others."""
        return tuple(method for method in self.methods if method.is_source)

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return every method's network, then the sources' of the partner seeds."""
        partners = [seed + PARTNER for seed in seeds]
        return (
            *scale.all_of([method.network for method in self.methods], seeds),
            *scale.all_of([method.network for method in self.sources], partners),
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the paper's table has the rows of these methods."""
        columns = self.printed
        items = [columns.clean, columns.deepfool, *columns.attacks.values()]
        return tuple(
            f"{method.row}/{item}"
            for method in self.methods
            if method.row
            for item in sorted([*items, *columns.transfer.values()])
        )

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every network, show it the others' examples, and measure its margins."""
        measured = (self.attacks.row(bench, method, self.sources) for method in self.methods)
        rows = [row for row in measured if row.clean]
        largest, asked = self.attacks.eps_values[-1], self.attacks
        steps, transfer_steps = map(bench.scale.attack_steps, (asked.steps, asked.transfer_steps))
        seeds_networks = bench.scale.all_of([m.network for m in self.methods], bench.seeds)
        radii = bench.scale.radii(asked.eps_values, ())
        pgd = asked.by_column(bench.scale)["PGD"]
        curves = measured_accuracies(bench, seeds_networks, pgd, radii)
        found = tuple(curves.values())
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: first "
            f"{bench.scale.attacked:,} test images (clean: "
            f"{'all' if bench.scale.clean is None else bench.scale.clean}); seeds "
            f"{', '.join(map(str, bench.seeds))}; means over radii from 0 to "
            f"{255 * largest:.3g}/255 by the trapezoid rule; PGD({steps}) with a random start "
            f"and steps of eps/5 away from the prediction; transfers from PGD({transfer_steps}"
            f") examples of networks of other seeds (+{PARTNER}); bands are 95 % intervals for the "
            "choice of images.",
            charts={
                self.stem: (self._chart(rows), *self._transfer_chart(rows)),
                f"{self.stem}-curves": (self._curves(found),),
            },
            tables={
                self.stem: self._table(rows),
                f"{self.stem}-worst-case": worst_case_table(
                    bench, found, largest, self.data_title, f"PGD({steps})"
                ),
            },
            compared=tuple(
                entry
                for method in self.methods
                if method.row
                for entry in self._compared(bench.scale, method, rows)
            ),
        )

    def _table(self, rows: Sequence[MethodRow]) -> Table:
        names = [*self.printed.attacks, *(f"from {s.network.label}" for s in self.sources)]
        cells: list[tuple[Cell, ...]] = []
        for row in rows:
            transfers = [row.transferred.get(s.row, ()) for s in self.sources]
            line: list[Cell] = [row.method.network.label, len(row.clean)]
            for points in (row.clean, *row.attacked.values(), *transfers):
                line += _with_interval(points)
            means = [m["mean"] for m in row.margins if m["mean"] is not None]
            line.append(round(sum(means) / len(means), 4) if means else None)
            line.append(round(100 * sum(m["unbroken"] for m in row.margins) / len(row.margins), 1))
            cells.append(tuple(line))
        measured = ["clean", *names]
        intervals = tuple(f"95 % interval of {name}" for name in measured)
        pairs = zip(measured, intervals, strict=True)
        return Table(
            title=self.title,
            columns=(
                "method",
                "seeds",
                *(column for pair in pairs for column in pair),
                "DeepFool",
                "unbroken by DeepFool",
            ),
            rows=tuple(cells),
            intervals=intervals,
            note="Accuracies in percent, under attacks the mean over the radii; 'from': on the "
            "examples of a network trained so, of another seed. Intervals of means over radii are "
            "Wilson's of a single proportion, somewhat too wide. DeepFool: mean of |r|/|x| over "
            "the images whose prediction it changed; the last column has the share of the others.",
        )

    def _chart(self, rows: Sequence[MethodRow]) -> LineChart:
        series, printed = [], []
        columns = {"clean": self.printed.clean} | dict(self.printed.attacks)
        for column, (name, item) in enumerate(columns.items()):
            shift = 0.12 * (column - (len(columns) - 1) / 2)
            points = [
                mean_accuracy(row.clean if name == "clean" else row.attacked[name]) for row in rows
            ]
            places = [place + shift for place in range(len(rows))]
            series.append(percent_series(name, places, points, drawn="points"))
            printed += self._stars(rows, places, item, name)
        return _points_chart(
            f"{self.data_title}: clean, and attacked (mean over radii)", rows, series, printed
        )

    def _transfer_chart(self, rows: Sequence[MethodRow]) -> tuple[LineChart, ...]:
        series, printed = [], []
        for column, source in enumerate(self.sources):
            label = source.network.label
            shown = [(at, row) for at, row in enumerate(rows) if source.row in row.transferred]
            if not shown:
                continue
            places = [at + 0.1 * (column - (len(self.sources) - 1) / 2) for at, _ in shown]
            points = [mean_accuracy(row.transferred[source.row]) for _, row in shown]
            series.append(percent_series(f"from {label}", places, points, drawn="points"))
            item = self.printed.transfer[source.row]
            printed += self._stars([row for _, row in shown], places, item, f"from {label}")
        if not series:
            return ()
        title = f"{self.data_title}: on examples of other networks"
        return (_points_chart(title, rows, series, printed),)

    def _curves(self, found: Sequence[Accuracies]) -> LineChart:
        return LineChart(
            title=f"{self.data_title}: PGD",
            x_label="radius eps (share of the pixel range)",
            y_label="accuracy (%)",
            series=tuple(accuracy_series(accuracies) for accuracies in found),
            y_range=PERCENT_RANGE,
        )

    def _stars(
        self, rows: Sequence[MethodRow], places: Sequence[float], item: int, series: str
    ) -> list[PrintedPoint]:
        """Return what the paper prints of the rows that it has."""
        return [
            PrintedPoint("", x, published_number(self.paper, f"{row.method.row}/{item}"), series)
            for row, x in zip(rows, places, strict=True)
            if row.method.row
        ]

    def _compared(self, scale: Scale, method: Method, rows: Sequence[MethodRow]) -> list[Compared]:
        row = next((row for row in rows if row.method is method), None)
        what, columns = f"{self.data_title}, {method.network.label}", self.printed
        points: dict[str, tuple[int, tuple[MeanAccuracy, ...]]] = {
            "clean": (columns.clean, () if row is None else row.clean)
        }
        for name, item in columns.attacks.items():
            points[name] = item, () if row is None else row.attacked[name]
        for source in self.sources:
            found = () if row is None else row.transferred.get(source.row, ())
            name = f"PGD examples of {source.network.label}"
            points[name] = columns.transfer[source.row], found
        compared = [
            compared_accuracy(
                f"{what}: {name} (%)",
                self.paper,
                f"{method.row}/{item}",
                own,
                obstacle=scale.obstacle(""),
                note=f"{len(own)} seed(s)",
            )
            for name, (item, own) in points.items()
        ]
        means = [m["mean"] for m in row.margins if m["mean"] is not None] if row else []
        path = f"{method.row}/{columns.deepfool}"
        intervals = [m["ci95"] for m in row.margins if m["ci95"] is not None] if row else []
        interval = (intervals[0][0], intervals[0][1]) if len(intervals) == 1 else None
        compared.append(
            Compared(
                quantity=f"{what}: DeepFool, mean |r|/|x|",
                paper=self.paper,
                path=path,
                ours=sum(means) / len(means) if means else None,
                interval=interval,
                tolerance=round(DEEPFOOL_TOLERANCE * published_number(self.paper, path), 4),
                obstacle=scale.obstacle("") if means else NOT_TRAINED,
                note=f"{len(means)} seed(s); tolerance for other networks of the same training",
            )
        )
        return compared


def _points_chart(
    title: str, rows: Sequence[MethodRow], series: Sequence[Series], printed: Sequence[PrintedPoint]
) -> LineChart:
    return LineChart(
        title=title,
        x_label="training method",
        y_label="accuracy (%)",
        series=tuple(series),
        printed=tuple(printed),
        x_names=tuple(row.method.network.label for row in rows),
        y_range=PERCENT_RANGE,
    )


def _with_interval(points: Sequence[MeanAccuracy]) -> tuple[float | None, Interval | None]:
    mean = mean_accuracy(points) if points else None
    return (round(100 * mean.accuracy, 1), percent_interval(mean)) if mean else (None, None)
