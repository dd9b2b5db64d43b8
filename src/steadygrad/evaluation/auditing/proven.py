"""The certified part of an audit: images whose robustness is proven, kept between runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import steadygrad
from steadygrad.evaluation.auditing.attack_run import Target
from steadygrad.evaluation.auditing.diagnosis import Diagnosis
from steadygrad.evaluation.certificate import certified
from steadygrad.evaluation.masking import Verdict
from steadygrad.store import Key, Store

__all__ = ["proven_rows", "with_proof"]


def proven_rows(
    target: Target, standing: Tensor, store: Store, identity: Mapping[str, Any]
) -> Tensor | None:
    """Return which examples are proven, bool (n,), or None where the model allows no proof.

    standing: bool (n,), those that every attack left; no other can be proven, and if the proof says
        otherwise (rounding in the model's own passes), the attack is right.
    """
    rows = standing.nonzero().squeeze(1)
    if len(rows) == 0:
        return None
    key: Key = dict(identity) | {
        "asked": "certified lower bound",
        "eps": target.eps,
        "norm": target.norm,
        "rows": rows.tolist(),
        "steadygrad": steadygrad.__version__,
    }
    answer = store.get(key)
    if answer is not None and len(answer.tensors.get("proven", ())) == len(standing):
        return answer.tensors["proven"]
    images = target.images[rows.to(target.images.device)].to(target.device)
    labels = target.labels[rows.to(target.labels.device)].to(target.device)
    found = certified(target.model, images, labels, eps=target.eps, norm=target.norm)
    if found is None:
        return None
    proven = torch.zeros(len(standing), dtype=torch.bool, device="cpu")
    proven[rows] = found.cpu()
    store.put(key, {}, {"proven": proven}, label="certified lower bound")
    return proven


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
