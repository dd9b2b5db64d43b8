"""The result in plain words, no stronger than the intervals allow."""

from collections.abc import Sequence

from steadygrad.reports.comparison import ComparedRun, Comparison
from steadygrad.reports.scope import has_comparable_times
from steadygrad.reports.training_words import is_plain
from steadygrad.reports.wording import (
    count_text,
    enumeration,
    eps_text,
    interval_text,
    percent,
    seconds_text,
)

__all__ = ["headline"]


def headline(comparison: Comparison) -> list[str]:
    """Return sentences: who keeps most accuracy at the middle eps, and what that costs.

    Two accuracies count as different if ``ComparedRun.differs_from`` says so.
    """
    eps = comparison.middle_eps
    if eps is None:
        return ["The runs share no eps at which they could be compared."]
    ranked = sorted(comparison.entries, key=lambda entry: entry.point(eps).correct, reverse=True)
    leader, others = ranked[0], ranked[1:]
    best = leader.point(eps)
    sentences = [_at(eps, comparison, leader, others)]
    if (chance := comparison.protocol.chance) is not None:
        low, _ = best.ci95
        if low <= chance:
            sentences.append(f"That is no better than guessing ({percent(chance)}).")
    if others and not any(leader.differs_from(entry, eps) for entry in others):
        return sentences  # a price for nothing that was shown would mislead
    reference = _reference(comparison, leader)
    if reference is not None:
        sentences.append(_undefended(eps, leader, reference))
    sentences.append(_clean_cost(comparison, leader, reference))
    if reference is not None and (time := _time_cost(leader, reference)):
        sentences.append(time)
    return sentences


def _at(
    eps: float, comparison: Comparison, leader: ComparedRun, others: Sequence[ComparedRun]
) -> str:
    best, name = leader.point(eps), leader.run.name
    images = count_text(comparison.protocol.data.n, "image")
    kept = f"{percent(best.accuracy)} (95\u00a0% interval {interval_text(best)})"
    start = f"At eps {eps_text(eps)}"
    if not others:
        return f"{start}, {name} still classifies {kept} of {images} correctly."
    level = [entry for entry in others if not leader.differs_from(entry, eps)]
    below = [entry for entry in others if leader.differs_from(entry, eps)]
    if not below:
        return (
            f"{start}, the runs are not distinguishable on {images}: {name} measures best with "
            f"{kept}, and no other differs from it significantly."
        )
    following = f"{below[0].run.name} at {percent(below[0].point(eps).accuracy)}"
    if not level:
        behind = "ahead of" if len(below) == 1 else "clearly ahead of the next,"
        return f"{start}, {name} keeps the most accuracy: {kept} of {images}, {behind} {following}."
    names = enumeration([_with_accuracy(entry, eps) for entry in level])
    is_are = "is" if len(level) == 1 else "are"
    return (
        f"{start}, {name} measures best: {kept} of {images}. {names} {is_are} not distinguishable "
        f"from it; the next, {following}, is clearly below it."
    )


def _with_accuracy(entry: ComparedRun, eps: float) -> str:
    return f"{entry.run.name} ({percent(entry.point(eps).accuracy)})"


def _reference(comparison: Comparison, leader: ComparedRun) -> ComparedRun | None:
    """Return what the leader's costs are measured against: a plainly trained run, if there is one.

    The plain run of the leader's own model comes first, then the plain run and then any run that
    is best without attack.
    """
    others = [entry for entry in comparison.entries if entry is not leader]
    if not others:
        return None
    plain = [entry for entry in others if is_plain(entry.run.config)]
    own_model = [e for e in plain if e.run.model == leader.run.model]
    first = comparison.shared_eps[0]
    return max(own_model or plain or others, key=lambda entry: entry.point(first).correct)


def _undefended(eps: float, leader: ComparedRun, reference: ComparedRun) -> str:
    name, config = reference.run.name, reference.run.config
    if is_plain(config) and reference.run.model == leader.run.model:
        name = f"Trained plainly, the same model ({name})"
    elif is_plain(config):
        name = f"Trained plainly, {name}"
    else:
        name = f"For comparison, {name}"
    return f"{name} keeps {percent(reference.point(eps).accuracy)} there."


def _clean_cost(comparison: Comparison, leader: ComparedRun, reference: ComparedRun | None) -> str:
    if comparison.shared_eps[0] != 0:
        return "Accuracy without attack was not measured for all runs (no eps 0)."
    clean, name = leader.point(0), leader.run.name
    if reference is None:
        correct = percent(clean.accuracy)
        return f"Without attack it classifies {correct} correctly ({interval_text(clean)})."
    theirs, other = reference.point(0), reference.run.name
    sentence = (
        f"Without attack, {name} classifies {percent(clean.accuracy)} correctly and {other} "
        f"{percent(theirs.accuracy)}"
    )
    difference = 100 * (clean.accuracy - theirs.accuracy)
    if not leader.differs_from(reference, 0):
        return f"{sentence}: not distinguishable."
    change = "fewer" if difference < 0 else "more"
    return f"{sentence}: {abs(difference):.1f} percentage points {change}."


def _time_cost(leader: ComparedRun, reference: ComparedRun) -> str | None:
    ours, theirs = leader.run.seconds_per_epoch, reference.run.seconds_per_epoch
    if not ours or not theirs:
        return None
    name, other = leader.run.name, reference.run.name
    both = f"An epoch of {name} took {seconds_text(ours)}, one of {other} {seconds_text(theirs)}"
    if not has_comparable_times([leader.run, reference.run]):
        return f"{both}, on different devices or numbers of threads or processes: not comparable."
    if leader.run.metrics[0].images != reference.run.metrics[0].images:
        return f"{both}, over different numbers of images: not comparable."
    ratio = ours / theirs
    if 0.95 < ratio < 1.05:
        return f"{both}: about the same."
    times = f"{ratio:.1f} times as long" if ratio > 1 else f"{1 / ratio:.1f} times faster"
    return f"{both}: {times}."
