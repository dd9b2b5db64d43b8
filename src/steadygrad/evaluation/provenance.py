"""Digests of models, images and weights, and where a stored result came from."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images
from steadygrad.datasets import ImageDataset, dataset_entry, dataset_names
from steadygrad.errors import CheckpointError, ModelError
from steadygrad.evaluation.image_rows import ImageRows
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.model_answer import first_answer
from steadygrad.versions import library_versions

__all__ = [
    "data_record",
    "model_digest",
    "model_fingerprint",
    "provenance",
    "run_digest",
    "structure_digest",
    "tensors_digest",
    "weights_digest",
]


def model_digest(model: nn.Module) -> str:
    """Return the SHA-256 of a module's ``state_dict``, see ``tensors_digest``.

    Equal digests mean equal weights, on whatever device, not equal models: what has no tensor, such
    as a factor on the logits or an activation function, does not count, see ``structure_digest``.
    Tuples, lists and dicts of tensors count with their parts, numbers, texts and dtypes as they
    print: the states of quantised layers hold such.
    Raises: ModelError, if the state holds anything else.
    """
    return tensors_digest(
        {
            path: tensor
            for name, value in model.state_dict().items()
            for path, tensor in _parts(name, value)
        }
    )


def _parts(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a state's value by name; what is none of them as the bytes it prints."""
    if isinstance(value, Tensor):
        if value.is_quantized:
            yield f"{name}.values", value.dequantize()
            yield from _parts(f"{name}.dtype", value.dtype)
        else:
            yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from _parts(f"{name}.{number}", part)
    elif value is None or isinstance(value, str | bytes | int | float | torch.dtype):
        yield (
            f"{name}.printed",
            torch.frombuffer(bytearray(repr(value).encode()), dtype=torch.uint8),
        )
    else:
        raise ModelError(
            f"expected a state of tensors, numbers and texts, got {type(value).__name__} as "
            f"{name!r}"
        )


def structure_digest(model: nn.Module) -> str:
    """Return the SHA-256 of how a module prints: its layers and what they say of themselves."""
    printed = re.sub(r" at 0x[0-9a-f]+", "", repr(model))
    return hashlib.sha256(printed.encode()).hexdigest()


def weights_digest(model: Classifier) -> str | None:
    """Return ``model_digest``; None for what is no module, or has no weights that can be told."""
    if not isinstance(model, nn.Module) or not model.state_dict():
        return None
    try:
        return model_digest(model)
    except ModelError:
        return None


def tensors_digest(tensors: Mapping[str, Tensor | ImageRows]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes, in the order of the names.

    Images that are read when they are asked for have the digest that they have in a tensor.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        shape = "x".join(map(str, tensor.shape))
        # The lengths keep one tensor's end from passing for the next one's beginning.
        digest.update(f"{len(name)} {name} {tensor.dtype} {shape} ".encode())
        for part in tensor.chunks() if isinstance(tensor, ImageRows) else (tensor,):
            values = part.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
            digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def data_record(dataset: ImageDataset) -> dict[str, Any]:
    """Return what stored results say of the images: two folders of them may have the same name.

    ``image_shape`` is there where images of a registered set were brought to another one.
    """
    record = {
        "name": dataset.name,
        "split": dataset.split,
        "n": len(dataset),
        "note": dataset.note,
        "digest": tensors_digest({"pixels": dataset.pixels, "labels": dataset.labels}),
    }
    if dataset.name in dataset_names():
        shape = dataset.input_shape
        if shape != dataset_entry(dataset.name).input_shape:
            record["image_shape"] = list(shape)
    return record


_PROBES = 8
_DIGITS = 3
"""Of outputs and gradients, significant: rounding differs between machines and batch sizes."""
_EACH_LOGIT = 20
"""Classes up to which every logit counts; of thousands, on each machine another is rounded up."""


def model_fingerprint(
    model: Classifier, images: Images | ImageRows, device: torch.device | str
) -> str:
    """Return SHA-256 over a model's weights, structure and behaviour on a few of the images.

    Neither weights nor what a model prints as says what its ``forward`` computes: a factor on the
    logits, or rounding in front of the network, shows in neither. So its outputs and the lengths
    of their input gradients on up to 8 images count too, to three digits; of more than 20 classes
    each image's length, largest and smallest of the logits.

    device: the model's. The model is in eval mode meanwhile.
    Raises: ModelError, if the model does not take the images.
    """
    probes = images[:_PROBES].to(device)
    devices = [probes.device] if probes.device.type == "cuda" else []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluation_mode(model),
        torch.random.fork_rng(devices=devices),
    ):
        torch.manual_seed(0)
        probes = probes.detach().clone().requires_grad_()
        logits = first_answer(model, probes)
        gradient = None
        if logits.requires_grad:
            (gradient,) = torch.autograd.grad(logits.square().sum(), probes, allow_unused=True)
    gradient = torch.zeros_like(probes) if gradient is None else gradient
    lengths = gradient.flatten(start_dim=1).double().norm(dim=1)
    numbers = [*_telling(logits.detach().double()), *lengths.tolist()]
    behaviour = " ".join(f"{number:.{_DIGITS}g}" for number in numbers)
    structure = structure_digest(model) if isinstance(model, nn.Module) else None
    text = f"{weights_digest(model)} {structure} {behaviour}"
    return hashlib.sha256(text.encode()).hexdigest()


def _telling(logits: Tensor) -> list[float]:
    """Return every logit, or of many classes what few numbers say of each image's."""
    if logits.ndim == 2 and logits.shape[1] > _EACH_LOGIT:
        parts = (logits.norm(dim=1), logits.amax(dim=1), logits.amin(dim=1))
        logits = torch.stack(parts, dim=1)
    numbers: list[float] = logits.flatten().tolist()
    return numbers


def provenance(
    run: Path | str, dataset: ImageDataset, model_name: str, digest: str | None = None
) -> dict[str, Any]:
    """Return data set, model, SHA-256 of the run's weights (None without), time and versions.

    digest: of the weights, of a model that is no run.

    Raises: CheckpointError, if the weights are there and cannot be read.
    """
    return {
        "dataset": data_record(dataset),
        "model": model_name,
        "model_digest": digest or run_digest(run),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }


def run_digest(run: Path | str) -> str | None:
    """Return the SHA-256 of a run's weights' file; None where there is none.

    Raises: CheckpointError, if the weights are there and cannot be read.
    """
    weights = Path(run) / "model.safetensors"
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"cannot read {weights}: {error.strerror or error}") from error
