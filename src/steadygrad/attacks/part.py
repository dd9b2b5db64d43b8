"""The family of attacks, and what every attack says of itself."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import AnyNorm
from steadygrad.attacks.base import Attack, norm_of
from steadygrad.errors import HyperparameterError
from steadygrad.held_statistics import held_statistics
from steadygrad.parts import Family
from steadygrad.parts.reading import split_name

__all__ = ["ATTACKS", "AboutAttack", "AttackFamily", "EpsMeaning", "about_attack", "attack"]

AttackFamily: TypeAlias = Literal[
    "noise", "one-step", "white-box", "ensemble", "query", "minimal", "transfer", "other"
]
"""noise and query attacks need no gradient; minimal ones look for the smallest perturbation."""

EpsMeaning: TypeAlias = Literal["radius", "length", "standard deviation", "none"]
"""Largest change of any pixel; L2 length of the whole change; of Gaussian noise; no eps at all."""

C = TypeVar("C", bound=type[Any])


class _Attacks(Family[Attack]):
    """Attacks, each of which leaves the buffers of a model in training mode as they were."""

    def register(self, name: str, about: Any = None, *, replace: bool = False) -> Callable[[C], C]:
        add = super().register(name, about, replace=replace)

        def add_and_hold(cls: C) -> C:
            found = add(cls)
            if not hasattr(found.__call__, "holds_statistics"):
                found.__call__ = _holding_statistics(found.__call__)
            return found

        return add_and_hold

    def names_with_eps(self, norms: Collection[AnyNorm] = get_args(AnyNorm)) -> tuple[str, ...]:
        """Return the names of the attacks that take a radius in one of these norms.

        Nothing is known of attacks of other packages that are not loaded: all are among them.
        """

        def may_take_eps(name: str) -> bool:
            cls = self._classes.get(name)
            about = None if cls is None else self._about[cls]
            if not isinstance(about, AboutAttack):
                return True
            return about.has_eps and any(norm in norms for norm in about.norms)

        return tuple(filter(may_take_eps, self.names()))

    def parse_with_eps(
        self, text: str, norms: Collection[AnyNorm] = get_args(AnyNorm), **defaults: Any
    ) -> Attack:
        """Return the attack that ``text`` describes, of those that take a radius.

        Args:
            text: as of ``parse``.
            norms: of the attacks that are offered where the name is unknown.
            defaults: as of ``parse``.

        Raises:
            UnknownNameError: there is no such attack or choice.
            HyperparameterError: the attack takes no radius, or as ``parse``.
        """
        name, offered = split_name(text)[0], self.names_with_eps(norms)
        if name not in self.names():
            raise self._unknown(name, offered)
        if name not in self.names_with_eps():
            raise HyperparameterError(
                f"expected an attack with an eps, got {name!r}, which has none; "
                f"choose one of {', '.join(offered)}"
            )
        return self.parse(text, **defaults)


def _holding_statistics(call: Callable[..., Images]) -> Callable[..., Images]:
    @wraps(call)
    def held(
        self: Any, model: Classifier, images: Images, labels: Labels, **options: Any
    ) -> Images:
        with held_statistics(model):
            return call(self, model, images, labels, **options)

    held.holds_statistics = True  # type: ignore[attr-defined] # a note on the function
    return held


ATTACKS = _Attacks("attack", "steadygrad.attacks")
"""Every registered attack; other packages add theirs by the entry point ``steadygrad.attacks``."""


@dataclass(frozen=True, kw_only=True)
class AboutAttack:
    """What is known of an attack before it is built.

    title: short name for people; family: how it finds its perturbation; norms: the balls that it
        can stay in; is_gaussian: its eps is the standard deviation of noise, which pixels exceed;
        stays_in_ball: whether no result is further away than eps; has_eps: whether it takes one.
    """

    title: str
    family: AttackFamily
    norms: tuple[AnyNorm, ...] = ("linf",)
    is_gaussian: bool = False
    stays_in_ball: bool = True
    has_eps: bool = True

    def eps_means(self, norm: AnyNorm = "linf") -> EpsMeaning:
        """Return what the number ``eps`` of the attack says in this norm."""
        if not self.has_eps:
            return "none"
        if self.is_gaussian:
            return "standard deviation"
        return "length" if norm != "linf" else "radius"


def attack(
    name: str,
    *,
    title: str,
    family: AttackFamily,
    norms: tuple[AnyNorm, ...] = ("linf",),
    is_gaussian: bool = False,
    stays_in_ball: bool = True,
    has_eps: bool = True,
) -> Callable[[C], C]:
    """Return a class decorator that registers an attack, a frozen dataclass, under ``name``.

    Raises:
        HyperparameterError: as ``Family.register``.
    """
    about = AboutAttack(
        title=title,
        family=family,
        norms=norms,
        is_gaussian=is_gaussian,
        stays_in_ball=stays_in_ball and not is_gaussian and has_eps,
        has_eps=has_eps,
    )
    return ATTACKS.register(name, about)


def about_attack(part: Any) -> AboutAttack:
    """Return what an attack says of itself; of one that is not registered, what its class shows."""
    about = ATTACKS.about(part)
    if isinstance(about, AboutAttack):
        return about
    norm = norm_of(part)
    title = getattr(part, "label", None) or ATTACKS.name_of(part) or type(part).__name__
    return AboutAttack(
        title=str(title), family="other", norms=(norm,), has_eps=hasattr(part, "eps")
    )
