"""The audit: a model looked over, attacked by a battery, and searched for gradient masking."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Labels
from steadygrad.attacks import Attack
from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import correct, model_device
from steadygrad.evaluation.auditing.adapted import run_adapted
from steadygrad.evaluation.auditing.attack_run import Target, parameters_at_rest
from steadygrad.evaluation.auditing.audit_gallery import audit_gallery
from steadygrad.evaluation.auditing.batch_size import check_batch_size_or_auto, choose_batch_size
from steadygrad.evaluation.auditing.battery import Budget, beyond, build_battery
from steadygrad.evaluation.auditing.campaign import Campaign
from steadygrad.evaluation.auditing.diagnosis import diagnosis_of, restated
from steadygrad.evaluation.auditing.entry import BatteryEntry, own_entries
from steadygrad.evaluation.auditing.fitness import UnfitError, check_accepted, check_fitness
from steadygrad.evaluation.auditing.fitness.check import LOOKED_AT_ONCE
from steadygrad.evaluation.auditing.proven import proof_of, with_proof
from steadygrad.evaluation.auditing.result import AuditResult, write_audit
from steadygrad.evaluation.auditing.time_budget import (
    BATTERY,
    DIAGNOSTICS,
    LARGEST_BATCH,
    PROOF,
    by_promise,
    cut_short,
)
from steadygrad.evaluation.divided_batches import dividing_ranks, from_main_rank
from steadygrad.evaluation.image_rows import AnyImages
from steadygrad.evaluation.labelled_images import ImageSource, labelled_rows
from steadygrad.evaluation.masking import Subject
from steadygrad.evaluation.pictures import one_of_each_class
from steadygrad.evaluation.provenance import model_fingerprint, tensors_digest, weights_digest
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.folder_lock import only_writer
from steadygrad.model_answer import answer
from steadygrad.seeds import derive_seed
from steadygrad.store import Store
from steadygrad.time_budget import TimeBudget
from steadygrad.versions import library_versions

__all__ = ["audit"]

_SHOWN = 12
"""Images whose way through every attack is kept, for the gallery."""


def audit(
    model: Classifier,
    images: ImageSource,
    labels: Labels | None = None,
    *,
    eps: float,
    norm: Norm = "linf",
    budget: Budget | None = "standard",
    attacks: Sequence[BatteryEntry | Attack | str] = (),
    sources: Mapping[str, Classifier] | Sequence[Classifier] = (),
    out: Path | str | None = None,
    batch_size: int | Literal["auto"] = "auto",
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    notify: Callable[[str], None] | None = None,
    diagnostics: bool = True,
    accept: Sequence[str] = (),
    minutes: float | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
) -> AuditResult:
    """Attack ``model`` with a battery at one radius and judge how far to believe what is left.

    The model is looked over first (``check_fitness``), then attacked in eval mode by one attack
    after the other, then searched for signs of gradient masking. Where a diagnostic is suspicious,
    the attacks that it asks for follow, on what is left. The model is left as it was.

    images: (n, channels, height, width) in [0, 1], with labels int64 (n,); or, without labels, an
        ``ImageDataset``, a torch ``Dataset`` of (image, label), or a loader of batches.
    eps: radius in ``norm``: in (0, 1] for "linf", above 0 for "l2".
    budget: "quick", "standard" or "full"; None runs ``attacks`` alone.
    attacks: run after the budget's own, at ``eps`` whatever theirs: texts ("pgd:steps=200"), ours,
        other libraries' (see ``steadygrad.attacks.adapters``), or ``BatteryEntry`` for a name and
        scope of one's choice.
    sources: other models of the same classes, on the same device; attacks on them are tried on
        ``model``. Without names they are called 1, 2, ...
    out: folder for the result (see ``write_audit``) and its page, audit.html; every finished
        attack is kept there too (``out/attacks``). The same call then goes on where a stopped one
        was, and gives the same result; another budget or more attacks repeat none that are there.
    batch_size: examples attacked together; "auto" fits them to memory. Halved where memory ends.
    seed: decides everything random. device: where batches are sent; None takes the model's.
    progress: told ``(name, done, total)`` of each attack and diagnostic; notify: told sentences.
    diagnostics: whether to look for gradient masking; without, the verdict is "incomplete".
    accept: names of fatal problems (``ACCEPTABLE``) in spite of which to go on, knowingly; those
        that were there are kept in the result.
    minutes: time that the audit may take, above 0: the most promising attacks come first, and what
        no time was left for is listed; the verdict then is "incomplete" at best. A batch that has
        begun is finished. None sets no limit.
    model_name, data: for the record: what is audited, on which images (name, split, note,
        class_names).

    Raises: UnfitError, naming every fatal problem of model and data; HyperparameterError,
        UnknownNameError, for settings; OutputError, if ``out`` cannot be written. An attack that
        cannot be run is named in ``untested`` instead.
    """
    from steadygrad.reports.audit.page import write_audit_page  # it needs what is measured here

    spent = TimeBudget(minutes).is_spent
    _check_settings(eps, norm, budget, attacks)
    check_batch_size_or_auto(batch_size)
    accepted = check_accepted(accept)
    data = _description(images) | dict(data or {})
    rows, labels = labelled_rows(images, labels)
    class_names = data.get("class_names")
    classes_named = None if class_names is None else len(class_names)
    at_once = LOOKED_AT_ONCE if batch_size == "auto" else min(LOOKED_AT_ONCE, batch_size)
    fitness = from_main_rank(
        lambda: check_fitness(
            model, rows, labels, classes=classes_named, batch_size=at_once, device=device
        )
    )
    if not fitness.is_fit_accepting(accepted):
        raise UnfitError(fitness.problems, accepted)
    place = model_device(model, rows, device)
    notify, progress = notify or _silent, progress or _silent
    store, ranks = Store(None if out is None else Path(out) / "attacks", notify), dividing_ranks()
    with (
        evaluation_mode(model),
        parameters_at_rest(model),
        nullcontext() if out is None or not ranks.is_main else only_writer(Path(out)),
    ):
        size = from_main_rank(lambda: choose_batch_size(batch_size, model, rows, place))
        if minutes is not None and batch_size == "auto":
            size = replace(size, size=min(size.size, LARGEST_BATCH))
        clean_correct, classes = from_main_rank(
            lambda: _clean(model, rows, labels, size.size, seed, place)
        )
        weights = weights_digest(model)

        def told_apart(one: Classifier) -> str:
            return from_main_rank(lambda: model_fingerprint(one, rows, place))

        fingerprint = told_apart(model)
        examples = tensors_digest({"images": rows, "labels": labels})
        battery = build_battery(
            budget,
            eps=eps,
            norm=norm,
            classes=classes,
            sources=_named(sources),
            told_apart=told_apart,
        )
        own = own_entries(attacks, battery.entries, eps, norm)
        shown = one_of_each_class(labels.cpu(), clean_correct, _SHOWN).sort().values
        campaign = Campaign(
            target=Target(model, rows, labels, eps, norm, seed, place, shown),
            clean_correct=clean_correct,
            identity={"model": fingerprint, "examples": examples},
            batch_size=size.size,
            store=store,
            progress=progress,
            notify=notify,
            is_over=lambda: spent(BATTERY),
        )
        entries = [*battery.entries, *own]
        campaign.run_all(entries if minutes is None else by_promise(entries))
        larger = beyond(budget, own, eps=eps, norm=norm)
        proof = from_main_rank(
            lambda: proof_of(
                campaign.target,
                clean_correct & ~campaign.broken,
                store,
                campaign.identity,
                is_over=lambda: spent(PROOF),
                progress=progress,
            )
        )
        proven = proof.proven
        subject = Subject(
            model=model,
            images=rows,
            labels=labels,
            # Where there is a proof, there is nothing to suspect.
            clean_correct=clean_correct if proven is None else clean_correct & ~proven,
            eps=eps,
            norm=norm,
            outcomes=tuple(run.outcome for run in campaign.runs),
            seed=seed,
            batch_size=campaign.batch_size,
            device=place,
            progress=progress,
            is_over=lambda: spent(DIAGNOSTICS),
        )
        diagnosis = from_main_rank(
            lambda: diagnosis_of(subject, store, campaign.identity, wanted=diagnostics)
        )
        campaign.is_over = spent
        adapted = run_adapted(campaign, diagnosis.findings)
        outcomes = tuple(run.outcome for run in campaign.runs)
        subject = replace(subject, outcomes=outcomes, clean_correct=clean_correct)
        diagnosis = restated(subject, diagnosis, adapted)
        diagnosis = with_proof(diagnosis, clean_correct & ~campaign.broken, proven)
        diagnosis = cut_short(diagnosis, campaign.late, minutes)
        gallery = from_main_rank(
            lambda: audit_gallery(model, rows, labels, shown, campaign.runs, eps, place)
        )
        result = AuditResult(
            model={"name": model_name, "digest": weights, "fingerprint": fingerprint},
            data={**data, "n": len(labels), "digest": examples},
            eps=eps,
            norm=norm,
            budget=budget,
            minutes=minutes,
            seed=seed,
            device=str(place),
            batch_size=size,
            labels=labels.cpu(),
            clean_correct=clean_correct,
            outcomes=outcomes,
            findings=diagnosis.findings,
            verdict=diagnosis.verdict,
            untested=(*campaign.untested, *proof.untested, *battery.untested, *larger),
            late=tuple(campaign.late),
            fitness=fitness.problems,
            facts=fitness.facts,
            accepted=tuple(
                name for name in accepted if name in {each.name for each in fitness.problems}
            ),
            adapted=adapted,
            certified=None if proven is None else proven & ~campaign.broken,
            uncertified=proof.left_out,
            gallery=gallery,
            seconds=sum(outcome.seconds for outcome in outcomes) + diagnosis.seconds,
            created=max((*campaign.created, diagnosis.created)),
            versions=library_versions(),
        )
        if out is not None and ranks.is_main:
            write_audit(result, out)
            write_audit_page(result, Path(out) / "audit.html")
    return result


def _description(images: ImageSource) -> dict[str, Any]:
    """Return what a data set says of itself, for the record."""
    if not isinstance(images, ImageDataset):
        return {}
    return {
        "name": images.name,
        "split": images.split,
        "note": images.note,
        "class_names": list(images.class_names),
    }


def _silent(*_: object) -> None:
    """Stand in for a listener that nobody gave."""


def _check_settings(
    eps: float, norm: Norm, budget: Budget | None, attacks: Sequence[BatteryEntry | Attack | str]
) -> None:
    check_eps(eps, norm)
    if eps == 0:
        raise HyperparameterError("expected eps > 0 to audit at, got 0")
    if budget is None and not attacks:
        raise HyperparameterError("expected a budget or attacks, got neither")
    # Refused now, not after the look at the model: what will be built again beside the battery.
    own_entries(attacks, (), eps, norm)


def _clean(
    model: Classifier,
    images: AnyImages,
    labels: Labels,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> tuple[Tensor, int]:
    """Return which examples are correct without attack, and how many classes there are."""
    devices = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(seed, "clean"))
        classes = int(answer(model, images[:1].to(device)).shape[1])
        return correct(model, images, labels, batch_size, device), classes


def _named(sources: Mapping[str, Classifier] | Sequence[Classifier]) -> dict[str, Classifier]:
    if isinstance(sources, Mapping):
        return dict(sources)
    return {str(number): source for number, source in enumerate(sources, start=1)}
