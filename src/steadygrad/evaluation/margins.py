"""DeepFool margins: how far images are from another class, measured and on disk."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import DeepFool, relative_perturbation
from steadygrad.attacks.labels import predicted_labels
from steadygrad.checks import check_batch_size, check_images
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.divided_batches import each_batch
from steadygrad.evaluation.provenance import provenance
from steadygrad.evaluation.result_names import other_model, result_slug
from steadygrad.evaluation.statistics import mean_interval
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.tensor_file import write_tensors

__all__ = [
    "Margins",
    "deepfool_margins",
    "write_margins",
]


@dataclass(frozen=True, eq=False)
class Margins:
    """The length of the perturbation that changed each of ``n`` images' predicted class.

    attack: name and settings, as JSON can hold them.
    lengths: float64 (n,), ``|r|_2``, pixels in [0, 1]; relative: float64 (n,), ``|r|_2 / |x|_2``,
        infinite for an image that is all black.
    broken: bool (n,), whether the prediction changed. Where it did not, the perturbation measures
        nothing, and mean and median leave the image out: with many of them, they are too low.
    """

    attack: dict[str, Any]
    lengths: Tensor = field(repr=False)
    relative: Tensor = field(repr=False)
    broken: Tensor = field(repr=False)
    seconds: float

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.broken)

    @property
    def measured(self) -> Tensor:
        """The relative margins that there are, float64 (at most n,)."""
        return self.relative[self.broken & self.relative.isfinite()]

    @property
    def mean(self) -> float | None:
        """The paper's figure, the mean of ``|r|_2 / |x|_2``; None if no image was broken."""
        return self.measured.mean().item() if len(self.measured) else None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % interval of the mean: sampling error alone; None for fewer than two images."""
        return mean_interval(self.measured)

    @property
    def median(self) -> float | None:
        """The median relative margin; None if no image was broken."""
        return self.measured.quantile(0.5).item() if len(self.measured) else None

    @property
    def unbroken(self) -> float:
        """The fraction of images whose class never changed, in [0, 1]."""
        return (~self.broken).double().mean().item()

    def to_json(self) -> dict[str, Any]:
        """Return attack, n and the figures, as JSON can hold them."""
        return {
            "attack": dict(self.attack),
            "n": self.n,
            "mean": self.mean,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "median": self.median,
            "unbroken": self.unbroken,
        }


def deepfool_margins(
    model: Classifier,
    images: Images,
    attack: DeepFool | None = None,
    *,
    batch_size: int = 250,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Margins:
    """Return how far DeepFool has to push every image, from the class that the model predicts.

    There are no labels: an image that the model has wrong is as far from its prediction as others.
    The margin is that of the perturbation which DeepFool returns, overshoot and clipping included;
    the smallest one is at most as long.

    attack: None takes the paper's settings, overshoot 0.02 and 100 steps.
    batch_size: images attacked together; device: where batches are sent, None takes the model's;
    progress: hears ``(done, total)`` images. The model is in eval mode meanwhile.
    Raises: ImageError, ModelError; HyperparameterError, if batch_size is below 1 or the attack
        starts from labels.
    Source: Roth et al., arXiv:1805.08736, sections 4.1 and 7.2, after Moosavi-Dezfooli et al.,
        CVPR 2016, Eq. (2).
    """
    attack = DeepFool() if attack is None else attack
    if not attack.start_from_prediction:
        raise HyperparameterError("expected a DeepFool that starts from the prediction")
    check_batch_size(batch_size)
    check_images(images)
    device = model_device(model, images, device)
    started, done = time.monotonic(), 0
    batches = torch.split(images, batch_size)

    def pushed(number: int) -> tuple[Tensor, Tensor, Tensor]:
        batch = batches[number].to(device)
        start = predicted_labels(model, batch)
        adversarial = attack(model, batch, start)
        changed = predicted_labels(model, adversarial) != start
        wide, moved = batch.double(), adversarial.double()
        length = (moved - wide).flatten(start_dim=1).norm(dim=1)
        return length.cpu(), relative_perturbation(wide, moved).cpu(), changed.cpu()

    def report(number: int, _: object) -> None:
        nonlocal done
        done += len(batches[number])
        if progress is not None:
            progress(done, len(images))

    with evaluation_mode(model):
        lengths, relative, broken = zip(
            *each_batch(len(batches), pushed, report=report), strict=True
        )
    return Margins(
        attack={"name": "deepfool"} | asdict(attack),
        lengths=torch.cat(lengths),
        # 0 / 0 for a black image that was not moved.
        relative=torch.cat(relative).nan_to_num(nan=torch.inf, posinf=torch.inf),
        broken=torch.cat(broken),
        seconds=time.monotonic() - started,
    )


def write_margins(
    run: Path | str,
    margins: Margins,
    *,
    dataset: ImageDataset,
    model_name: str,
    digest: str | None = None,
) -> Path:
    """Write ``run/evaluations/margins/<slug>.json`` and ``.safetensors``; return the former's path.

    dataset: whose images were measured. digest: of the weights of a model that is not the one in
    ``run``. The JSON file has ``margins.to_json()``, seconds and where it came from; the tensors
    are ``lengths``, ``relative`` and ``broken``. The same measurement of the same model overwrites
    itself.
    Raises: OutputError; HyperparameterError, if the data set has another number of images.
    """
    if len(dataset) != margins.n:
        raise HyperparameterError(
            f"expected the {margins.n} images of the margins, got {len(dataset)}"
        )
    origin = provenance(run, dataset, model_name, digest)
    other = other_model(run, model_name, digest)
    name, data = margins.attack["name"], origin["dataset"]
    slug = result_slug(name, data, margins.n, [margins.attack], other)
    path = Path(run) / "evaluations" / "margins" / f"{slug}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    tensors = {
        "lengths": margins.lengths,
        "relative": margins.relative,
        "broken": margins.broken,
    }
    write_tensors(path.with_suffix(".safetensors"), tensors, {})
    record = margins.to_json() | {"seconds": margins.seconds} | origin
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path
