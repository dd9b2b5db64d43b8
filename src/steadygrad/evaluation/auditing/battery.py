"""The batteries: which attacks a budget buys, in which order, and what it leaves out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from steadygrad._typing import Classifier
from steadygrad.attacks import APGD, FGSM, PGD, Attack, MomentumIterative, RandomNoise
from steadygrad.attacks.adapters import AutoAttack, CarliniWagner, HopSkipJump
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.nes import NES
from steadygrad.errors import MissingExtraError, UnknownNameError
from steadygrad.evaluation.auditing.entry import LAST, BatteryEntry, TransferAttack
from steadygrad.evaluation.outcome import Family, Scope
from steadygrad.evaluation.provenance import weights_digest

__all__ = [
    "BUDGETS",
    "Battery",
    "Budget",
    "Recipe",
    "beyond",
    "build_battery",
]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An entry of a battery that still lacks its radius.

    stream: what the random draws hang on, see ``BatteryEntry``; never changed, so that audits of
        different versions can be compared image by image.
    build: makes the attack from ``eps``, ``settings`` and, where it works in several norms,
        ``norm``.
    norms: in which it works; one norm alone is not passed on.
    fewest_classes, most_classes: of the models it is for; None means any number.
    turn: when it comes where time is short, see ``BatteryEntry``.
    """

    name: str
    stream: str
    family: Family
    build: Callable[..., Attack]
    settings: Mapping[str, Any] = field(default_factory=dict)
    norms: tuple[Norm, ...] = ("linf", "l2")
    scope: Scope = "all"
    limit: int | None = None
    fewest_classes: int = 2
    most_classes: int | None = None
    turn: float = LAST

    def obstacle(self, norm: Norm, classes: int) -> str | None:
        """Return why it cannot be run, as the end of a sentence; None if it can."""
        if norm not in self.norms:
            return f"it does not work in {norm}"
        if classes < self.fewest_classes:
            return f"it needs {self.fewest_classes} classes, the model has {classes}"
        if self.most_classes is not None and classes > self.most_classes:
            return f"{classes} classes are too many targets to try them all"
        return None

    def attack(self, eps: float, norm: Norm) -> Attack | None:
        """Return the attack at a radius, None if it needs a library that is not installed."""
        try:
            return self.entry(eps, norm).attack
        except MissingExtraError:
            return None

    def entry(self, eps: float, norm: Norm) -> BatteryEntry:
        """Return the entry at a radius.

        Raises: MissingExtraError, if the attack needs a library that is not installed.
        """
        own = {"norm": norm} if len(self.norms) > 1 else {}
        attack = self.build(eps=eps, **own, **self.settings)
        return BatteryEntry(
            self.name, self.family, attack, self.scope, self.limit, self.stream, self.turn
        )


Budget: TypeAlias = Literal["quick", "standard", "full"]
"""Name of a battery of attacks."""
BUDGETS: tuple[Budget, ...] = get_args(Budget)
"""Names of the batteries, from the shortest to the longest."""

_MOST_TARGETS = 100
"""Classes beyond which no attack tries every wrong one in turn."""

_NOISE = Recipe(
    name="noise",
    stream="noise",
    family="noise",
    build=RandomNoise,
    settings={"distribution": "sign", "samples": 10},
    norms=("linf",),
    turn=180,
)
_FGSM = Recipe(
    name="fgsm",
    stream="fgsm",
    family="one-step",
    build=FGSM,
    turn=40,
)
_PGD_8 = Recipe(
    name="pgd-8",
    stream="pgd-8",
    family="white-box",
    build=PGD,
    settings={"steps": 8},
    turn=10,
)
_MIM_10 = Recipe(
    name="mim-10",
    stream="mim-10",
    family="white-box",
    build=MomentumIterative,
    settings={"steps": 10},
    turn=140,
)
_CARLINI_WAGNER = Recipe(
    name="carlini-wagner",
    stream="carlini-wagner",
    family="white-box",
    build=CarliniWagner,
    norms=("l2",),
    scope="survivors",
    turn=170,
)
_HOP_SKIP_JUMP = Recipe(
    name="hop-skip-jump",
    stream="hop-skip-jump",
    family="query",
    build=HopSkipJump,
    settings={"steps": 20},
    scope="survivors",
    limit=20,
    turn=190,
)
_AUTOATTACK = Recipe(
    name="autoattack", stream="autoattack", family="ensemble", build=AutoAttack, fewest_classes=4
)


def _pgd(steps: int, restarts: int, loss: str, turn: float, *, fewest_classes: int = 2) -> Recipe:
    ending = "" if loss == "cross-entropy" else f"-{loss}"
    return Recipe(
        name=f"pgd-{steps}{ending}",
        stream=f"pgd-{steps}{ending}",
        family="white-box",
        build=PGD,
        settings={"steps": steps, "restarts": restarts, "loss": loss},
        fewest_classes=fewest_classes,
        turn=turn,
    )


def _all_targets(steps: int) -> Recipe:
    return Recipe(
        name=f"pgd-{steps}-targets",
        stream=f"pgd-{steps}-targets",
        family="white-box",
        build=PGD,
        settings={"steps": steps, "target": "all", "loss": "margin"},
        scope="survivors",
        most_classes=_MOST_TARGETS,
        turn=80,
    )


def _nes(queries: int, limit: int | None) -> Recipe:
    return Recipe(
        name="nes",
        stream="nes",
        family="query",
        build=NES,
        settings={"queries": queries, "loss": "margin", "stop_early": True},
        norms=("linf",),
        scope="survivors",
        limit=limit,
        turn=150,
    )


def _member(name: str, turn: float, *, limit: int | None = None) -> Recipe:
    """Return a part of AutoAttack by its authors' code, as they run it, on survivors."""
    return Recipe(
        name=name,
        stream=name,
        family="query" if name == "square" else "white-box",
        build=AutoAttack,
        settings={"attacks": (name,)},
        scope="survivors",
        limit=limit,
        turn=turn,
    )


_NEAR = 0.25
"""Restarts are for images that the linearized model has within a quarter of eps of breaking."""

_APGD_CE = Recipe(name="apgd-ce", stream="apgd-ce", family="white-box", build=APGD, turn=20)
_APGD_MARGIN = Recipe(
    name="apgd-margin",
    stream="apgd-margin",
    family="white-box",
    build=APGD,
    settings={"steps": 50, "restarts": 3, "near": _NEAR, "loss": "margin"},
    scope="survivors",
    turn=60,
)


def _apgd_t(steps: int, candidates: int, restarts: int) -> Recipe:
    return Recipe(
        name="apgd-t",
        stream="apgd-t",
        family="white-box",
        build=APGD,
        settings={
            "steps": steps,
            "restarts": restarts,
            "near": _NEAR,
            "loss": "dlr",
            "target": "nearest",
            "candidates": candidates,
        },
        scope="survivors",
        fewest_classes=4,
        turn=30,
    )


def _square(queries: int, limit: int | None) -> Recipe:
    recipe = _member("square", 50, limit=limit)
    return replace(recipe, settings={**recipe.settings, "square_queries": queries})


# Cheap attacks first: those on survivors meet what all before them have left.
RECIPES: Mapping[Budget, tuple[Recipe, ...]] = {
    "quick": (
        _NOISE,
        _FGSM,
        _PGD_8,
        _pgd(20, 2, "margin", 0),
        _nes(1000, 50),
        _square(5000, 20),
    ),
    "standard": (
        _NOISE,
        _FGSM,
        _PGD_8,
        _MIM_10,
        _pgd(20, 2, "margin", 0),
        _APGD_CE,
        _APGD_MARGIN,
        _apgd_t(30, 3, 3),
        _nes(1000, 20),
        _square(1000, 200),
    ),
    "full": (
        _NOISE,
        _FGSM,
        _PGD_8,
        _MIM_10,
        _pgd(20, 2, "margin", 0),
        _pgd(50, 5, "cross-entropy", 100),
        _pgd(100, 10, "cross-entropy", 110),
        _pgd(100, 10, "margin", 70),
        _pgd(100, 10, "dlr", 130, fewest_classes=3),
        _APGD_CE,
        _APGD_MARGIN,
        _all_targets(50),
        _apgd_t(100, 9, 3),
        _member("fab-t", 160),
        _CARLINI_WAGNER,
        _nes(4000, None),
        _square(5000, None),
        _HOP_SKIP_JUMP,
        _AUTOATTACK,
    ),
}


@dataclass(frozen=True, eq=False)
class Battery:
    """Attacks in the order in which they run, and what was left out, a sentence each."""

    entries: tuple[BatteryEntry, ...]
    untested: tuple[str, ...]


def build_battery(
    budget: Budget | None,
    *,
    eps: float,
    norm: Norm,
    classes: int,
    sources: Mapping[str, Classifier],
    told_apart: Callable[[Classifier], str | None] = weights_digest,
) -> Battery:
    """Return the attacks that a budget buys at a radius, those that transfer from sources last.

    budget: None buys nothing but the transfers.
    classes: of the model; sources: other models of the same classes, by name.
    told_apart: from a source to what tells it from others, for the records.
    Raises: UnknownNameError, for a budget that there is none of.
    """
    if budget is not None and budget not in RECIPES:
        raise UnknownNameError(f"expected budget one of {', '.join(BUDGETS)}, got {budget!r}")
    entries, untested = [], []
    for recipe in RECIPES[budget] if budget is not None else ():
        obstacle = recipe.obstacle(norm, classes)
        if obstacle is None:
            try:
                entries.append(recipe.entry(eps, norm))
            except MissingExtraError as error:
                obstacle = str(error)
        if obstacle is not None:
            untested.append(f"{recipe.name}: {obstacle}")
    for name, source in sources.items():
        entries += _transfers(budget, name, source, told_apart(source), eps, norm)
    if not sources:
        untested.append("transfer: no source models were given")
    if budget is None:
        untested.append("every battery: only attacks of one's own were asked for")
    return Battery(tuple(entries), tuple(untested))


def _transfers(
    budget: Budget | None,
    name: str,
    source: Classifier,
    source_digest: str | None,
    eps: float,
    norm: Norm,
) -> list[BatteryEntry]:
    recipes = (
        (_MIM_10,) if budget in (None, "quick") else (_MIM_10, _pgd(50, 5, "cross-entropy", 100))
    )
    return [
        BatteryEntry(
            f"transfer-{name}-{recipe.name}",
            "transfer",
            TransferAttack(
                eps=eps,
                attack=recipe.entry(eps, norm).attack,
                source=source,
                source_name=name,
                source_digest=source_digest,
            ),
            # Every source is attacked with the same draws, whatever it is called.
            stream=f"transfer-1-{recipe.stream}",
            turn=LAST,
        )
        for recipe in recipes
    ]


def beyond(
    budget: Budget | None, entries: Sequence[BatteryEntry], *, eps: float, norm: Norm
) -> tuple[str, ...]:
    """Return what larger budgets would add to the entries of an audit, a sentence each."""
    if budget is None:
        return ()
    mine = {recipe.name: recipe.attack(eps, norm) for recipe in RECIPES[budget]}
    attacks = [entry.attack for entry in entries] + [each for each in mine.values() if each]
    told: dict[str, str] = {}
    for other in BUDGETS[BUDGETS.index(budget) + 1 :]:
        for recipe in RECIPES[other]:
            if norm in recipe.norms and recipe.attack(eps, norm) not in attacks:
                part = "with other settings in" if mine.get(recipe.name) else "part of"
                told.setdefault(recipe.name, f"{recipe.name}: {part} the {other} budget")
    return tuple(told.values())
