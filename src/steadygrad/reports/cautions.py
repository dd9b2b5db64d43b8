"""What keeps numbers of a report from being compared, or from being final."""

from collections.abc import Sequence

from steadygrad.reports.comparison import Comparison
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.wording import count_text, enumeration, eps_text

__all__ = ["cautions", "has_comparable_times"]


def cautions(runs: Sequence[RunRecord], comparisons: Sequence[Comparison]) -> list[str]:
    """Return one sentence for each thing that a reader must know before comparing the runs.

    comparisons: of these runs, as ``compare_runs`` returns them.
    """
    return [
        *_incomparable(runs, comparisons),
        *_unequal_grids(comparisons),
        *_unfinished(runs),
        *_elsewhere(comparisons),
        *_outdated(comparisons),
        *_chosen(comparisons),
        *_timing(runs),
    ]


def has_comparable_times(runs: Sequence[RunRecord]) -> bool:
    """Say whether the runs, as far as recorded, trained on the same kind of device and threads."""
    settings = {(run.config.get("device"), run.provenance.get("threads")) for run in runs}
    return len(settings) <= 1


def _incomparable(runs: Sequence[RunRecord], comparisons: Sequence[Comparison]) -> list[str]:
    main = comparisons[0]
    included = {entry.run.path for entry in main.entries}
    sentences = []
    for run in runs:
        if run.path in included:
            continue
        own = next(c for c in comparisons[1:] if any(e.run.path == run.path for e in c.entries))
        how = enumeration(own.protocol.differences(main.protocol))
        sentences.append(
            f"{run.name} was evaluated {how}: its numbers stand on their own and are not compared "
            f"with those under {main.protocol.name}."
        )
    return sentences


def _unequal_grids(comparisons: Sequence[Comparison]) -> list[str]:
    sentences = []
    for comparison in comparisons:
        if comparison.has_equal_grids:
            continue
        shared = [eps_text(eps) for eps in comparison.shared_eps]
        if not shared:
            text = "no eps is shared, so these runs are not compared at all"
        elif len(shared) > 8:
            text = f"only the {len(shared)} that all share are compared"
        else:
            text = f"only eps {enumeration(shared)}, which all share, {_is_are(shared)} compared"
        sentences.append(
            f"Under {comparison.protocol.name}, the runs were measured at different eps; {text}. "
            "Means are over the shared eps."
        )
    return sentences


def _unfinished(runs: Sequence[RunRecord]) -> list[str]:
    return [
        f"{run.name} is unfinished: {len(run.metrics)} of {count_text(run.epochs, 'epoch')} "
        "are done. What it shows is not its final state."
        for run in runs
        if not run.is_finished
    ]


def _elsewhere(comparisons: Sequence[Comparison]) -> list[str]:
    found: dict[tuple[str, str, str], None] = {}
    for comparison in comparisons:
        for entry in comparison.entries:
            trained, tested = entry.run.config["dataset"], comparison.protocol.data.name
            if trained != tested:
                found[entry.run.name, trained, tested] = None
    return [
        f"{name} was trained on {trained} but evaluated on {tested}."
        for name, trained, tested in found
    ]


def _outdated(comparisons: Sequence[Comparison]) -> list[str]:
    names: dict[tuple[str, str], None] = {}
    for comparison in comparisons:
        for entry in comparison.entries:
            digests = {entry.evaluation.model_digest, entry.run.weights_digest} - {None}
            if len(digests) > 1:
                names[entry.run.name, comparison.protocol.name] = None
    return [
        f"The weights of {name} have changed since its evaluation under {protocol}: evaluate it "
        "again."
        for name, protocol in names
    ]


def _chosen(comparisons: Sequence[Comparison]) -> list[str]:
    return [
        f"{entry.run.name} has {entry.others + 1} evaluations under {comparison.protocol.name}; "
        f"shown is that of {entry.evaluation.created}, at {len(entry.points)} eps with attack "
        f"seed {entry.evaluation.curve.seed}."
        for comparison in comparisons
        for entry in comparison.entries
        if entry.others
    ]


def _timing(runs: Sequence[RunRecord]) -> list[str]:
    if has_comparable_times(runs):
        return []
    return [
        "The runs were trained on different devices or numbers of threads: training times are "
        "not comparable."
    ]


def _is_are(parts: Sequence[str]) -> str:
    return "is" if len(parts) == 1 else "are"
