"""An input-gradient penalty in the Trainer of transformers, in pixels of the images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Images
from steadygrad.errors import ImageError
from steadygrad.integrations.first_batch import PreparedByFirstBatch
from steadygrad.layers import PixelNormalization
from steadygrad.models import Classifier
from steadygrad.penalties import Penalty, example_losses

__all__ = ["PenalizedTrainerMixin"]

_TOLERANCE = 1e-3
"""How far from [0, 1] pixels may be after normalisation is undone, through rounding."""


class PenalizedTrainerMixin:
    """Put before ``Trainer``: ``class HardeningTrainer(PenalizedTrainerMixin, Trainer): ...``.

    The Trainer's batches hold ``pixel_values`` that are normalised already. The normalisation is
    undone and put inside the model, so that the penalty's ``eps`` is in pixels: by the chain rule
    each channel gets ``eps / std`` of its normalised values.

    In training the loss is that of the penalty; in evaluation, where autograd is off, it is the
    plain loss of the data. Under gradient accumulation each small batch counts by its mean.

    Args:
        penalty: a part of ``steadygrad.penalties.PENALTIES`` or its text, ``"norm:eps=2/255"``.
        image_processor: has ``image_mean`` and ``image_std``; or give both.
        mean: one number a channel.
        std: one positive number a channel.
        arguments: the Trainer's own.

    Raises:
        ImageError: from ``compute_loss``, if undoing the normalisation does not give pixels in
            [0, 1]: mean and std are not those that the data was normalised with.
    """

    def __init__(
        self,
        *positional: Any,
        penalty: Penalty | str,
        image_processor: Any = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(*positional, **arguments)
        self.penalty = PreparedByFirstBatch(penalty, self._training_images)
        mean = mean if mean is not None else getattr(image_processor, "image_mean", None)
        std = std if std is not None else getattr(image_processor, "image_std", None)
        if mean is None or std is None:
            raise ImageError(
                "expected the mean and std that pixel_values are normalised with, or the "
                "image_processor that did it, got neither; use (0, 0, 0) and (1, 1, 1) for none"
            )
        self._mean, self._std = tuple(mean), tuple(std)
        self._wrapped: tuple[nn.Module, Classifier] | None = None
        # Our loss is a mean over the batch: the Trainer has to divide it by the accumulation steps,
        # which it leaves to models that count the items of all small batches themselves.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 - the Trainer gives it
    ) -> Any:
        """Return the loss of a batch, with its logits if asked."""
        classifier = self._classifier(model)
        images, labels = self._pixels(inputs["pixel_values"]), inputs["labels"]
        if torch.is_grad_enabled() and model.training:
            result = self.penalty(classifier, images, labels)
            loss, logits = result.loss, result.logits
        else:
            losses, logits = example_losses(classifier, images, labels)
            loss = losses.mean()
        # A dict without the loss: the Trainer takes what is left for the logits.
        return (loss, {"loss": loss.detach(), "logits": logits}) if return_outputs else loss

    def _training_images(self) -> Iterator[Images]:
        trainer: Any = self
        return (self._pixels(each["pixel_values"]) for each in trainer.get_train_dataloader())

    def _classifier(self, model: nn.Module) -> Classifier:
        if self._wrapped is None or self._wrapped[0] is not model:
            classifier = Classifier(model, mean=self._mean, std=self._std)
            self._wrapped = (model, classifier)
        classifier = self._wrapped[1]
        device = next(model.parameters()).device
        classifier.normalization.to(device)
        classifier.training = model.training
        return classifier

    def _pixels(self, values: Tensor) -> Tensor:
        normalization = PixelNormalization(self._mean, self._std).to(values.device)
        mean, std = normalization.mean[:, None, None], normalization.std[:, None, None]
        images = values.detach().float() * std + mean
        lowest, highest = (bound.item() for bound in images.aminmax())
        if lowest < -_TOLERANCE or highest > 1 + _TOLERANCE:
            raise ImageError(
                "expected pixel_values that mean and std turn back into pixels in [0, 1], got "
                f"{lowest:.3g} to {highest:.3g}; give the mean and std they were normalised with"
            )
        return images.clamp(0, 1)
