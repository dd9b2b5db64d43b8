"""An input-gradient penalty in the Trainer of transformers, in pixels of the images."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError, HyperparameterError, ImageError, LabelError
from steadygrad.integrations.batches import whole_pass
from steadygrad.integrations.first_batch import PreparedByFirstBatch
from steadygrad.layers import PixelNormalization
from steadygrad.models import Classifier
from steadygrad.models.classifier import differentiable_attention
from steadygrad.models.image_processor import pixel_normalization
from steadygrad.penalties import LOSSES, CrossEntropy, ExampleLoss, Penalty, example_losses

__all__ = ["PenalizedTrainerMixin"]

_TOLERANCE = 1e-3
"""How far from [0, 1] pixels may be after normalisation is undone, through rounding."""

_OF_PROCESSORS = (
    "do_rescale",
    "rescale_factor",
    "rescale_offset",
    "do_normalize",
    "image_mean",
    "image_std",
    "include_top",
)
"""The settings of an image processor that change the values of pixels."""

_STATE_FILE = "penalty_state.pt"
"""What the penalty has learned, in a checkpoint folder of the Trainer."""


class PenalizedTrainerMixin:
    """Put before ``Trainer``: ``class HardeningTrainer(PenalizedTrainerMixin, Trainer): ...``.

    The Trainer's batches hold ``pixel_values`` that are normalised already. The normalisation is
    undone and put inside the model, so that the penalty's ``eps`` is in pixels: by the chain rule
    each channel gets ``eps / std`` of its normalised values.

    In training the loss is that of the penalty; in evaluation, where autograd is off, it is the
    plain loss of the data. Under gradient accumulation each small batch counts by its mean.
    What a covariance has learned is in the Trainer's checkpoints, as ``penalty_state.pt``.

    Args:
        penalty: a part of ``steadygrad.penalties.PENALTIES`` or its text, ``"norm:eps=2/255"``.
        image_processor: that of the model; what it does to pixels is read from its settings, such
            as ``image_mean``, ``do_normalize`` and ``rescale_factor``. None takes the Trainer's
            ``processing_class``; or give mean and std.
        mean: one number a channel.
        std: one positive number a channel.
        loss: of single images, a part of ``steadygrad.penalties.LOSSES`` or its text; None is the
            cross-entropy, with the ``label_smoothing_factor`` of the ``TrainingArguments``.
        arguments: the Trainer's own.

    Raises:
        ImageError: mean and std are not known; and from ``compute_loss``, if undoing the
            normalisation does not give pixels in [0, 1]: mean and std are not those that the data
            was normalised with.
        HyperparameterError: the Trainer has a ``compute_loss_func``, which averages; or both
            ``loss`` and ``label_smoothing_factor`` are given.
        LabelError: from ``compute_loss``, if a batch has no ``pixel_values`` or ``labels``.
    """

    def __init__(
        self,
        *positional: Any,
        penalty: Penalty | str,
        image_processor: Any = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        loss: ExampleLoss | str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(*positional, **arguments)
        trainer: Any = self
        self.penalty = PreparedByFirstBatch(penalty, self._training_images)
        self.example_loss = _loss_of(trainer, loss)
        if image_processor is None:
            image_processor = getattr(trainer, "processing_class", None)
        self._mean, self._std = _normalisation(image_processor, mean, std)
        self._wrapped: tuple[nn.Module, Classifier] | None = None
        # Our loss is a mean over the batch: the Trainer has to divide it by the accumulation steps,
        # which it leaves to models that count the items of all small batches themselves.
        self.model_accepts_loss_kwargs = False

    def train(self, *positional: Any, **arguments: Any) -> Any:
        """Train as the Trainer does; a new network of ``model_init`` meets a new penalty."""
        trainer: Any = self
        if trainer.model_init is not None:
            self.penalty.forget()
        return _method(super(), "train")(*positional, **arguments)

    def training_step(self, *positional: Any, **arguments: Any) -> Any:
        """Take a step as the Trainer does, in which checkpointed layers can be computed anew."""
        with differentiable_attention():
            return _method(super(), "training_step")(*positional, **arguments)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 - the Trainer gives it
    ) -> Any:
        """Return the loss of a batch, with its logits if asked."""
        values, labels = _pixel_values_and_labels(inputs)
        images = self._pixels(values)
        classifier = self._classifier(model)
        if torch.is_grad_enabled() and model.training:
            result = self.penalty(classifier, images, labels, loss=self.example_loss)
            loss, logits = result.loss, result.logits
        else:
            losses, logits = example_losses(classifier, images, labels, self.example_loss)
            loss = losses.mean()
        # A dict without the loss: the Trainer takes what is left for the logits.
        return (loss, {"loss": loss.detach(), "logits": logits}) if return_outputs else loss

    # The Trainer calls these with the folder of a checkpoint, beside its own optimizer.

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        _method(super(), "_save_optimizer_and_scheduler")(output_dir)
        trainer: Any = self
        if trainer.args.should_save:
            buffer = io.BytesIO()
            torch.save(self.penalty.state_dict(), buffer)
            write_atomically(Path(output_dir) / _STATE_FILE, buffer.getvalue())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        _method(super(), "_load_optimizer_and_scheduler")(checkpoint)
        path = None if checkpoint is None else Path(checkpoint) / _STATE_FILE
        if path is None or not path.is_file():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        # torch.load documents no closed list of what a damaged file raises.
        except Exception as error:
            raise CheckpointError(
                f"{path} is damaged: resume from another checkpoint, or delete the file to let the "
                "penalty begin anew"
            ) from error
        self.penalty.load_state_dict(state)

    def _training_images(self) -> Iterator[Images]:
        trainer: Any = self
        for batch in whole_pass(trainer.get_train_dataloader()):
            yield self._pixels(_pixel_values_and_labels(batch)[0])

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
        channels = values.shape[1] if values.ndim == 4 else 0
        if len(self._mean) == 1 and channels > 1:  # one number for all channels
            self._mean, self._std = self._mean * channels, self._std * channels
        if channels != len(self._mean):
            raise ImageError(
                f"expected pixel_values of shape (batch, {len(self._mean)}, height, width), since "
                f"mean and std have one number a channel, got {tuple(values.shape)}"
            )
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


def _method(parent: Any, name: str) -> Any:
    """Return a method of the Trainer behind the mixin, whose class is not known here."""
    return getattr(parent, name)


def _loss_of(trainer: Any, loss: ExampleLoss | str | None) -> ExampleLoss:
    """Return the loss of single images that a Trainer's settings and ``loss`` ask for."""
    if getattr(trainer, "compute_loss_func", None) is not None:
        raise HyperparameterError(
            "expected no compute_loss_func: it averages over the batch, and a penalty needs the "
            "loss of each image; give loss=, a callable from logits and labels to one loss an image"
        )
    smoothing = getattr(trainer.args, "label_smoothing_factor", 0.0)
    if loss is None:
        return CrossEntropy(smoothing=smoothing)
    if smoothing:
        raise HyperparameterError(
            f"expected loss or label_smoothing_factor, got both (label_smoothing_factor "
            f'{smoothing}); write loss="cross-entropy:smoothing={smoothing}"'
        )
    return LOSSES.of(loss)


def _normalisation(
    processor: Any, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std of the pixel_values, from the settings or the image processor."""
    if (mean is None) != (std is None):
        given, missing = ("std", "mean") if mean is None else ("mean", "std")
        raise ImageError(f"expected both mean and std, got {given} without {missing}")
    found: tuple[Any, Any] | None = (mean, std)
    if mean is None:
        told = {name: getattr(processor, name, None) for name in _OF_PROCESSORS}
        settings = {name: value for name, value in told.items() if value is not None}
        if settings.get("do_rescale") is False:  # of images that were in [0, 1] already
            settings = {k: v for k, v in settings.items() if "rescale" not in k}
        found = pixel_normalization(settings)
        if found is None and (settings.get("do_normalize") is False or "image_mean" in settings):
            found = (0.0, 1.0)
    if found is None:
        raise ImageError(
            "expected the mean and std that pixel_values are normalised with, or the "
            "image_processor that did it, got neither; use (0, 0, 0) and (1, 1, 1) for none"
        )
    rows = [(value,) if isinstance(value, int | float) else tuple(value) for value in found]
    longest = max(map(len, rows))
    first, second = (row * longest if len(row) == 1 else row for row in rows)
    PixelNormalization(first, second)  # refuses what is no mean and std
    return first, second


def _pixel_values_and_labels(inputs: Mapping[str, Any]) -> tuple[Images, Labels]:
    values, labels = inputs.get("pixel_values"), inputs.get("labels")
    if not (isinstance(values, Tensor) and isinstance(labels, Tensor)):
        raise LabelError(
            "expected batches with the tensors pixel_values and labels, got "
            f"{', '.join(map(str, inputs)) or 'nothing'}; name the columns of the data set so, or "
            "let the data_collator do it"
        )
    return values, labels
