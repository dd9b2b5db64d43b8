"""Adversarial examples worth keeping: made once, tried on any model, read by any program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, about_attack, describe_attack, norm_of
from steadygrad.attacks.ball import AnyNorm
from steadygrad.attacks.results import check_result
from steadygrad.checks import PIXEL_TOLERANCE, check_batch_size, check_images, check_labels
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.divided_batches import dividing_ranks, each_batch, from_main_rank
from steadygrad.evaluation.provenance import model_fingerprint, tensors_digest, weights_digest
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator
from steadygrad.store import Answer, Key, Store, make_folder, read_answer, write_answer
from steadygrad.versions import library_versions

__all__ = [
    "AdversarialExamples",
    "craft_adversarial_examples",
    "load_adversarial_examples",
    "save_adversarial_examples",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class AdversarialExamples:
    """What an attack made of ``n`` images of a data set, and all that decided it.

    images: (n, channels, height, width), adversarial, pixels in [0, 1].
    labels: int64 (n,), the true classes. indices: int64 (n,), places in the data set's split.
    eps: radius in pixel units; norm: in which it is measured, None where changes may exceed it:
        of Gaussian noise eps is a standard deviation, N-FGSM steps from a noisy neighbour.
    attack: name and settings without eps, as JSON can hold them.
    source: name of the model attacked; source_digest: its ``model_digest``, None for one that is no
        module; source_fingerprint: its ``model_fingerprint`` on the clean images.
    clean_digest: ``tensors_digest`` of the clean images and the labels.
    dataset, split: where the images are from; empty if nobody said.
    seed, batch_size: what the attack's draws depended on.
    versions: of steadygrad, torch and Python.
    Raises: ImageError, LabelError; ShapeError, if the indices do not fit the images;
        HyperparameterError, if one is negative.
    """

    images: Images = field(repr=False)
    labels: Labels = field(repr=False)
    indices: Tensor = field(repr=False)
    eps: float
    norm: AnyNorm | None
    attack: dict[str, Any]
    source: str
    source_digest: str | None
    source_fingerprint: str
    clean_digest: str
    dataset: str = ""
    split: str = ""
    seed: int = 0
    batch_size: int = 256
    versions: dict[str, str] = field(default_factory=library_versions)

    def __post_init__(self) -> None:
        check_images(self.images)
        check_labels(self.labels, len(self.images))
        if self.indices.dtype != torch.int64 or self.indices.shape != self.labels.shape:
            raise ShapeError(
                f"expected {len(self.images)} int64 indices, got {self.indices.dtype} of shape "
                f"{tuple(self.indices.shape)}"
            )
        if (self.indices < 0).any():
            raise HyperparameterError(
                f"expected indices of 0 and above, got {int(self.indices.min())}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def decisive(self) -> dict[str, Any]:
        """All that decides what the examples are, as JSON can hold it: equal settings, equal bytes.

        Versions of libraries apart.
        """
        return {name: getattr(self, name) for name in _DECISIVE}

    def check_made_from(self, images: Images, labels: Labels) -> None:
        """Refuse clean images and labels that these examples cannot have been made from.

        Asked are shapes, labels, and the distance to each clean image where there is a norm.
        Raises: ShapeError, CheckpointError.
        """
        if images.shape != self.images.shape:
            raise ShapeError(
                f"expected the clean images of examples of shape {tuple(self.images.shape)}, got "
                f"{tuple(images.shape)}"
            )
        differing = int((self.labels.cpu() != labels.cpu()).sum())
        if differing:
            raise CheckpointError(
                f"the examples made on {self.source} have other labels than the images given, "
                f"{differing} of {len(self)}"
            )
        if self.norm is None:
            return
        order = {"linf": torch.inf, "l2": 2, "l1": 1}[self.norm]
        change = self.images.cpu().double() - images.cpu().double()
        farthest = change.flatten(start_dim=1).norm(order, dim=1).max().item()
        if farthest > self.eps * (1 + PIXEL_TOLERANCE) + PIXEL_TOLERANCE:
            raise CheckpointError(
                f"the examples made on {self.source} are of other images than those given: one is "
                f"{farthest:.3g} away, eps is {self.eps:g}"
            )


def save_adversarial_examples(path: Path | str, examples: AdversarialExamples) -> None:
    """Write the examples to one file of the store's format; atomic. Folders are made as needed.

    Tensors ``images``, ``labels`` and ``indices``; everything else is JSON in the metadata: under
    "key" what decides the examples, under "values" the rest.

    Args:
        path: a name that ends in ``.safetensors``.
        examples: what to write.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    write_answer(path, _answer(examples))


def load_adversarial_examples(path: Path | str) -> AdversarialExamples:
    """Return what ``save_adversarial_examples`` or a store wrote, on the CPU; executes nothing.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no adversarial examples at {path}")
    try:
        return _examples(read_answer(path))
    except _NotExamplesError as error:
        raise CheckpointError(f"{path} {error}") from error


_TENSORS = ("images", "labels", "indices")
_DECISIVE = (
    *("attack", "eps", "source_digest", "source_fingerprint"),
    *("clean_digest", "seed", "batch_size"),
)
_SAID = tuple(f.name for f in fields(AdversarialExamples) if f.name not in (*_TENSORS, *_DECISIVE))
_KINDS: Mapping[str, tuple[type, ...]] = {
    "eps": (int, float),
    "norm": (str, type(None)),
    "attack": (dict,),
    "source_digest": (str, type(None)),
    "seed": (int,),
    "batch_size": (int,),
    "versions": (dict,),
}
"""What JSON may hold for each name; a text for those not here."""


class _NotExamplesError(Exception):
    """What a file holds instead of examples, as the end of a sentence that its name begins."""


def _key(decisive: Mapping[str, Any]) -> Key:
    return {"asked": "adversarial examples", **decisive}


def _answer(examples: AdversarialExamples) -> Answer:
    return Answer(
        _key(examples.decisive),
        {name: getattr(examples, name) for name in _SAID},
        {name: getattr(examples, name) for name in _TENSORS},
    )


def _examples(answer: Answer) -> AdversarialExamples:
    if answer.key.get("asked") != "adversarial examples":
        raise _NotExamplesError("is a file of steadygrad, but holds no adversarial examples")
    given = {**answer.key, **answer.values, **answer.tensors}
    if "source_structure" in given:  # as early files call it
        given.setdefault("source_fingerprint", given["source_structure"] or "")
    for name in (*_TENSORS, *_DECISIVE, *_SAID):
        if name not in given:
            raise _NotExamplesError(f"lacks {name!r} of its adversarial examples")
    said = {name: given[name] for name in (*_DECISIVE, *_SAID)}
    try:
        _check_kinds(said)
        return AdversarialExamples(**{name: given[name] for name in _TENSORS}, **said)
    except ValueError as error:
        raise _NotExamplesError(f"is damaged: {error}") from error


def _found(store: Store, decisive: Mapping[str, Any]) -> AdversarialExamples | None:
    key = _key(decisive)
    answer = store.get(key)
    if answer is None:
        return None
    try:
        return _examples(answer)
    except _NotExamplesError as error:
        path = store.path(key)
        if path is not None:
            store.reject(path, f"it {error}")
        return None


def _check_kinds(said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        if not isinstance(value, _KINDS.get(name, (str,))) or isinstance(value, bool):
            raise ValueError(f"{name} cannot be {value!r}")
    if said["norm"] not in (None, *get_args(AnyNorm)):
        allowed = ", ".join(get_args(AnyNorm))
        raise ValueError(f"expected norm {allowed} or none, got {said['norm']!r}")


def craft_adversarial_examples(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    *,
    source: str,
    dataset: str = "",
    split: str = "",
    indices: torch.Tensor | None = None,
    batch_size: int = 256,
    seed: int = 0,
    device: torch.device | str | None = None,
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> AdversarialExamples:
    """Attack every image, right or wrong without attack, the model in eval mode; on the CPU.

    images: (n, channels, height, width) in [0, 1]; labels int64 (n,).
    source: what to call the model. dataset, split, indices: where the images are from and their
        places in it; by default the first n.
    batch_size: images attacked together, at least 1; HyperparameterError otherwise.
    seed: every batch gets a CPU generator that depends on (seed, eps, number of the batch) alone,
        so that all sources get the same draws.
    device: where batches are sent; None takes the model's.
    store: where examples made before with the same settings are found, and new ones kept; only of
        a module, whose weights tell it apart, and of an attack that is a dataclass, whose fields
        do. None makes them anew.
    progress: called with the number of images just attacked, or found.

    Raises: ImageError, LabelError, ModelError, HyperparameterError.
    """
    check_images(images)
    check_labels(labels, len(images))
    check_batch_size(batch_size)
    place = model_device(model, images, device)
    decisive: dict[str, Any] = {
        "attack": describe_attack(attack),
        "eps": attack.eps,
        "source_digest": weights_digest(model),
        "source_fingerprint": from_main_rank(lambda: model_fingerprint(model, images, place)),
        "clean_digest": tensors_digest({"images": images, "labels": labels}),
        "seed": seed,
        "batch_size": batch_size,
    }
    if decisive["source_digest"] is None or not is_dataclass(type(attack)):
        store = None
    report = progress or (lambda _: None)
    if store is not None:
        kept_there = store
        if (found := from_main_rank(lambda: _found(kept_there, decisive))) is not None:
            report(len(found))
            return found
    examples = AdversarialExamples(
        images=_attacked(model, images, labels, attack, batch_size, seed, place, report),
        labels=labels.cpu(),
        indices=torch.arange(len(images), device="cpu") if indices is None else indices.cpu(),
        norm=norm_of(attack) if about_attack(attack).stays_in_ball else None,
        source=source,
        dataset=dataset,
        split=split,
        **decisive,
    )
    if store is not None and dividing_ranks().is_main:
        kept = _answer(examples)
        label = f"{Path(source).name}-{examples.attack['name']}"
        store.put(kept.key, kept.values, kept.tensors, label=label)
    return examples


def _attacked(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    batch_size: int,
    seed: int,
    place: torch.device,
    report: Callable[[int], None],
) -> Images:
    def made(number: int) -> Images:
        rows = slice(number * batch_size, (number + 1) * batch_size)
        generator = derived_generator(seed, f"craft, eps {attack.eps!r}, batch {number}")
        batch = images[rows].to(place), labels[rows].to(place)
        adversarial = attack(model, *batch, generator=generator)
        check_result(attack, adversarial, batch[0])
        return adversarial.detach().cpu()

    with evaluation_mode(model):
        found = each_batch(
            -(-len(images) // batch_size), made, report=lambda _, batch: report(len(batch))
        )
    return torch.cat(found)
