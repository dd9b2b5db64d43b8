"""Table 1: parameters and multiply-accumulates of every network, counted and as printed."""

from collections.abc import Mapping, Sequence

from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.models import (
    build_model,
    mac_count,
    model_entry,
    parameter_count,
    published_counts,
)

__all__ = ["Counts"]

_NETWORKS: Mapping[str, tuple[str, ...]] = {
    "real": ("mnist", "svhn", "fashion_mnist", "cifar1", "cifar2"),
    "complex": ("mnist", "svhn", "fashion_mnist", "cifar1"),
}
_SLIPS: Mapping[str | tuple[str, str], str] = {
    "parameters": "printed with one more parameter per output of each complex layer",
    ("fashion_mnist", "MACs"): "printed without the dense layers",
    ("cifar1", "MACs"): "printed with complex dense layers counted once instead of four times",
}


class Counts:
    """Counts are exact: ours and the printed ones either agree or do not."""

    name = "yeats2021/table1"
    title = "parameters and multiply-accumulates"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:  # noqa: ARG002 - trains nothing
        """Return none: nothing is trained."""
        return ()

    def printed_paths(self) -> tuple[str, ...]:
        """Return two paths a network."""
        return tuple(
            _path(kind, row, index)
            for kind, names in _NETWORKS.items()
            for row in names
            for index in (0, 1)
        )

    def measure(self, bench: Workbench) -> ExperimentOutcome:  # noqa: ARG002 - measures no network
        """Count."""
        rows: list[tuple[Cell, ...]] = []
        compared: list[Compared] = []
        for kind, names in _NETWORKS.items():
            for row in names:
                name = f"yeats2021-{row.replace('_', '-')}-{kind}"
                entry, model = model_entry(name), build_model(name)
                counted = (parameter_count(model), mac_count(model, entry.input_shape))
                with_slips = published_counts(name)
                for index, what in enumerate(("parameters", "MACs")):
                    comparison = Compared(
                        quantity=f"{kind} {row}: {what}",
                        paper="yeats2021",
                        path=_path(kind, row, index),
                        ours=float(counted[index]),
                        note="" if counted[index] == with_slips[index] else _slip(row, what),
                    )
                    compared.append(comparison)
                printed = tuple(int(entry.printed) for entry in compared[-2:])
                rows.append((kind, row, *counted, *printed, *with_slips))
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
            note="A complex parameter counts as two real ones, a complex MAC as four. The last two "
            "columns count as the paper must have: every complex layer with one more parameter per "
            "output, Fashion-MNIST without its dense layers, CIFAR1's complex dense layers once.",
        )
        return ExperimentOutcome(
            caption="Counted on the networks as they are built; nothing is trained.",
            tables={"table1": table},
            compared=tuple(compared),
        )


def _path(kind: str, row: str, index: int) -> str:
    """Return where the parameters (index 0) or the MACs (1) of a network are printed."""
    return f"table1_parameters_and_macs/{kind}/{row}/{index}"


def _slip(row: str, what: str) -> str:
    return _SLIPS["parameters"] if what == "parameters" else _SLIPS[row, what]
