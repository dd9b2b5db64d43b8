"""Parameters and multiply-accumulates of a paper's networks, counted and as printed."""

from dataclasses import dataclass

from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.workbench import Workbench
from steadygrad.models import build_model, mac_count, model_entry, parameter_count, published_counts

__all__ = ["Counted", "Counts"]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One network of the table.

    Args:
        model: a name of ``steadygrad.models``; kind, row: what the table calls it.
        paths: where its parameters and its MACs are printed.
        slips: what is wrong with the printed parameters and MACs, where they are.
    """

    model: str
    kind: str
    row: str
    paths: tuple[str, str]
    slips: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Counts(Artefact):
    """Counts are exact: ours and the printed ones either agree or do not.

    Args:
        counted: the networks; note: how the paper must have counted, below the table.
    """

    counted: tuple[Counted, ...]
    note: str
    title: str = "parameters and multiply-accumulates"

    def printed_paths(self) -> tuple[str, ...]:
        """Return two paths a network."""
        return tuple(path for own in self.counted for path in own.paths)

    def measure(self, bench: Workbench) -> ExperimentOutcome:  # noqa: ARG002 - measures no network
        """Count."""
        rows: list[tuple[Cell, ...]] = []
        compared: list[Compared] = []
        for own in self.counted:
            entry, model = model_entry(own.model), build_model(own.model)
            counted = (parameter_count(model), mac_count(model, entry.input_shape))
            with_slips = published_counts(own.model)
            for index, what in enumerate(("parameters", "MACs")):
                comparison = Compared(
                    quantity=f"{own.kind} {own.row}: {what}",
                    paper=self.paper,
                    path=own.paths[index],
                    ours=float(counted[index]),
                    note="" if counted[index] == with_slips[index] else own.slips[index],
                )
                compared.append(comparison)
            printed = tuple(int(entry.printed) for entry in compared[-2:])
            rows.append((own.kind, own.row, *counted, *printed, *with_slips))
        table = Table(
            title="Parameters and multiply-accumulates (MACs)",
            columns=(
                "kind",
                "network",
                "parameters",
                "MACs",
                "parameters printed",
                "MACs printed",
                "parameters with the slips",
                "MACs with the slips",
            ),
            rows=tuple(rows),
            note=self.note,
        )
        return ExperimentOutcome(
            caption="Counted on the networks as they are built; nothing is trained.",
            tables={self.stem: table},
            compared=tuple(compared),
        )
