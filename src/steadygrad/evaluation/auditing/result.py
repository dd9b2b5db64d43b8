"""What an audit found out, its JSON and its files."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from steadygrad._typing import Labels
from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError
from steadygrad.evaluation.auditing.adapted import AdaptedRound
from steadygrad.evaluation.auditing.audit_gallery import AuditGallery
from steadygrad.evaluation.auditing.batch_size import BatchSize
from steadygrad.evaluation.auditing.fitness import Problem
from steadygrad.evaluation.curve import AccuracyPoint
from steadygrad.evaluation.masking import Finding, Verdict
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.json_file import read_object, required
from steadygrad.store import make_folder
from steadygrad.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )

__all__ = [
    "SCHEMA_VERSION",
    "AuditResult",
    "read_audit",
    "write_audit",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditResult:
    """A battery of attacks on one model at one radius, and how far to believe the outcome.

    model: name, digest of the weights and fingerprint of what it computes.
    data: name, split and note where they were given, n, and a digest of images and labels.
    labels: int64 (n,); clean_correct: bool (n,), which are correct without attack.
    outcomes: one per attack, in the order of the battery.
    findings, verdict: of the diagnostics of gradient masking.
    untested: what was left out, and why, a sentence each. late: names of the attacks that the time
        limit left out or cut short.
    fitness, facts: what a look at the model before the audit found wrong, and in order.
    accepted: names of fatal problems among them in spite of which the audit was run, knowingly.
    adapted: attacks that suspicious findings asked for, and how they did; their outcomes are among
        the others.
    certified: bool (n,), images that no change within eps can mislead the model on, by proof; None
        where the model has no such proof. uncertified: how many more the attacks left, but no proof
        was tried to the end: the time was up, or success was unlikely. They count as not proven.
    gallery: a few images before and after; None if no example is correct without attack.
    budget: name of the battery, None for attacks of one's own alone; minutes: that it was given.
    seconds: spent on attacks and diagnostics, whenever they ran.
    created: when the latest of them was done, UTC, ISO 8601. versions: of steadygrad, torch,
    Python.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    eps: float
    norm: Literal["linf", "l2"]
    budget: str | None
    minutes: float | None = None
    late: tuple[str, ...] = ()
    seed: int
    device: str
    batch_size: BatchSize
    labels: Labels = field(repr=False)
    clean_correct: Tensor = field(repr=False)
    outcomes: tuple[AttackOutcome, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    untested: tuple[str, ...]
    fitness: tuple[Problem, ...]
    facts: tuple[str, ...]
    accepted: tuple[str, ...] = ()
    adapted: AdaptedRound = AdaptedRound()
    certified: Tensor | None = field(default=None, repr=False)
    uncertified: int = 0
    gallery: AuditGallery | None = field(repr=False)
    seconds: float
    created: str
    versions: Mapping[str, str]

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def broken(self) -> Tensor:
        """Which right examples any attack misled, bool (n,)."""
        broken = torch.zeros_like(self.clean_correct)
        for outcome in self.outcomes:
            broken |= outcome.broken
        return broken

    @property
    def clean(self) -> AccuracyPoint:
        """Accuracy without any attack."""
        return AccuracyPoint(eps=0.0, correct=int(self.clean_correct.sum()), n=self.n)

    @property
    def worst_case(self) -> AccuracyPoint:
        """Accuracy against an attacker who tries every attack on every example."""
        standing = self.clean_correct & ~self.broken
        return AccuracyPoint(eps=self.eps, correct=int(standing.sum()), n=self.n)

    @property
    def lower_bound(self) -> AccuracyPoint | None:
        """Accuracy that is proven: no attack whatever leaves less. None where nothing is known."""
        if self.certified is None:
            return None
        return AccuracyPoint(eps=self.eps, correct=int(self.certified.sum()), n=self.n)

    @property
    def is_proven(self) -> bool:
        """Whether every image that the attacks left is proven: the worst case is then exact."""
        bound = self.lower_bound
        return bound is not None and bound.correct == self.worst_case.correct

    @property
    def is_established(self) -> bool:
        """Whether ``worst_case`` tells anything of the model: attacked, and not misleading.

        Of a masked model it does where attacks adapted to each reason of the verdict are fit for
        the model and gain nothing more when they run once more, for which there has to be time.
        """
        if self.is_proven:
            return True
        if self.verdict.level == "masked":
            return self.adapted.overcame(self.verdict.reasons)
        return self.verdict.level != "nothing tested"

    def show(self) -> None:
        """Print a table of the attacks and the verdict."""
        from steadygrad.reports.audit.summary import show_audit

        show_audit(self)

    def plot(self) -> "Figure":
        """Return a chart of the accuracy under each attack, a matplotlib figure."""
        from steadygrad.reports.audit.summary import audit_figure

        return audit_figure(self)

    def _repr_html_(self) -> str:
        from steadygrad.reports.audit.summary import audit_html

        return audit_html(self)

    def broken_by_none_but(self, outcome: AttackOutcome) -> int:
        """Return how many examples this attack alone, of all, has misled."""
        others = torch.zeros_like(self.clean_correct)
        for other in self.outcomes:
            if other is not outcome:
                others |= other.broken
        return int((outcome.broken & ~others).sum())

    def to_json(self) -> dict[str, Any]:
        """Return everything but per-example results and pictures, as JSON can hold it.

        Numbers that are not finite become None.
        """
        record = {
            "schema_version": SCHEMA_VERSION,
            "model": dict(self.model),
            "data": dict(self.data),
            "settings": {
                "eps": self.eps,
                "norm": self.norm,
                "budget": self.budget,
                "minutes": self.minutes,
                "seed": self.seed,
                "device": self.device,
                "batch_size": asdict(self.batch_size),
            },
            "clean": self.clean.to_json(),
            "worst_case": self.worst_case.to_json(),
            "lower_bound": None if self.lower_bound is None else self.lower_bound.to_json(),
            "uncertified": self.uncertified,
            "established": self.is_established,
            "verdict": asdict(self.verdict),
            "attacks": [self._attack(outcome) for outcome in self.outcomes],
            "findings": [asdict(finding) for finding in self.findings],
            "untested": list(self.untested),
            "late": list(self.late),
            "fitness": [asdict(problem) for problem in self.fitness],
            "facts": list(self.facts),
            "accepted": list(self.accepted),
            "adapted": self.adapted.to_json(),
            "seconds": self.seconds,
            "created": self.created,
            "versions": dict(self.versions),
        }
        return {name: _plain(value) for name, value in record.items()}

    def _attack(self, outcome: AttackOutcome) -> dict[str, Any]:
        point = outcome.accuracy(self.clean_correct)
        return {
            "name": outcome.name,
            "family": outcome.family,
            "attack": outcome.attack,
            "eps": outcome.eps,
            "norm": outcome.norm,
            "scope": outcome.scope,
            "attacked": int(outcome.attacked.sum()),
            "broken": int(outcome.broken.sum()),
            "broken_by_no_other": self.broken_by_none_but(outcome),
            "outside": outcome.outside,
            "accuracy": None if point is None else point.to_json(),
            "queries": outcome.queries,
            "gradients": outcome.gradients,
            "seconds": outcome.seconds,
            "seed": outcome.seed,
            "batch_size": outcome.batch_size,
        }


def _plain(value: Any) -> Any:
    """Return lists for tuples, and None for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_ATTACK_FIELDS = (
    *("name", "family", "attack", "eps", "norm", "scope", "outside"),
    *("queries", "gradients", "seconds", "seed", "batch_size"),
)

_FROM_TENSORS = ("clean", "worst_case", "lower_bound")

_GALLERY_TENSORS = (
    *("clean", "adversarial", "labels", "clean_predictions", "adversarial_predictions"),
    "rows",
)


def write_audit(result: AuditResult, out: Path | str) -> Path:
    """Write ``out/audit.safetensors``, then ``out/audit.json``; return the path of the latter.

    Tensors: labels, clean_correct, certified where there is a proof, and for each attack
    ``attacked/NAME`` and ``broken/NAME``, bool (n,); those of the gallery. Each file is whole or
    not there.
    Raises: OutputError.
    """
    out = Path(out)
    tensors = {"labels": result.labels, "clean_correct": result.clean_correct}
    for outcome in result.outcomes:
        tensors[f"attacked/{outcome.name}"] = outcome.attacked
        tensors[f"broken/{outcome.name}"] = outcome.broken
    if result.certified is not None:
        tensors["certified"] = result.certified
    record = result.to_json()
    if result.gallery is not None:
        record["gallery"] = {"attacks": list(result.gallery.attacks)}
        for name in _GALLERY_TENSORS:
            tensors[f"gallery/{name}"] = getattr(result.gallery, name)
    make_folder(out)
    write_tensors(out / "audit.safetensors", tensors, {})
    path = out / "audit.json"
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_audit(out: Path | str) -> AuditResult:
    """Return what ``write_audit`` wrote into a folder.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another version.
    """
    path = Path(out) / "audit.json"
    record = read_object(path)
    tensors, _ = read_tensors(path.with_suffix(".safetensors"))
    try:
        if record["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema version {record['schema_version']}")
        return _result(record, tensors, str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no audit: {type(error).__name__}: {error}") from error


def _result(record: dict[str, Any], tensors: dict[str, Tensor], where: str) -> AuditResult:
    settings = required(record, "settings", dict, where)
    result = AuditResult(
        model=required(record, "model", dict, where),
        data=required(record, "data", dict, where),
        eps=required(settings, "eps", float, where),
        norm=settings["norm"],
        budget=settings["budget"],
        minutes=settings.get("minutes"),
        seed=required(settings, "seed", int, where),
        device=str(settings["device"]),
        batch_size=BatchSize(**settings["batch_size"]),
        labels=tensors["labels"],
        clean_correct=tensors["clean_correct"],
        outcomes=tuple(_outcome(attack, tensors, where) for attack in record["attacks"]),
        findings=tuple(Finding(**finding) for finding in record["findings"]),
        verdict=Verdict.of(record["verdict"]),
        untested=tuple(record["untested"]),
        late=tuple(record.get("late", ())),
        fitness=tuple(Problem(**problem) for problem in record["fitness"]),
        facts=tuple(record["facts"]),
        accepted=tuple(record.get("accepted", ())),
        certified=tensors.get("certified"),
        uncertified=required({"uncertified": 0} | record, "uncertified", int, where),
        adapted=AdaptedRound.of(record.get("adapted")),
        gallery=_gallery(record, tensors),
        seconds=required(record, "seconds", float, where),
        created=required(record, "created", str, where),
        versions=required(record, "versions", dict, where),
    )
    written = result.to_json()
    if any(written[name] != record[name] for name in _FROM_TENSORS) or any(
        one["broken"] != other["broken"]
        for one, other in zip(written["attacks"], record["attacks"], strict=True)
    ):
        raise ValueError("the outcomes beside it give other accuracies")
    return result


def _outcome(attack: dict[str, Any], tensors: dict[str, Tensor], where: str) -> AttackOutcome:
    attacked, broken = (tensors[f"{part}/{attack['name']}"] for part in ("attacked", "broken"))
    if attacked.shape != tensors["labels"].shape or broken.dtype != torch.bool:
        raise ValueError(f"the tensors of {attack['name']} are not of these examples")
    required(attack, "attack", dict, where)
    return AttackOutcome(
        **{name: attack[name] for name in _ATTACK_FIELDS}, attacked=attacked, broken=broken
    )


def _gallery(record: dict[str, Any], tensors: dict[str, Tensor]) -> AuditGallery | None:
    if "gallery" not in record:
        return None
    return AuditGallery(
        eps=float(record["settings"]["eps"]),
        attacks=tuple(record["gallery"]["attacks"]),
        **{name: tensors[f"gallery/{name}"] for name in _GALLERY_TENSORS},
    )
