"""Transfer: adversarial examples made on some models, tried on others."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import correct
from steadygrad.evaluation.crafting import craft_adversarial_examples
from steadygrad.evaluation.example_store import ExampleStore
from steadygrad.evaluation.model_digest import structure_digest, weights_digest
from steadygrad.evaluation.transfer_matrix import TransferMatrix

__all__ = ["transfer_matrix"]


def transfer_matrix(
    sources: Mapping[str, Classifier],
    images: Images,
    labels: Labels,
    attack: Attack,
    *,
    victims: Mapping[str, Classifier] | None = None,
    only_common: bool = False,
    batch_size: int = 256,
    seed: int = 0,
    device: torch.device | str | None = None,
    folder: Path | str | None = None,
    dataset: str = "",
    split: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> TransferMatrix:
    """Attack every source, show the examples to every victim, count who is right.

    sources, victims: models by name; without victims each source is shown the examples of all.
    images: (n, channels, height, width) in [0, 1]; labels int64 (n,). All are attacked, also those
        that a source has wrong.
    attack: at its own eps.
    only_common: count only images that every model has right without attack, see
        ``TransferMatrix``.
    folder: where each source's examples are kept and found again by a later call, if weights,
        attack, images, seed and batch size agree: a call that was stopped goes on, another victim
        costs no attack. Only of modules with weights, which a digest can tell apart.
    dataset, split: where the images are from, for the examples' records.
    batch_size, seed, device: as in ``craft_adversarial_examples``.
    progress: called as ``progress(done, total)``, counting every image once for each source.

    Raises: ImageError, LabelError, ModelError, HyperparameterError; OutputError, CheckpointError,
        if examples in ``folder`` cannot be written or are damaged.
    """
    began = time.perf_counter()
    victims = sources if victims is None else victims
    if not sources or not victims:
        raise HyperparameterError("expected at least one source and one victim, got none")
    done, total = 0, len(images) * len(sources)

    def report(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    def right(model: Classifier, shown: Images) -> Tensor:
        return correct(model, shown, labels, batch_size, device)

    clean_sources = torch.stack([right(model, images) for model in sources.values()])
    clean_victims = torch.stack([right(model, images) for model in victims.values()])
    own, columns = [], []
    for name, model in sources.items():
        examples = craft_adversarial_examples(
            model,
            images,
            labels,
            attack,
            source=name,
            dataset=dataset,
            split=split,
            batch_size=batch_size,
            seed=seed,
            device=device,
            store=None if folder is None else ExampleStore(folder),
            progress=report,
        )
        own.append(right(model, examples.images))
        columns.append(torch.stack([right(victim, examples.images) for victim in victims.values()]))
    source_digests, victim_digests = (
        tuple(weights_digest(model) for model in models.values()) for models in (sources, victims)
    )
    return TransferMatrix(
        attack=examples.attack,
        eps=examples.eps,
        norm=examples.norm,
        sources=tuple(sources),
        victims=tuple(victims),
        source_digests=source_digests,
        victim_digests=victim_digests,
        is_self=torch.tensor(
            [
                [_are_one(victim, source) for source in sources.values()]
                for victim in victims.values()
            ]
        ),
        correct=torch.stack(columns, dim=1),
        self_correct=torch.stack(own),
        clean_victims=clean_victims,
        clean_sources=clean_sources,
        labels=labels.cpu(),
        only_common=only_common,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def _are_one(victim: Classifier, source: Classifier) -> bool:
    """Say whether two models are the same object, or print alike and have the same weights."""
    if victim is source:
        return True
    if not isinstance(victim, nn.Module) or not isinstance(source, nn.Module):
        return False
    weights = weights_digest(victim)
    is_alike = structure_digest(victim) == structure_digest(source)
    return weights is not None and is_alike and weights == weights_digest(source)
