"""Which evaluations may stand side by side: same images, same attack, shared radii."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from steadygrad.datasets import dataset_entry, dataset_names
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation import AccuracyPoint, Evaluation, paired_comparison
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.wording import about_record, attack_name, count_text

__all__ = ["ComparedRun", "Comparison", "EvaluatedData", "Protocol", "compare_runs"]

EPS_SHOWN = (1 / 3, 1 / 2, 2 / 3, 1)
"""Where tables look, as fractions of the way from the smallest to the largest shared radius."""


@dataclass(frozen=True)
class EvaluatedData:
    """The images of an evaluation: ``n`` of a split; note: what readers of results must know.

    digest: of folders of images, which are not known by name; "" for others and in early files.
    """

    name: str
    split: str
    n: int
    note: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Protocol:
    """How accuracy was measured: on which images, against which attack.

    attack_json: the attack's settings without eps, as sorted JSON (so that protocols hash).
    search: how the curve was found, see ``AccuracyCurve``.
    """

    data: EvaluatedData
    attack_json: str
    search: str

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Protocol":
        """Return the protocol of an evaluation."""
        values, curve = evaluation.dataset, evaluation.curve
        note = str(values.get("note") or "")
        name, split = str(values["name"]), str(values["split"])
        digest = "" if name in dataset_names() else str(values.get("digest") or "")
        data = EvaluatedData(name, split, curve.n, note, digest)
        attack = json.dumps(curve.attack, sort_keys=True)
        return cls(data, attack, curve.search)

    @property
    def attack(self) -> Mapping[str, Any]:
        """Name and settings of the attack."""
        settings: dict[str, Any] = json.loads(self.attack_json)
        return settings

    @property
    def name(self) -> str:
        """The protocol in a few words, for titles."""
        how = "" if self.search in ("sweep", "distance") else f", {self.search},"
        return f"{attack_name(self.attack)}{how} on {self.images_text}"

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name[0].upper() + self.name[1:]

    @property
    def images_text(self) -> str:
        """The images in a few words."""
        return f"{count_text(self.data.n, self.data.split + ' image')} of {self.data.name}"

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the data set's classes, None for a set that is not known by name."""
        try:
            return dataset_entry(self.data.name).class_names
        except UnknownNameError:
            return None

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing, None for a set that is not known by name."""
        return None if self.class_names is None else 1 / len(self.class_names)

    def differences(self, other: "Protocol") -> list[str]:
        """Say how this protocol differs from another, "on 500 images instead of 1,000"."""
        parts = []
        ours, theirs = (f"{p.data.name} ({p.data.split})" for p in (self, other))
        if ours != theirs:
            parts.append(f"on {ours} instead of {theirs}")
        if self.data.n != other.data.n:
            parts.append(f"on {count_text(self.data.n, 'image')} instead of {other.data.n:,}")
        if self.attack_json != other.attack_json:
            parts.append(f"with {self._attack_beside(other)}")
        if self.search != other.search:
            parts.append(f"by the search {self.search!r} instead of {other.search!r}")
        if not parts and self.data.note != other.data.note:
            parts.append("on another preparation of the data set")
        if not parts and self.data.digest != other.data.digest:
            parts.append("on other images of a data set of the same name")
        return parts

    def _attack_beside(self, other: "Protocol") -> str:
        ours, theirs = self.attack, other.attack
        if attack_name(ours) != attack_name(theirs):
            return f"{attack_name(ours)} instead of {attack_name(theirs)}"
        changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        settings = ", ".join(
            f"{key.replace('_', ' ')} {_shown(ours.get(key))} instead of {_shown(theirs.get(key))}"
            for key in changed
        )
        return f"{attack_name(ours)}, {settings}"


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run and its evaluation under a protocol; others: how many more it has under the same."""

    run: RunRecord
    evaluation: Evaluation
    others: int = 0

    @property
    def points(self) -> tuple[AccuracyPoint, ...]:
        """All points of the run's curve, at ascending eps."""
        return self.evaluation.curve.points

    def point(self, eps: float) -> AccuracyPoint:
        """Return the point at a shared radius."""
        return next(point for point in self.points if point.eps == eps)

    def differs_from(self, other: "ComparedRun", eps: float) -> bool:
        """Say whether two runs' accuracies at a shared radius differ significantly, at 5 %.

        By McNemar's test on the images that they share; where the evaluations do not tell how each
        image fared, whether their 95 % intervals lie apart, which is stricter.
        """
        mine, theirs = (run.evaluation.curve.standing(eps) for run in (self, other))
        is_paired = torch.equal(self.evaluation.labels, other.evaluation.labels)
        if mine is not None and theirs is not None and is_paired and len(mine) > 0:
            return paired_comparison(mine, theirs).p_value < 0.05
        (low, high), (other_low, other_high) = self.point(eps).ci95, other.point(eps).ci95
        return low > other_high or high < other_low


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs measured under one protocol; shared_eps: the radii that all of them were measured at."""

    protocol: Protocol
    entries: tuple[ComparedRun, ...]
    shared_eps: tuple[float, ...]

    @property
    def has_equal_grids(self) -> bool:
        """Whether all runs were measured at the same radii."""
        return all(_radii(entry.evaluation) == self.shared_eps for entry in self.entries)

    @property
    def middle_eps(self) -> float | None:
        """The shared radius nearest to the middle of the range, 0 only if there is no other."""
        radii = [eps for eps in self.shared_eps if eps > 0] or list(self.shared_eps)
        return _nearest(radii, _between(self.shared_eps, 0.5)) if radii else None

    @property
    def shown_eps(self) -> tuple[float, ...]:
        """A few shared radii above 0 for tables, the middle one among them."""
        radii = [eps for eps in self.shared_eps if eps > 0]
        if not radii:
            return ()
        return tuple(
            sorted({_nearest(radii, _between(self.shared_eps, part)) for part in EPS_SHOWN})
        )

    def mean_accuracy(self, entry: ComparedRun) -> float | None:
        """Mean of a run's accuracies over the shared radii; None without any."""
        points = [entry.point(eps) for eps in self.shared_eps]
        return sum(point.accuracy for point in points) / len(points) if points else None


def compare_runs(runs: Sequence[RunRecord]) -> tuple[Comparison, ...]:
    """Group the runs' evaluations by protocol, the one to judge by first.

    That is the one that covers most runs; among equals, a gradient attack before noise, then more
    gradient steps, then the order of the runs. A run appears in every comparison that it has an
    evaluation for; of several under one protocol, it is the latest of those whose radii most runs
    share.

    Raises: HyperparameterError, if there is no run or a folder is given twice.
    """
    if not runs:
        raise HyperparameterError("expected at least one run to report, got none")
    paths = [run.path.resolve() for run in runs]
    if repeated := [path for path in paths if paths.count(path) > 1]:
        raise HyperparameterError(f"expected every run once, got {repeated[0]} twice")
    grouped: dict[Protocol, dict[RunRecord, list[Evaluation]]] = {}
    for run in runs:
        for evaluation in run.evaluations:
            own = grouped.setdefault(Protocol.of(evaluation), {})
            own.setdefault(run, []).append(evaluation)
    return tuple(sorted((_comparison(*group) for group in grouped.items()), key=_rank))


def _comparison(
    protocol: Protocol, evaluations: Mapping[RunRecord, Sequence[Evaluation]]
) -> Comparison:
    grids = Counter(grid for own in evaluations.values() for grid in {_radii(e) for e in own})
    entries = []
    for run, own in evaluations.items():
        chosen = max(own, key=lambda evaluation: (grids[_radii(evaluation)], evaluation.created))
        entries.append(ComparedRun(run, chosen, others=len(own) - 1))
    shared = set.intersection(*(set(_radii(entry.evaluation)) for entry in entries))
    return Comparison(protocol, tuple(entries), tuple(sorted(shared)))


def _rank(comparison: Comparison) -> tuple[int, bool, int]:
    attack = comparison.protocol.attack
    steps = attack.get("steps", 1), attack.get("restarts", 1)
    effort = steps[0] * steps[1] if all(isinstance(value, int) for value in steps) else 1
    return -len(comparison.entries), about_record(attack).family == "noise", -effort


def _radii(evaluation: Evaluation) -> tuple[float, ...]:
    return evaluation.curve.eps_values


def _between(radii: Sequence[float], part: float) -> float:
    return radii[0] + part * (radii[-1] - radii[0])


def _nearest(radii: Sequence[float], wanted: float) -> float:
    """Return the nearest radius, the smaller of two that are equally near."""
    return min(radii, key=lambda eps: (round(abs(eps - wanted), 9), eps))


def _shown(value: object) -> str:
    return "the default" if value is None else str(value)
