"""Networks compared at equal clean accuracy and at equal training time, not at equal strength."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from steadygrad.experiments.accuracies import Accuracies, difference_interval, percent_series
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.comparison import interval_text
from steadygrad.experiments.experiment import Cell, Table
from steadygrad.experiments.training_cost import estimated_seconds, step_seconds_record
from steadygrad.experiments.workbench import Workbench

__all__ = ["EqualTime", "at_equal_clean_accuracy", "at_equal_time"]

CLEAN_TOLERANCE = 0.01
"""Clean accuracies this near count as equal."""


@dataclass(frozen=True)
class EqualTime:
    """Robust accuracy over clean accuracy and over training time, and the table behind them."""

    charts: tuple[LineChart, ...]
    table: Table


def at_equal_clean_accuracy(measured: Mapping[str, Accuracies], eps: float) -> Table:
    """Return, for every defended network, the other defended ones of the same clean accuracy.

    "Same": within one percentage point. Differences come with ``difference_interval``.
    """
    defended = [label for label in measured if "no defence" not in label]
    rows: list[tuple[Cell, ...]] = []
    for index, first in enumerate(defended):
        for second in defended[index + 1 :]:
            one, other = measured[first], measured[second]
            apart = one.clean_accuracy.accuracy - other.clean_accuracy.accuracy
            if abs(apart) <= CLEAN_TOLERANCE + 1e-9:
                rows.append((first, second, *_difference(one, other, eps)))
    return Table(
        title=f"At equal clean accuracy (within {100 * CLEAN_TOLERANCE:g} point): PGD(8) at "
        f"eps {eps:.3g}",
        columns=(
            "network",
            "other network",
            "clean",
            "other's clean",
            "PGD(8)",
            "other's PGD(8)",
            "difference",
            "95 % interval",
        ),
        rows=tuple(rows),
        note="Accuracies in percent, differences in points; all seeds together. "
        "Intervals as for independent images, so rather too wide.",
    )


def _difference(one: Accuracies, other: Accuracies, eps: float) -> tuple[Cell, ...]:
    low, high = difference_interval(one.at(eps), other.at(eps))
    return (
        round(100 * one.clean_accuracy.accuracy, 2),
        round(100 * other.clean_accuracy.accuracy, 2),
        round(100 * one.at(eps).accuracy, 1),
        round(100 * other.at(eps).accuracy, 1),
        round(100 * (one.at(eps).accuracy - other.at(eps).accuracy), 1),
        interval_text((100 * low, 100 * high)),
    )


def at_equal_time(bench: Workbench, measured: Mapping[str, Accuracies], eps: float) -> EqualTime:
    """Return the networks by training time: what accuracy at ``eps`` their minutes bought.

    Minutes on one core, reckoned from the steps: those that the clock showed also hold whatever
    else the machine did. The table names, for each network, the most robust that took no longer.
    """
    clock = {label: _clock_minutes(bench, found) for label, found in measured.items()}
    reckoned = {label: _reckoned_minutes(found) for label, found in measured.items()}
    known = {label: taken for label, taken in reckoned.items() if taken is not None}
    is_reckoned = len(known) == len(measured)
    minutes = known if is_reckoned else clock
    robust = {label: 100 * one.at(eps).accuracy for label, one in measured.items()}
    clean = {label: 100 * one.clean_accuracy.accuracy for label, one in measured.items()}
    rows: list[tuple[Cell, ...]] = []
    for label in sorted(measured, key=lambda name: minutes[name]):
        affordable = [other for other in measured if minutes[other] <= minutes[label]]
        best = max(affordable, key=lambda name: robust[name])
        rows.append(
            (
                label,
                _rounded(reckoned[label]),
                _rounded(clock[label]),
                round(clean[label], 2),
                round(robust[label], 1),
                best if best != label else "itself",
            )
        )
    table = Table(
        title=f"By training time: PGD(8) at eps {eps:.3g}",
        columns=("network", "minutes", "by the clock", "clean", "PGD(8)", "best by then"),
        rows=tuple(rows),
        note="Minutes on one core: steps times what one took where all were measured in turn "
        f"({step_seconds_record()['processor']}). By the clock: where the network was trained, "
        "with whatever else that machine did and what was measured after each step. Sorted by the "
        "former, unless one is unknown. Accuracies in percent, mean of the seeds. "
        "'Best by then': the highest PGD(8) accuracy of the networks that took no longer.",
    )
    y_label = f"PGD(8) accuracy at eps {eps:.3g} (%)"
    charts = tuple(
        LineChart(
            title=title,
            x_label=x_label,
            y_label=y_label,
            series=tuple(
                percent_series(label, [x[label]], [one.at(eps)], drawn="points")
                for label, one in measured.items()
            ),
        )
        for title, x_label, x in (
            ("Against clean accuracy", "clean accuracy (%)", clean),
            (
                "Against training time",
                f"minutes of training {'on one core' if is_reckoned else 'by the clock'}",
                minutes,
            ),
        )
    )
    return EqualTime(charts, table)


def _clock_minutes(bench: Workbench, accuracies: Accuracies) -> float:
    seconds = [bench.training_seconds(network) for network in accuracies.networks]
    return sum(seconds) / len(seconds) / 60


def _reckoned_minutes(accuracies: Accuracies) -> float | None:
    """Return what the training takes by itself, nothing measured in it."""
    config = accuracies.networks[0].config
    seconds = estimated_seconds(replace(config, update_similarity=False))
    return None if seconds is None else seconds / 60


def _rounded(minutes: float | None) -> float | None:
    return None if minutes is None else round(minutes, 1 if minutes >= 10 else 2)
