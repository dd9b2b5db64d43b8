"""A covariance that follows the perturbations it is shown."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed

from steadygrad._typing import Images
from steadygrad.checks import reading_waits
from steadygrad.covariance.estimation import Structure, as_working_dtype, structure_by_name
from steadygrad.covariance.operator import Covariance, ImageShape, check_perturbations
from steadygrad.distributed import current_ranks, others_alive
from steadygrad.errors import CheckpointError, CovarianceError, HyperparameterError, ShapeError

__all__ = ["RunningCovariance", "check_decay"]


class RunningCovariance(Covariance):
    """Exponentially weighted second moments: ``Sigma <- (1 - decay) Sigma + decay * batch``.

    Each batch is first scaled to a unit mean diagonal, so that its weight does not depend on how
    large its perturbations are; the operator has a unit mean diagonal. The first batch counts
    fully. Between updates this is an ordinary covariance, of the last batch's image shape; before
    the first one it is none, and using it is a CovarianceError.

    structure: "dense", "stationary", "radial", "block", or a structure object with settings.
    decay: weight of the current batch, in (0, 1]; the paper's beta. HyperparameterError otherwise.
    Source: Roth et al., arXiv:1805.08736, Algorithm 1 and Eq. (14).

    With several processes (torch.distributed), every update, to be called by all, takes in their
    batches as one batch: the covariance is the same in all of them.
    """

    def __init__(self, structure: str | Structure = "stationary", *, decay: float = 0.1) -> None:
        check_decay(decay)
        self.structure, self.decay = structure_by_name(structure), decay
        self.updates = 0
        self._moments: Tensor | None = None
        self._mean: Tensor | None = None
        self._current: Covariance | None = None

    @torch.no_grad()
    def update(self, perturbations: Images) -> None:
        """Take one batch of perturbations into the average.

        Where torch.distributed is initialised, the batch is that of all processes together: each
        of them has to call this, and all then hold what one process would hold.

        Args:
            perturbations: floating, (batch, channels, height, width), finite, not all zero.

        Raises:
            ShapeError: they are no images, or of another shape than before.
            CovarianceError: they are not finite or all zero, in all processes together.
        """
        self._check_shape(perturbations)
        largest, is_useful = _largest_of_all(perturbations)
        if not is_useful:
            check_perturbations(perturbations)  # says what is wrong with those of this process
            raise CovarianceError(
                "expected finite perturbations that are not all zero, got others in another process"
            )
        self._take(perturbations, largest, is_useful)

    @torch.no_grad()
    def offer(self, perturbations: Images) -> None:
        """Take perturbations into the average, unless they are not finite or all zero.

        After the first batch, an accelerator is not waited for: what it finds to be useless leaves
        the average as it was, though ``updates`` counts it.

        Args:
            perturbations: as in ``update``; of no image where another process has some.

        Raises:
            ShapeError: they are no images, or of another shape than before.
        """
        self._check_shape(perturbations)
        largest, is_useful = _largest_of_all(perturbations)
        if (self._moments is not None and reading_waits(perturbations)) or is_useful:
            self._take(perturbations, largest, is_useful)

    def _check_shape(self, perturbations: Images) -> None:
        if len(perturbations) or current_ranks().count == 1:
            check_perturbations(perturbations, values=False)
        image_shape = tuple(perturbations.shape[1:])
        if self._mean is not None and image_shape != self.image_shape:
            raise ShapeError(
                f"expected perturbations of images {self.image_shape}, got {image_shape}"
            )

    def _take(self, perturbations: Images, largest: Tensor, is_useful: Tensor) -> None:
        channels, height, width = perturbations.shape[1:]
        image_shape = channels, height, width
        count, perturbations = len(perturbations), as_working_dtype(perturbations)
        if count == 0:  # of the right shape, and counted as none
            perturbations = perturbations.new_zeros(1, *image_shape)
        perturbations = perturbations * _power_of_two_over(largest)
        with torch.autocast(perturbations.device.type, enabled=False):
            moments = self.structure.moments(perturbations)
        moments, mean = _of_all_processes(moments, perturbations.mean(dim=0), count)
        variance = self.structure.mean_diagonal(moments, image_shape)
        moments, mean = moments / variance, mean / variance.sqrt()
        if self._moments is not None and self._mean is not None:
            before, mean_before = self._moments.to(moments), self._mean.to(mean)
            moments, mean = before.lerp(moments, self.decay), mean_before.lerp(mean, self.decay)
            if reading_waits(perturbations):  # elsewhere it was read
                moments = torch.where(is_useful, moments, before)
                mean = torch.where(is_useful, mean, mean_before)
        self._moments, self._mean, self._current = moments, mean, None
        self.updates += 1

    @property
    def current(self) -> Covariance:
        """The covariance as of now, which later updates leave alone; unit mean diagonal.

        Raises: CovarianceError, before the first update.
        """
        if self._current is None:
            if self._moments is None:
                raise CovarianceError("a running covariance has no value before its first update")
            with torch.no_grad():
                built = self.structure.build(self._moments, self.image_shape)
                # The moments have a unit mean diagonal; only a repair moves it. To read it would
                # make the host wait for an accelerator at every update.
                is_exact = getattr(built, "repair", None) is None
                is_late = is_exact and reading_waits(self._moments)
                self._current = built if is_late else built.normalized()
        return self._current

    @property
    def mean(self) -> Tensor:
        """Running mean perturbation ``mu`` (Eq. 12), (channels, height, width), same scale.

        Raises: CovarianceError, before the first update.
        """
        if self._mean is None:
            raise CovarianceError("a running covariance has no value before its first update")
        return self._mean

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height, width of the perturbations seen."""
        channels, height, width = self.mean.shape
        return channels, height, width

    @property
    def mean_diagonal(self) -> float:
        """Mean variance of a pixel: 1, up to rounding."""
        return self.current.mean_diagonal

    def scaled(self, factor: float) -> Covariance:
        """Return ``factor * Sigma`` as of now."""
        return self.current.scaled(factor)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs: tensors and a count."""
        if self._moments is None or self._mean is None:
            return {"updates": 0}
        return {"updates": self.updates, "moments": self._moments, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises: CheckpointError, if the state is not one of this structure.
        """
        updates = state.get("updates", 0)
        if updates == 0:
            self.updates, self._moments, self._mean, self._current = 0, None, None, None
            return
        if not {"moments", "mean"} <= state.keys():
            raise CheckpointError("the state of a running covariance lacks its moments or mean")
        moments, mean = state["moments"].clone(), state["mean"].clone()
        # What one image of that size would give: each structure knows the shape of its moments.
        shape = self.structure.moments(torch.zeros_like(mean).unsqueeze(0)).shape
        if shape != moments.shape:
            raise CheckpointError(
                f"the state of a running covariance is of another structure: expected moments of "
                f"shape {tuple(shape)}, got {tuple(moments.shape)}"
            )
        self.updates, self._moments, self._mean, self._current = updates, moments, mean, None

    def __repr__(self) -> str:
        return f"RunningCovariance({self.structure}, decay={self.decay}, updates={self.updates})"

    def _apply(self, images: Images) -> Images:
        return self.current._apply(images)

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        return self.current._sample(count, white_noise)


def check_decay(decay: float) -> None:
    """Refuse a weight outside (0, 1].

    Raises:
        HyperparameterError: names it.
    """
    if not 0 < decay <= 1:
        raise HyperparameterError(f"expected decay in (0, 1], got {decay}")


def _largest_of_all(perturbations: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest absolute entry in all processes, and whether all are finite, one not 0."""
    entries = as_working_dtype(perturbations).abs()
    is_finite = entries.isfinite().all()
    own = entries.amax() if entries.numel() else entries.new_zeros(())
    found = torch.stack((torch.where(is_finite, own, 0), (~is_finite).to(own)))
    if current_ranks().count > 1:
        with others_alive():
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return found[0], (found[0] > 0) & (found[1] == 0)


def _power_of_two_over(largest: Tensor) -> Tensor:
    """Return about ``1 / largest``: what is multiplied by it has squares that are no 0 or infinity.

    A power of two, which changes no digit of what is then divided by its own size.
    """
    return torch.exp2(-torch.frexp(largest).exponent.clamp(-126, 126).to(largest))


def _of_all_processes(moments: Tensor, mean: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the averages over the images of all processes, from those over one's own."""
    if current_ranks().count == 1:
        return moments, mean
    images = torch.full((1,), float(count), dtype=moments.dtype, device=moments.device)
    sums = torch.cat(((moments * count).flatten(), (mean * count).flatten(), images))
    with others_alive():
        distributed.all_reduce(sums)
    averages = sums[:-1] / sums[-1]
    return averages[: moments.numel()].view_as(moments), averages[moments.numel() :].view_as(mean)
