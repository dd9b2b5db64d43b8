"""Networks compared at equal clean accuracy and at equal training time, not at equal strength."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steadygrad.experiments.accuracies import Accuracies, difference_cell, percent_series
from steadygrad.experiments.chart import LineChart
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


def at_equal_clean_accuracy(measured: Sequence[Accuracies], attack: str, eps: float) -> Table:
    """Return, for every defended network, the other defended ones of the same clean accuracy.

    "Same": within one percentage point. Differences come with ``difference_interval``.

    Args:
        measured: networks that were attacked at ``eps`` too.
        attack: how the attack is called.
        eps: its radius.
    """
    defended = [one for one in measured if one.is_defended]
    rows: list[tuple[Cell, ...]] = []
    for index, one in enumerate(defended):
        for other in defended[index + 1 :]:
            apart = one.clean_accuracy.accuracy - other.clean_accuracy.accuracy
            if abs(apart) <= CLEAN_TOLERANCE + 1e-9:
                rows.append((one.label, other.label, *_difference(one, other, eps)))
    return Table(
        title=f"At equal clean accuracy (within {100 * CLEAN_TOLERANCE:g} point): {attack} at "
        f"eps {eps:.3g}",
        columns=(
            "network",
            "other network",
            "clean",
            "other's clean",
            attack,
            f"other's {attack}",
            "difference",
            "95 % interval",
        ),
        rows=tuple(rows),
        note="Accuracies in percent, differences in points; all seeds together. "
        "Intervals as for independent images, so rather too wide.",
        intervals=("95 % interval",),
    )


def _difference(one: Accuracies, other: Accuracies, eps: float) -> tuple[Cell, ...]:
    return (
        round(100 * one.clean_accuracy.accuracy, 2),
        round(100 * other.clean_accuracy.accuracy, 2),
        round(100 * one.at(eps).accuracy, 1),
        round(100 * other.at(eps).accuracy, 1),
        round(100 * (one.at(eps).accuracy - other.at(eps).accuracy), 1),
        difference_cell(one.at(eps), other.at(eps)),
    )


@dataclass(frozen=True)
class _Timed:
    """One variant: its accuracies in percent, and its minutes of training in two reckonings.

    reckoned: steps times the seconds of one, None if that was never measured; clock: as it took.
    """

    accuracies: Accuracies
    clean: float
    robust: float
    reckoned: float | None
    clock: float


def at_equal_time(
    bench: Workbench, measured: Sequence[Accuracies], attack: str, eps: float
) -> EqualTime:
    """Return the networks by training time: robust accuracy at ``eps`` against minutes.

    Minutes on one core, reckoned from the steps: those that the clock showed also hold whatever
    else the machine did. The table names, for each network, the most robust that took no longer.

    Args:
        bench: what knows the seconds of training.
        measured: networks that were attacked at ``eps`` too.
        attack: how the attack is called.
        eps: its radius.
    """
    timed = [
        _Timed(
            one,
            clean=100 * one.clean_accuracy.accuracy,
            robust=100 * one.at(eps).accuracy,
            reckoned=_reckoned_minutes(one),
            clock=_clock_minutes(bench, one),
        )
        for one in measured
    ]
    reckoned = [one.reckoned for one in timed if one.reckoned is not None]
    is_reckoned = len(reckoned) == len(timed)
    minutes = reckoned if is_reckoned else [one.clock for one in timed]
    rows: list[tuple[Cell, ...]] = []
    for taken, one in sorted(zip(minutes, timed, strict=True), key=lambda pair: pair[0]):
        affordable = [other for at, other in zip(minutes, timed, strict=True) if at <= taken]
        best = max(affordable, key=lambda other: other.robust)
        rows.append(
            (
                one.accuracies.label,
                _rounded(one.reckoned),
                _rounded(one.clock),
                round(one.clean, 2),
                round(one.robust, 1),
                best.accuracies.label if best is not one else "itself",
            )
        )
    table = Table(
        title=f"By training time: {attack} at eps {eps:.3g}",
        columns=("network", "minutes", "by the clock", "clean", attack, "best by then"),
        rows=tuple(rows),
        note="Minutes on one core: steps times what one took where all were measured in turn "
        f"({step_seconds_record()['processor']}). By the clock: where the network was trained, "
        "with whatever else that machine did and what was measured after each step. Sorted by the "
        "former, unless one is unknown. Accuracies in percent, mean of the seeds. "
        f"'Best by then': the highest {attack} accuracy of the networks that took no longer.",
    )
    y_label = f"{attack} accuracy at eps {eps:.3g} (%)"
    charts = tuple(
        LineChart(
            title=title,
            x_label=x_label,
            y_label=y_label,
            series=tuple(
                percent_series(
                    one.accuracies.label, [place], [one.accuracies.at(eps)], drawn="points"
                )
                for place, one in zip(x, timed, strict=True)
            ),
        )
        for title, x_label, x in (
            ("Against clean accuracy", "clean accuracy (%)", [one.clean for one in timed]),
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
