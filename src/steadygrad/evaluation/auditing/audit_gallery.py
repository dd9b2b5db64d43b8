"""A few images of an audit before and after the attack that got them wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.evaluation.accuracy import predictions
from steadygrad.evaluation.auditing.attack_run import AttackRun
from steadygrad.evaluation.image_rows import AnyImages
from steadygrad.evaluation.pictures import Gallery

__all__ = ["AuditGallery", "audit_gallery"]


@dataclass(frozen=True, eq=False)
class AuditGallery(Gallery):
    """A gallery whose images come from several attacks: ``attacks`` names each one's, (G,).

    rows: int64 (G,), which examples of the audit they are.
    """

    attacks: tuple[str, ...]
    rows: torch.Tensor


def audit_gallery(
    model: Classifier,
    images: AnyImages,
    labels: Labels,
    rows: torch.Tensor,
    runs: Sequence[AttackRun],
    eps: float,
    device: torch.device,
) -> AuditGallery | None:
    """Return the examples at ``rows`` (int64, ascending) beside what attacks made of them.

    Shown is the first attack of the battery that broke an example; of one that stands, the last
    of those that ran on all. None, if there are no rows or no runs.
    """
    if len(rows) == 0 or not runs:
        return None
    chosen = [_telling_run(int(row), runs) for row in rows]
    kept = [(row, run) for row, run in zip(rows.tolist(), chosen, strict=True) if run is not None]
    if not kept:
        return None
    shown = torch.tensor([row for row, _ in kept], device="cpu")
    clean = images[shown.to(images.device)].cpu()
    adversarial = torch.stack([_image(row, run) for row, run in kept])
    return AuditGallery(
        eps=eps,
        clean=clean,
        adversarial=adversarial,
        labels=labels.cpu()[shown],
        clean_predictions=predictions(model, clean, device=device),
        adversarial_predictions=predictions(model, adversarial, device=device),
        attacks=tuple(run.outcome.name for _, run in kept),
        rows=shown,
    )


def _telling_run(row: int, runs: Sequence[AttackRun]) -> AttackRun | None:
    ran = [run for run in runs if bool((run.shown_rows == row).any())]
    breaking = [run for run in ran if bool(run.outcome.broken[row])]
    if breaking:
        return breaking[0]
    full = [run for run in ran if run.outcome.scope == "all"]
    return (full or ran)[-1] if ran else None


def _image(row: int, run: AttackRun) -> Images:
    (place,) = (run.shown_rows == row).nonzero().squeeze(1).tolist()
    return run.shown[place]
