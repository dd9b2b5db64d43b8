"""Whom an audit's number is about: what the attacker may change, knows and wants."""

from collections.abc import Sequence

from steadygrad.attacks.ball import Norm
from steadygrad.evaluation.auditing import AttackOutcome, Family
from steadygrad.reports.wording import eps_text, sentence_text

__all__ = ["radius_text", "threat_model"]

WHITE_BOX: frozenset[Family] = frozenset({"one-step", "white-box", "ensemble"})


def radius_text(eps: float, norm: Norm) -> str:
    """Return a radius for reading: "0.1 (25.5/255)"; in L2, where no pixel is alone, "1.5 (L2)"."""
    if norm == "l2":
        return f"{eps:.4g} (L2)"
    levels = f"{255 * eps:.4g}/255"
    short = eps_text(eps)
    return f"{levels} ({eps:.4g})" if short == levels else f"{short} ({levels})"


def threat_model(
    outcomes: Sequence[AttackOutcome], eps: float, norm: Norm
) -> list[tuple[str, str]]:
    """Return (topic, sentences): what may change, what the attacker knows, wants, and may spend."""
    return [
        ("May change", _change(eps, norm)),
        ("Knows", _knowledge({outcome.family for outcome in outcomes})),
        (
            "Wants",
            "Any wrong class. Attacks that aim at a class of their own choice count as soon as the "
            "model is wrong.",
        ),
        (
            "Counts as right",
            "An image that is right without attack and that none of the attacks misleads: the "
            "worst case, image by image. One that is wrong without attack counts as wrong and is "
            "never attacked.",
        ),
    ]


def _change(eps: float, norm: Norm) -> str:
    range_kept = "and no pixel leaves [0, 1]"
    if norm == "linf":
        return (
            f"Every pixel of every channel, by at most eps = {radius_text(eps, norm)} of the pixel "
            f"range (L-infinity), {range_kept}."
        )
    return (
        f"All pixels together, by a Euclidean length of at most eps = {radius_text(eps, norm)} in "
        f"units of the pixel range, {range_kept}."
    )


def _knowledge(families: set[Family]) -> str:
    kinds = []
    if families & WHITE_BOX:
        kinds.append("everything (white-box: the network, its weights and its gradients)")
    if "query" in families:
        kinds.append("the outputs alone (queries)")
    if "transfer" in families:
        kinds.append("another network (transfer)")
    if "noise" in families:
        kinds.append("nothing (noise)")
    if not kinds:
        return "Nothing was tried."
    if len(kinds) == 1:
        return sentence_text(kinds[0])
    return f"Depending on the attack, {', '.join(kinds[:-1])} or {kinds[-1]}."
