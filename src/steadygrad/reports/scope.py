"""What keeps numbers of a report honest: what was tested, what was not, what cannot be compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steadygrad.attacks.part import AttackFamily
from steadygrad.datasets import dataset_entry
from steadygrad.errors import UnknownNameError
from steadygrad.reports.comparison import Comparison, Protocol
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.wording import (
    about_record,
    attack_name,
    attack_settings,
    count_text,
    enumeration,
    eps_text,
    length_norm,
)

__all__ = ["cautions", "has_comparable_times", "tested", "untested"]


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
    """Say whether the runs, as far as recorded, trained on equal devices, threads and processes."""
    used = [{"device_name": _device(run.config.device), **run.provenance} for run in runs]
    return all(
        len({here[key] for here in used if here.get(key) is not None}) <= 1
        for key in ("device_name", "threads", "processes")
    )


def _device(asked: str) -> str | None:
    """Return the device of a run that did not record its name, None where it was not told."""
    return None if asked == "auto" else asked


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
            f"{run.name} was evaluated {how}: its numbers are not compared "
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
            trained, tested = entry.run.config.data_title, comparison.protocol.data.name
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
        "The runs were trained on different devices or numbers of threads or processes: training "
        "times are not comparable."
    ]


def _is_are(parts: Sequence[str]) -> str:
    return "is" if len(parts) == 1 else "are"


GRADIENT: frozenset[AttackFamily] = frozenset({"one-step", "white-box"})
"""Families of attacks that follow the gradient of a loss, knowing the weights."""


FEW_STEPS = 20


_NOISE_KIND = "Gaussian noise of standard deviation eps"


def tested(comparison: Comparison) -> list[tuple[str, str]]:
    """Return (topic, sentences) about how the accuracies of a comparison were measured."""
    protocol = comparison.protocol
    facts = [("Attack", _attack(protocol)), ("Images", _images(protocol))]
    facts.append(("Radii", _radii(comparison)))
    facts.append(("Counting", _counting(protocol)))
    seeds = sorted({entry.evaluation.curve.seed for entry in comparison.entries})
    facts.append(
        (
            "Uncertainty",
            "Bands and intervals are Wilson's 95\u00a0% intervals. They cover only the choice of "
            "test images, not other trainings or better attacks. Two accuracies are called "
            "different where McNemar's test on the shared images says so at 5\u00a0%, or, without "
            "each image's outcome, where their intervals lie apart. Seed of the attack's random "
            f"draws: {', '.join(map(str, seeds))}.",
        )
    )
    return facts


def untested(runs: Sequence[RunRecord], comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return (topic, sentences) about what the report's numbers leave open."""
    attacks = [comparison.protocol.attack for comparison in comparisons]
    facts = [("Stronger attacks", _stronger(attacks))]
    facts.append(
        (
            "Other disturbances",
            f"Only {_tried(attacks)} tried: no other norms, shifts, rotations, patches, blur or "
            "weather. Robustness to one kind need not carry over to another.",
        )
    )
    facts.append(
        (
            "Gradient masking",
            "A network can look robust because its gradients mislead the attack. Signs are a "
            "curve that does not reach 0 at large eps, or noise that beats the gradient attack. "
            "No diagnostic for it was run beyond what is shown here.",
        )
    )
    facts += _other_images(comparisons)
    facts.append(("Chance in training", _seeds(runs)))
    return facts


def _attack(protocol: Protocol) -> str:
    attack = protocol.attack
    about = about_record(attack)
    settings = f"{attack_name(attack)}: {attack_settings(attack)}."
    if about.family in GRADIENT:
        return (
            f"{settings} White-box: the attacker knows the network and its weights and follows "
            f"the gradient of {_raised(attack)}, {_within(attack)}."
        )
    if about.family == "query":
        return (
            f"{settings} Black-box: the attacker sees the network's outputs alone and estimates "
            f"their gradient, {_within(attack)}."
        )
    if about.family == "noise":
        text = (
            f"{settings} Noise that does not depend on the network: a disturbance, not an attack."
        )
        if about.is_gaussian:
            text += " eps is its standard deviation; single pixels change by more."
        return text
    return settings


def _raised(attack: Mapping[str, Any]) -> str:
    loss = attack.get("loss", "cross-entropy")
    return {"margin": "the margin between the logits", "dlr": "the DLR loss"}.get(
        loss, "the cross-entropy"
    )


def _within(attack: Mapping[str, Any]) -> str:
    if not about_record(attack).stays_in_ball:
        return "and may change images by more than eps"
    if (norm := length_norm(attack)) is not None:
        return f"changing each image by at most eps in {norm}"
    return "changing each pixel by at most eps"


def _tried(attacks: Sequence[Mapping[str, Any]]) -> str:
    kinds = sorted({_kind(attack) for attack in attacks}, reverse=True)
    is_noise_alone = all(about_record(attack).is_gaussian for attack in attacks)
    return f"{enumeration(kinds)} {'was' if is_noise_alone else 'were'}"


def _kind(attack: Mapping[str, Any]) -> str:
    about = about_record(attack)
    if about.is_gaussian:
        return _NOISE_KIND
    if not about.stays_in_ball:
        return "changes that may exceed eps"
    if (norm := length_norm(attack)) is not None:
        return f"changes of each image by at most eps in {norm}"
    return "changes of each pixel by at most eps (L-infinity)"


def _images(protocol: Protocol) -> str:
    text = f"{protocol.images_text}{_whole(protocol)}."
    note = protocol.data.note
    return f"{text} Note: {note[0].upper()}{note[1:].rstrip('.')}." if note else text


def _whole(protocol: Protocol) -> str:
    size = _split_size(protocol)
    if size is None:
        return ""
    return ", the whole split" if protocol.data.n == size else f" (of {size:,} in the split)"


def _split_size(protocol: Protocol) -> int | None:
    if protocol.data.split != "test":
        return None
    try:
        return dataset_entry(protocol.data.name).test_size
    except UnknownNameError:
        return None


def _radii(comparison: Comparison) -> str:
    radii = comparison.shared_eps
    if not radii:
        return "No eps is shared by all runs."
    ends = f"from {eps_text(radii[0])} to {eps_text(radii[-1])}"
    span = f"{len(radii)} values of eps {ends}" if len(radii) > 1 else f"eps {eps_text(radii[0])}"
    shared = "" if comparison.has_equal_grids else ", those that all runs share"
    if length_norm(comparison.protocol.attack) is not None:
        return (
            f"{span}{shared}: the length of an image's whole change, where 1 is one value from "
            "black to white."
        )
    return f"{span}{shared}, in units of the pixel range [0, 1]: 8/255 is 8 grey levels."


_HOW_RADII_WERE_TRIED = {
    "continued": " The attack went on from the smaller eps with half of its steps, so that its "
    "curve lies lower or higher than that of a sweep.",
    "bisection": " Only the eps around the smallest that breaks an image were tried, so that its "
    "curve may lie above that of a sweep.",
    "distance": " The attack looked for the nearest adversarial image once.",
}
"""What ``AccuracyCurve.search`` means for a reader, where it is not the ordinary sweep."""


def _counting(protocol: Protocol) -> str:
    if protocol.search == "separate":
        return "Every image was attacked separately at every eps, so a curve may rise by chance."
    return (
        "Each image counts at its worst: one that is misclassified without attack or at one eps "
        "counts as misclassified at every larger eps."
        f"{_HOW_RADII_WERE_TRIED.get(protocol.search, '')}"
    )


def _stronger(attacks: Sequence[Mapping[str, Any]]) -> str:
    families = {about_record(attack).family for attack in attacks}
    if families == {"noise"}:
        return "Only noise was tried, no attack: the numbers say nothing about an adversary."
    is_one_family = families <= GRADIENT | {"noise"}
    who = "One family of white-box attacks gives" if is_one_family else "Attacks give"
    text = (
        f"{who} an upper bound on robustness: the accuracy under the best possible attack is at "
        "most what is shown, and may be far lower."
    )
    steps = [attack["steps"] for attack in attacks if isinstance(attack.get("steps"), int)]
    if steps and max(steps) < FEW_STEPS:
        are_few = "step is" if max(steps) == 1 else "steps are"
        text += f" {max(steps)} {are_few} few; 50 or more, with restarts, may find more."
    if all(attack["name"] != "autoattack" for attack in attacks):
        text += " AutoAttack was not run."
    if is_one_family:
        text += " Nor was any black-box or adaptive attack."
    return text


def _other_images(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    protocol = comparisons[0].protocol
    size = _split_size(protocol)
    if size is None or protocol.data.n >= size:
        return []
    return [
        (
            "The rest of the test set",
            f"{protocol.data.n:,} of {size:,} test images were used; published numbers are often "
            "over all of them.",
        )
    ]


def _seeds(runs: Sequence[RunRecord]) -> str:
    groups: dict[str, set[int]] = {}
    for run in runs:
        settings = json.dumps(replace(run.config, seed=0).to_dict(), sort_keys=True)
        groups.setdefault(settings, set()).add(run.config.seed)
    if all(len(seeds) == 1 for seeds in groups.values()):
        return (
            "Every configuration was trained with a single seed: how far its numbers move from "
            "one training to the next was not measured."
        )
    some = "Only some" if any(len(seeds) == 1 for seeds in groups.values()) else "The"
    return (
        f"{some} configurations were trained with several seeds; the numbers of each run are shown "
        "as they are, not averaged, and intervals do not cover the spread between seeds."
    )
