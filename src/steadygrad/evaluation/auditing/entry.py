"""Entries of a battery: an attack, whom it is run on, and attacks of the user's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import ATTACKS, Attack, describe_attack, norm_of, with_eps
from steadygrad.attacks.adapters import AutoAttack
from steadygrad.attacks.ball import AnyNorm, Norm
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.outcome import Family, Scope
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.parts import number_text

__all__ = [
    "LAST",
    "BatteryEntry",
    "TransferAttack",
    "attack_of_text",
    "identity_of",
    "own_entries",
]

LAST = inf
"""Turn of attacks that come after all others where time is short."""
_OWN_TURN = 15
"""Turn of the user's own: after the two of the battery that break most for their time."""


@dataclass(frozen=True, kw_only=True)
class TransferAttack:
    """Run ``attack`` on ``source`` and hand over its images; the model attacked is never asked.

    eps: takes the place of the attack's own.
    source: images to logits, of the same classes; in eval mode meanwhile, on the images' device.
    source_name, source_digest: what a record says of it, and what tells it from others.
    """

    eps: float
    attack: Attack
    source: Classifier = field(repr=False)
    source_name: str
    source_digest: str | None = None

    @property
    def norm(self) -> AnyNorm:
        """The norm of the attack's ball."""
        return norm_of(self.attack)

    def __call__(
        self,
        model: Classifier,  # noqa: ARG002  (what transfers knows nothing of it)
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        with evaluation_mode(self.source):
            return with_eps(self.attack, self.eps)(self.source, images, labels, generator=generator)

    def describe(self) -> dict[str, Any]:
        """Return name, source and the attack on it, as JSON can hold them."""
        return {
            "name": "transfer",
            "source": self.source_name,
            "source_digest": self.source_digest,
            "attack": describe_attack(self.attack),
        }


@dataclass(frozen=True, eq=False)
class BatteryEntry:
    """An attack under a name of its own.

    name: unique in a battery, for people.
    family: None tells it from what the attack asks of the model: "white-box" or "one-step" if
        gradients (at most one an image), "query" if outputs alone, "noise" if nothing.
    scope: "all" runs it on every example that is correct without attack, "survivors" on those that
        every entry before it has failed on: cheaper, and each success of a query or transfer
        attack there says that the white-box attacks before it were led astray.
    limit: at most so many of them, evenly spread; None takes all. At least 1.
    stream: what its random draws hang on, beside the audit's seed and the number of the batch; None
        takes the attack's registered name and its steps, such as "pgd-50".
    turn: under a time limit, attacks with a lower turn run first.
    Raises: HyperparameterError.
    """

    name: str
    family: Family | None
    attack: Attack
    scope: Scope = "all"
    limit: int | None = None
    stream: str | None = None
    turn: float = _OWN_TURN

    def __post_init__(self) -> None:
        if not self.name:
            raise HyperparameterError("expected a name for an attack of the battery, got ''")
        if self.limit is not None and self.limit < 1:
            raise HyperparameterError(
                f"expected a limit of at least 1 image for {self.name}, got {self.limit}"
            )

    @property
    def draws(self) -> str:
        """What the random draws hang on."""
        return identity_of(self.attack) if self.stream is None else self.stream

    @property
    def description(self) -> dict[str, Any]:
        """Name and settings of the attack without ``eps``, as JSON can hold them."""
        if isinstance(self.attack, TransferAttack):
            return self.attack.describe()
        return describe_attack(self.attack)


def own_entries(
    attacks: Sequence[BatteryEntry | Attack | str],
    taken: Sequence[BatteryEntry],
    eps: float,
    norm: Norm,
) -> list[BatteryEntry]:
    """Return the attacks as entries at a radius.

    An attack that is no entry yet is called after itself, with a number if that name is taken,
    runs on all examples, and its family is told from what it asks of the model, but for AutoAttack.

    Args:
        attacks: entries and attacks, whose own eps plays no part, or texts such as
            "pgd:steps=200", in which radius and norm may be left out.
        taken: entries whose names are taken.
        eps: the radius.
        norm: in which it is measured.

    Raises:
        UnknownNameError: a text names no attack.
        HyperparameterError: an attack is in another norm or has no eps, a text has another eps, or
            a name is taken.
    """
    names = {entry.name for entry in taken}
    entries = []
    for given in attacks:
        attack = given.attack if isinstance(given, BatteryEntry) else given
        if isinstance(attack, str):
            attack = attack_of_text(attack, eps=eps, norm=norm)
        if norm_of(attack) != norm:
            raise HyperparameterError(
                f"expected attacks in {norm}, got {describe_attack(attack)['name']} in "
                f"{norm_of(attack)}"
            )
        moved = with_eps(attack, eps)
        if isinstance(given, BatteryEntry):
            if given.name in names:
                raise HyperparameterError(
                    f"expected attacks with different names, got two called {given.name}"
                )
            entry = replace(given, attack=moved)
        else:
            # What it asks of the model would tell of its attacks with gradients alone.
            is_ensemble = isinstance(attack, AutoAttack) and attack.is_ensemble
            family: Family | None = "ensemble" if is_ensemble else None
            turn = LAST if is_ensemble else _OWN_TURN
            name = _free_name(identity_of(attack), names)
            entry = BatteryEntry(name, family, moved, turn=turn)
        names.add(entry.name)
        entries.append(entry)
    return entries


def attack_of_text(text: str, *, eps: float, norm: Norm | None = None) -> Attack:
    """Return the attack that a text describes, at a radius and in a norm that it may leave out.

    Raises:
        UnknownNameError: there is no such attack or choice.
        HyperparameterError: the text is malformed, has another eps, or a setting is refused.
    """
    if norm is None:
        attack = ATTACKS.parse_with_eps(text, eps=eps)
    else:
        attack = ATTACKS.parse_with_eps(text, (norm,), eps=eps, norm=norm)
    if not hasattr(attack, "eps"):
        raise HyperparameterError(f"expected an attack with an eps, got {text!r}")
    if attack.eps != eps:
        raise HyperparameterError(
            f"expected {text!r} at eps {number_text(eps)} like everything else, got eps "
            f"{number_text(attack.eps)}; leave it out"
        )
    return attack


def identity_of(attack: Attack) -> str:
    """Return an attack's registered name, with its steps if it has them, such as "pgd-50"."""
    described = describe_attack(attack)
    steps = described.get("steps")
    name = str(described["name"]).lower().replace(" ", "-")
    return f"{name}-{steps}" if isinstance(steps, int) else name


def _free_name(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
