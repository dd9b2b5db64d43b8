"""How many images to attack together: as many as a stated amount of memory holds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.image_rows import AnyImages

__all__ = ["BatchSize", "check_batch_size_or_auto", "choose_batch_size"]

_CPU_BYTES = 1 << 30
_CUDA_SHARE = 4
_LARGEST = {"cpu": 256, "cuda": 1024}
"""Beyond these a larger batch was no faster; on a CPU it falls out of the caches."""


@dataclass(frozen=True)
class BatchSize:
    """A batch size and where it comes from.

    size: images attacked together; asked: what was asked for, a number or "auto".
    image_bytes: measured, what one image keeps between a forward and its backward pass, twice over
        for the gradients; budget_bytes: what a batch may take of that. Both 0 unless "auto".
    """

    size: int
    asked: int | str
    image_bytes: int = 0
    budget_bytes: int = 0


def choose_batch_size(
    asked: int | str, model: Classifier, images: AnyImages, device: torch.device
) -> BatchSize:
    """Return ``asked``, or for "auto" the largest power of two that fits the budget.

    The budget is 1 GiB on a CPU and a quarter of a GPU's memory; what an image needs is counted
    from the tensors autograd saves, not timed or sampled: the same model, image size and device
    always give the same batch size, on which random starts depend.

    images: at least one; its values do not matter.
    Raises: HyperparameterError, for anything but "auto" or a whole number of at least 1.
    """
    check_batch_size_or_auto(asked)
    if isinstance(asked, int):
        return BatchSize(asked, asked)
    needed = max(1, 2 * _saved_bytes(model, images[:1].to(device)))
    budget = _CPU_BYTES
    if device.type == "cuda":
        budget = torch.cuda.get_device_properties(device).total_memory // _CUDA_SHARE
    fitting = max(1, budget // needed)
    power = 1 << (fitting.bit_length() - 1)
    return BatchSize(min(power, _LARGEST.get(device.type, 256)), "auto", needed, budget)


def check_batch_size_or_auto(asked: int | str) -> None:
    """Refuse anything but "auto" or a whole number of at least 1.

    Raises: HyperparameterError.
    """
    is_number = isinstance(asked, int) and not isinstance(asked, bool) and asked >= 1
    if not is_number and asked != "auto":
        raise HyperparameterError(f"expected batch_size 'auto' or at least 1, got {asked!r}")


def _saved_bytes(model: Classifier, image: Images) -> int:
    """Return the bytes that a backward pass in the image keeps alive, parameters apart."""
    fixed = set()
    if isinstance(model, nn.Module):
        fixed = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # so that no address is used twice while we count

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in fixed:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.random.fork_rng(devices=[image.device] if image.device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(pack, unpack),
    ):
        model(image.detach().clone().requires_grad_())
    return sum(sizes.values()) + image.numel() * image.element_size()
