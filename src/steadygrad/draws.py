"""Random numbers that belong to an image, not to its place in a batch.

A ``torch.Generator`` fills a tensor in the order of its entries: what an image gets depends on the
images before it, and so on how a batch is cut into parts. ``ImageDraws`` computes each number from
the image's own seed, the number of the draw and the entry's place in the image alone: the same
image gets the same numbers in a batch of any size, on any process and on any device. ``ShareDraws``
gives the images of a share what a ``torch.Generator`` gives them in the whole batch.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steadygrad.batch_share import BatchShare, current_share
from steadygrad.distributed import Ranks, from_furthest_rank
from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["DrawsOfParts", "ImageDraws", "ShareDraws", "integers", "normal", "uniform"]

if TYPE_CHECKING:
    _Generator = torch.Generator
else:
    # Not torch.Generator: code that draws for a whole batch must fail, not draw other numbers.
    _Generator = object

# Constants of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), as signed 64-bit numbers.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


class ImageDraws(_Generator):
    """A source of random numbers with one stream for each image of a batch.

    Goes wherever an attack or an augmentation takes a ``generator``. Each call of a drawing
    function advances all streams by one draw; numbers of different draws, entries and seeds are
    independent for all purposes short of cryptography. Uniform numbers and integers are the same
    to the bit on every device, normal ones up to rounding.

    Args:
        seeds: one per image, int64 (batch,); numbers are drawn on their device.

    Raises:
        ShapeError: if the seeds are no int64 vector.
    """

    def __init__(self, seeds: Tensor) -> None:
        if seeds.dtype != torch.int64 or seeds.ndim != 1:
            raise ShapeError(
                f"expected int64 seeds of shape (batch,), got {seeds.dtype} {tuple(seeds.shape)}"
            )
        self._streams = _mix(seeds)
        self.draws = 0

    @classmethod
    def of(cls, seed: int, images: Tensor) -> "ImageDraws":
        """Return the streams of numbered images.

        Args:
            seed: of the purpose and the epoch, in [0, 2^63); see ``derive_seed``.
            images: each image's number in the data set, int64 (batch,); streams live there.

        Raises:
            HyperparameterError: if the seed is out of range.
        """
        if not 0 <= seed < 1 << 63:
            raise HyperparameterError(f"expected a seed from 0 to 2^63 - 1, got {seed}")
        start = torch.full((), seed, dtype=torch.int64, device=images.device)
        return cls(_mix(start) + images * _GOLDEN)

    @property
    def device(self) -> torch.device:  # type: ignore[override] # read-only, as the generator's is
        """Where numbers are drawn."""
        return self._streams.device

    def bits(self, shape: Sequence[int], image_axis: int = 0) -> Tensor:
        """Return 64 random bits for each entry, int64, and advance every stream by one draw.

        Args:
            shape: of the result; as long as there are images along ``image_axis``.
            image_axis: the axis of the images.

        Raises:
            ShapeError: if that axis has another length.
        """
        shape = tuple(shape)
        if not shape or shape[image_axis] != len(self._streams):
            raise ShapeError(
                f"expected draws for {len(self._streams)} images along axis {image_axis}, "
                f"got shape {shape}"
            )
        self.draws += 1
        streams = _mix(self._streams + _signed(self.draws * _GOLDEN))
        others = [size for axis, size in enumerate(shape) if axis != image_axis % len(shape)]
        places = torch.arange(1, math.prod(others) + 1, device=self.device) * _GOLDEN
        drawn = _mix(streams.unsqueeze(1) + places)
        return drawn.view(-1, *others).movedim(0, image_axis)


class ShareDraws(_Generator):
    """What a generator draws for a whole batch, for the images of a declared share of it.

    Every process draws the numbers of all images, and keeps its own: they are those of one process
    with the whole batch. Goes wherever an attack takes a ``generator``, inside
    ``batch_share.share_of_batch``.

    Args:
        generator: in the same state in every process.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.whole, self.draws = generator, 0

    @property
    def device(self) -> torch.device:  # type: ignore[override] # read-only, as the generator's is
        """Where numbers are drawn."""
        return self.whole.device

    def share_of(self, shape: Sequence[int], image_axis: int) -> tuple[BatchShare, tuple[int, ...]]:
        """Return the share to keep of one draw, and the shape to draw for; count the draw.

        Raises:
            ShapeError: the shape has another number of images than the share, or none is declared.
        """
        share = current_share()
        if share is None or shape[image_axis] != max(share.size, 1):
            expected = "a declared share" if share is None else f"{max(share.size, 1)} images"
            raise ShapeError(
                f"expected draws for {expected} along axis {image_axis}, got shape {tuple(shape)}"
            )
        self.draws += 1
        whole = list(shape)
        whole[image_axis] = share.total
        return share, tuple(whole)

    def settle(self) -> None:
        """Bring all processes' generators to the state of the one that has drawn most.

        An attack stops drawing when it has succeeded on every image: in one process with the whole
        batch, when it has on the last of them all. Every process has to call this.
        """
        state = from_furthest_rank(self.whole.get_state(), self.draws)
        if state is not None:
            self.whole.set_state(state)


class DrawsOfParts:
    """The draws of a batch that is computed in parts and by several processes, from one generator.

    Every part draws from where the batch began, for the whole batch, and keeps its own numbers.

    Args:
        generator: in the same state in every process; of a batch that is neither cut nor shared it
            draws itself.
        parts: in this process, at least 1.
        ranks: the processes.
    """

    def __init__(self, generator: torch.Generator, parts: int, ranks: Ranks) -> None:
        self._generator, self._parts = generator, parts
        self._is_whole = parts == 1 and ranks.count == 1
        self._began = generator.get_state() if parts > 1 else None
        self._given: list[ShareDraws] = []

    def of_part(self) -> torch.Generator:
        """Return what the next part draws from, inside ``batch_share.share_of_batch``."""
        if self._is_whole:
            return self._generator
        generator = self._generator
        if self._began is not None:
            generator = torch.Generator(generator.device)
            generator.set_state(self._began)
        self._given.append(ShareDraws(generator))
        return self._given[-1]

    def settle(self) -> None:
        """Bring the generator to where the part that has drawn most left it, in every process."""
        if self._given:
            furthest = max(self._given, key=lambda part: part.draws)
            furthest.settle()
            if self._began is not None:
                self._generator.set_state(furthest.whole.get_state())


def uniform(
    shape: Sequence[int],
    generator: torch.Generator | None,
    *,
    dtype: torch.dtype,
    device: torch.device,
    image_axis: int = 0,
) -> Tensor:
    """Draw from U[0, 1) where the generator lives, for images at ``image_axis``.

    Args:
        shape: of the result.
        generator: an ``ImageDraws``, a ``ShareDraws``, a torch generator, or None for torch's
            global one.
        dtype: floating.
        device: of the result.
        image_axis: the axis of the images, whose length the first two decide.

    Returns:
        numbers of that shape, dtype and device.
    """
    if isinstance(generator, ShareDraws):
        share, whole = generator.share_of(shape, image_axis)
        return share.own(uniform(whole, generator.whole, dtype=dtype, device=device), image_axis)
    if isinstance(generator, ImageDraws):
        # As many bits as the mantissa holds: never rounded up to 1.
        bits = 53 if dtype == torch.float64 else 24 if dtype == torch.float32 else 8
        drawn = _shifted(generator.bits(shape, image_axis), 64 - bits)
        return (drawn.to(torch.float64) * 2.0**-bits).to(device=device, dtype=dtype)
    source = device if generator is None else generator.device
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device=source).to(device)


def normal(
    shape: Sequence[int],
    generator: torch.Generator | None,
    *,
    dtype: torch.dtype,
    device: torch.device,
    image_axis: int = 0,
) -> Tensor:
    """Draw from N(0, 1); arguments as for ``uniform``. Source: Box & Muller, 1958."""
    if isinstance(generator, ShareDraws):
        share, whole = generator.share_of(shape, image_axis)
        return share.own(normal(whole, generator.whole, dtype=dtype, device=device), image_axis)
    if isinstance(generator, ImageDraws):
        wide = torch.float64
        radius, angle = (
            uniform(shape, generator, dtype=wide, device=generator.device, image_axis=image_axis)
            for _ in range(2)
        )
        drawn = (-2 * torch.log1p(-radius)).sqrt() * (2 * math.pi * angle).cos()
        return drawn.to(device=device, dtype=dtype)
    source = device if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device=source).to(device)


def integers(
    low: int,
    high: int,
    shape: Sequence[int],
    generator: torch.Generator | None,
    *,
    device: torch.device,
    image_axis: int = 0,
) -> Tensor:
    """Draw int64 from ``low`` to ``high - 1``, equally likely; arguments as for ``uniform``."""
    if isinstance(generator, ShareDraws):
        share, whole = generator.share_of(shape, image_axis)
        return share.own(integers(low, high, whole, generator.whole, device=device), image_axis)
    if isinstance(generator, ImageDraws):
        return low + (_shifted(generator.bits(shape, image_axis), 1) % (high - low)).to(device)
    source = device if generator is None else generator.device
    return torch.randint(low, high, tuple(shape), generator=generator, device=source).to(device)


def _signed(number: int) -> int:
    """Return the int64 that a whole number wraps to."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _mix(x: Tensor) -> Tensor:
    """Return SplitMix64's finalizer of each int64: products wrap, shifts bring in zeros."""
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Return x as an unsigned number shifted right by 1 to 63 bits."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
