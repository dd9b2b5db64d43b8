"""Attacks adapted to what the diagnostics found, and whether they overcame it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import (
    ATTACKS,
    Attack,
    StraightThrough,
    about_attack,
    draws_needed,
    substituted_operations,
    with_eps,
)
from steadygrad.errors import SteadygradError
from steadygrad.evaluation.auditing.attack_run import AttackFailedError, Target
from steadygrad.evaluation.auditing.campaign import Campaign
from steadygrad.evaluation.auditing.entry import BatteryEntry
from steadygrad.evaluation.auditing.fitness.check import spread_rows
from steadygrad.evaluation.divided_batches import from_main_rank
from steadygrad.evaluation.masking import Finding
from steadygrad.evaluation.masking.diagnostic import traits_of
from steadygrad.evaluation.outcome import Family
from steadygrad.seeds import derive_seed

__all__ = ["AdaptedAttack", "AdaptedRound", "run_adapted"]

KNOWN, FEWEST_KNOWN, SHARE = 24, 6, 0.9
"""Examples known to be breakable that an adapted attack is tried on, at most and at least, and the
share of them that it must break to count as fit for the model."""
GAIN = 0.02
"""Of all images, that a second, longer run may still break where the first is to be believed."""


@dataclass(frozen=True)
class AdaptedAttack:
    """An attack that a diagnostic asked for, and how it did on examples known to be breakable.

    name: as in the audit's outcomes; asked_by: diagnostics whose suspicion it answers.
    control: "known": examples that other attacks broke at the same radius; "unbounded": others, at
        the largest radius there is, where too few are known.
    met, broken: of the control.
    note: what it replaces or averages, and so what it costs.
    """

    name: str
    asked_by: tuple[str, ...]
    control: str
    met: int
    broken: int
    note: str = ""

    @property
    def is_fit(self) -> bool:
        """Whether it finds what is known to be there."""
        return self.met > 0 and self.broken >= SHARE * self.met

    @property
    def sentence(self) -> str:
        """What it was, whom it was tried on, and what it found there, for a person."""
        where = (
            "that are known to be breakable" if self.control == "known" else "at any radius at all"
        )
        found = f"it breaks {self.broken} of {self.met} images {where}"
        fitness = "fit for this model" if self.is_fit else "unfit for this model"
        note = f"{self.note}; " if self.note else ""
        return f"{self.name} ({note}asked for by {', '.join(self.asked_by)}): {found}, {fitness}"


@dataclass(frozen=True)
class AdaptedRound:
    """All adapted attacks of an audit.

    before, after: examples standing before and after them.
    gained: of the examples standing, that the most successful one broke when it ran once more, for
        twice as long; None where it did not run again on all of them.
    n: examples of the audit.
    """

    attacks: tuple[AdaptedAttack, ...] = ()
    before: int = 0
    after: int = 0
    gained: int | None = None
    n: int = 0

    def overcame(self, reasons: Iterable[str]) -> bool:
        """Whether a fit attack answers each of these diagnostics, and more steps gain nothing."""
        answered = {name for each in self.attacks if each.is_fit for name in each.asked_by}
        return bool(answered) and self.has_settled and answered.issuperset(reasons)

    @property
    def has_settled(self) -> bool:
        """Whether a second, longer run gains next to nothing, or nothing stands to be gained.

        Where time cut an attack short, it left out the second run too.
        """
        return self.after == 0 or (self.gained is not None and self.gained <= GAIN * self.n)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self) | {"attacks": [asdict(each) for each in self.attacks]}

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> "AdaptedRound":
        """Return what ``to_json`` wrote; an empty round for None, as older audits hold.

        Raises: KeyError, TypeError.
        """
        if record is None:
            return cls()
        attacks = tuple(
            AdaptedAttack(**(each | {"asked_by": tuple(each["asked_by"])}))
            for each in record["attacks"]
        )
        return cls(**(dict(record) | {"attacks": attacks}))


def run_adapted(campaign: Campaign, findings: Sequence[Finding]) -> AdaptedRound:
    """Run the attacks that suspicious findings ask for on what the battery left standing.

    Their outcomes join the campaign's. Each is also tried on examples that are known to be
    breakable; the most successful one runs once more, for twice as long.
    Raises: as ``Campaign.run_all``.
    """
    asked = _asked(findings)
    if not asked:
        return AdaptedRound()
    target = campaign.target
    known = campaign.broken
    before = int((campaign.clean_correct & ~known).sum())
    rows = known.nonzero().squeeze(1)
    entries, attacks = [], []
    for entry, names, note in _entries(campaign, asked):
        entries.append(entry)
        campaign.run_all([entry])
        if not any(run.outcome.name == entry.name for run in campaign.runs) and before:
            continue  # it could not be run, as is listed
        if len(rows) >= FEWEST_KNOWN:
            kind, control, chosen = "known", entry, rows[spread_rows(len(rows), KNOWN)]
        else:
            kind = "unbounded"
            right = campaign.clean_correct.nonzero().squeeze(1)
            chosen = right[spread_rows(len(right), KNOWN)]
            control = replace(
                entry,
                name=f"{entry.name}, any radius",
                attack=with_eps(entry.attack, _most(target)),
            )
        broken = _tried(campaign, control, chosen, unbounded=kind == "unbounded")
        if broken is not None:
            attacks.append(AdaptedAttack(entry.name, names, kind, len(chosen), broken, note))
    gained = _again(campaign, entries)
    after = int((campaign.clean_correct & ~campaign.broken).sum())
    return AdaptedRound(tuple(attacks), before, after, gained, len(campaign.clean_correct))


def _asked(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Return the texts of the attacks asked for, with the diagnostics that ask.

    Each diagnostic names the cheap ones first: an attack comes after those that stand before it.
    """
    asked: dict[str, list[str]] = {}
    places: dict[str, int] = {}
    for finding in findings:
        if finding.status == "suspicious":
            for place, text in enumerate(traits_of(finding.name).asks_for):
                asked.setdefault(text, []).append(finding.name)
                places[text] = max(place, places.get(text, 0))
    return dict(sorted(asked.items(), key=lambda item: places[item[0]]))


def _entries(
    campaign: Campaign, asked: Mapping[str, list[str]]
) -> Iterable[tuple[BatteryEntry, tuple[str, ...], str]]:
    """Yield each attack as an entry, with who asked for it and what it costs."""
    target = campaign.target
    draws = _draws(target, campaign.clean_correct)
    taken = {run.outcome.name for run in campaign.runs}
    for text, names in asked.items():
        try:
            attack = ATTACKS.parse(text, eps=target.eps, norm=target.norm)
        except SteadygradError as error:
            campaign.untested.append(f"{text}: {error}")
            continue
        note = ""
        if isinstance(attack, StraightThrough):
            replaced = _replaced(target)
            if not replaced:
                campaign.untested.append(
                    f"{text}: no operation was found whose gradient it could replace"
                )
                continue
            note = f"gradients pass through {', '.join(replaced)}"
        if draws > 1 and _has(attack, "draws"):
            changed: Any = attack
            attack = replace(changed, draws=draws)
            cost = f"{draws} passes a step, from the measured variance"
            note = f"{note}; {cost}" if note else cost
        name = text.partition(":")[0]
        name = f"adapted-{name}" if name in taken or ":" in text else name
        about: Any = about_attack(attack).family
        family: Family | None = about if about in get_args(Family) else None
        yield BatteryEntry(name, family, attack, "survivors", stream=text), tuple(names), note


def _has(attack: Attack, setting: str) -> bool:
    untyped: Any = attack
    return is_dataclass(untyped) and setting in {field.name for field in fields(untyped)}


def _replaced(target: Target) -> tuple[str, ...]:
    try:
        found: tuple[str, ...] = from_main_rank(
            lambda: _shown(target, target.images[:2], target.labels[:2], _substituted)
        )
    except Exception:  # what a stranger's model does with tensors of another kind
        return ()
    return found


def _substituted(model: Classifier, images: Images, labels: Labels) -> tuple[str, ...]:  # noqa: ARG001 (asked as draws_needed is)
    return substituted_operations(model, images)


def _draws(target: Target, clean_correct: Tensor) -> int:
    """Return how many passes a step should average: 1 for a model that answers alike."""
    right = clean_correct.nonzero().squeeze(1)
    rows = right[spread_rows(len(right), 16)]
    images = target.images[rows.to(target.images.device)]
    labels = target.labels[rows.to(target.labels.device)]
    try:
        draws: int = from_main_rank(lambda: _shown(target, images, labels, draws_needed))
    except SteadygradError:  # no gradient: nothing to average
        return 1
    return draws


def _shown(
    target: Target,
    images: Images,
    labels: Labels,
    what: Callable[[Classifier, Images, Labels], Any],
) -> Any:
    with torch.random.fork_rng(devices=[target.device] if target.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(target.seed, "adapted attacks"))
        return what(target.model, images.to(target.device), labels.to(target.device))


def _most(target: Target) -> float:
    """Return the radius at which every image may become every other."""
    return 1.0 if target.norm == "linf" else float(target.images.shape[1:].numel()) ** 0.5


def _tried(campaign: Campaign, entry: BatteryEntry, rows: Tensor, *, unbounded: bool) -> int | None:
    eps = _most(campaign.target) if unbounded else campaign.target.eps
    try:
        run = campaign.tried(entry, rows, eps)
    except AttackFailedError as error:
        campaign.untested.append(f"{entry.name}: {error}")
        return None
    return int(run.outcome.broken.sum())


def _again(campaign: Campaign, entries: Sequence[BatteryEntry]) -> int | None:
    """Run the most successful attack once more, with new draws and twice the steps."""
    broken = {run.outcome.name: int(run.outcome.broken.sum()) for run in campaign.runs}
    ran = [entry for entry in entries if entry.name in broken]
    if not ran or not bool((campaign.clean_correct & ~campaign.broken).any()):
        return None
    best = max(ran, key=lambda entry: broken[entry.name])
    attack: Any = best.attack
    if _has(attack, "steps"):
        attack = replace(attack, steps=2 * attack.steps)
    again = replace(best, name=f"{best.name}-again", attack=attack, stream=f"{best.stream}, again")
    campaign.run_all([again])
    if again.name in campaign.late:
        return None
    runs = [run for run in campaign.runs if run.outcome.name == again.name]
    return int(runs[0].outcome.broken.sum()) if runs else None
