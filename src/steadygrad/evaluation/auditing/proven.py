"""The certified part of an audit: images whose robustness is proven, kept between runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

import steadygrad
from steadygrad.evaluation.auditing.attack_run import Target
from steadygrad.evaluation.auditing.diagnosis import Diagnosis
from steadygrad.evaluation.certificate import certify
from steadygrad.evaluation.masking import Verdict
from steadygrad.store import Key, Store

__all__ = ["Proof", "proof_of", "with_proof"]

_NAME = "certified lower bound"


@dataclass(frozen=True, eq=False)
class Proof:
    """What is proven of an audit's examples.

    proven: bool (n,), or None where the model allows no proof.
    left_out: how many examples that the attacks left were not looked at to the end.
    untested: why, a sentence each.
    """

    proven: Tensor | None = field(default=None, repr=False)
    left_out: int = 0
    untested: tuple[str, ...] = ()


def proof_of(
    target: Target,
    standing: Tensor,
    store: Store,
    identity: Mapping[str, Any],
    *,
    is_over: Callable[[], bool],
    progress: Callable[[str, int, int], None],
) -> Proof:
    """Return which examples are proven, as far as there is time.

    standing: bool (n,), those that every attack left; no other can be proven, and if the proof says
        otherwise (rounding in the model's own passes), the attack is right.
    is_over: whether the time for proofs is up. What time cut short is not kept.
    progress: told ``(name, done, total)`` in examples.
    """
    rows = standing.nonzero().squeeze(1)
    if len(rows) == 0:
        return Proof()
    key: Key = dict(identity) | {
        "asked": _NAME,
        "eps": target.eps,
        "norm": target.norm,
        "rows": rows.tolist(),
        "steadygrad": steadygrad.__version__,
    }
    answer = store.get(key)
    if answer is not None and len(answer.tensors.get("left_out", ())) == len(standing):
        return _told(answer.tensors["proven"], answer.tensors["left_out"], len(rows))
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(_NAME, done, len(rows))

    found = certify(
        target.model,
        target.images,
        target.labels,
        eps=target.eps,
        norm=target.norm,
        rows=rows,
        device=target.device,
        is_over=is_over,
        progress=report,
    )
    if found is None:
        return Proof()
    if not found.is_late:
        tensors = {"proven": found.proven, "left_out": found.left_out}
        store.put(key, {}, tensors, label=_NAME)
    return _told(found.proven, found.left_out, len(rows), is_late=found.is_late)


def _told(proven: Tensor, left_out: Tensor, met: int, *, is_late: bool = False) -> Proof:
    count = int(left_out.sum())
    if count == 0:
        return Proof(proven)
    why = "no time was left" if is_late else "the most promising ones could not be proven either"
    return Proof(
        proven,
        count,
        (f"{_NAME}: {count} of {met} images count as not proven without a closer look; {why}",),
    )


def with_proof(found: Diagnosis, standing: Tensor, proven: Tensor | None) -> Diagnosis:
    """Return a diagnosis whose verdict knows what is proven.

    A proof beats a suspicion: where every image that the attacks left is proven, there is nothing
    to doubt, whatever the gradients look like.
    """
    if proven is None or not bool(standing.any()):
        return found
    share, n = int(proven.sum()), len(standing)
    percent = f"{100 * share / n:.1f} %"
    if bool(proven[standing].all()):
        verdict = Verdict(
            level="no sign of masking",
            summary=(
                f"Proven: no change within the radius makes the model wrong on any of the {share} "
                f"of {n} images that survived the attacks. {percent} is exact, for any attacker."
            ),
            causes=(),
            reasons=(),
        )
        return replace(found, verdict=verdict)
    if share == 0:
        return found
    told = f" Proven, whatever an attacker tries: at least {percent} stay correct."
    return replace(found, verdict=replace(found.verdict, summary=found.verdict.summary + told))
