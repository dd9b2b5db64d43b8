"""An input-gradient penalty in a LightningModule, and robust accuracy in its validation."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Images
from steadygrad.attacks import ATTACKS, Attack
from steadygrad.errors import HyperparameterError, MissingExtraError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.integrations.first_batch import PreparedByFirstBatch
from steadygrad.penalties import Penalty

__all__ = ["PenalizedTraining", "robustness_callback"]


class PenalizedTraining:
    """Put before ``LightningModule``: it brings ``training_step`` with a penalty.

    ``class Hardened(PenalizedTraining, LightningModule)`` sets ``self.penalty``, a part or its
    text, and maps images in [0, 1] to logits in ``forward``. Batches are (images, labels). Logged
    are ``train_loss``, ``train_data_loss`` and ``train_penalty``. In precision "16-mixed" the
    Trainer forbids derivatives within the step: train in 32-true, or on a CPU in bf16-mixed.

    A covariance that learns, or that is taken of the training images, is prepared in the first step
    and kept while the module lives; Lightning's checkpoints do not hold it.
    """

    penalty: Penalty | str
    log: Any
    _ready: PreparedByFirstBatch | None = None

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:  # noqa: ARG002
        """Return the penalised loss of a batch."""
        images, labels = batch
        result = self._ready_penalty()(self, images, labels)
        self.log("train_loss", result.loss.detach())
        self.log("train_data_loss", result.data_loss.detach())
        self.log("train_penalty", result.penalty.detach())
        return result.loss

    def _ready_penalty(self) -> PreparedByFirstBatch:
        if self._ready is None or self._ready.given != self.penalty:
            self._ready = PreparedByFirstBatch(self.penalty, self._training_images)
        return self._ready

    def _training_images(self) -> Iterator[Images]:
        module: Any = self
        return (batch[0] for batch in module.trainer.train_dataloader)


def robustness_callback(
    attack: Attack | str,
    *,
    images: int = 256,
    seed: int = 0,
    name: str = "val_robust_accuracy",
) -> Any:
    """Return a Lightning callback that logs robust accuracy after each validation.

    Validation runs without autograd; the callback switches it on for the attack alone.

    Args:
        attack: such as ``"pgd:eps=2/255,steps=10"``.
        images: how many of the first validation images are attacked, at least 1.
        seed: of the attack's draws.
        name: under which it is logged; give each of several callbacks its own.

    Raises:
        HyperparameterError: images is below 1.
        MissingExtraError: lightning is not installed.
    """
    chosen = ATTACKS.of(attack)
    if images < 1:
        raise HyperparameterError(f"expected images >= 1, got {images}")
    try:
        from lightning.pytorch import Callback
    except ModuleNotFoundError as error:
        raise MissingExtraError("lightning is not installed: pip install lightning") from error

    class RobustnessCallback(Callback):  # type: ignore[misc,unused-ignore] # untyped where absent
        """Counts validation images that stay correct under an attack."""

        def __init__(self) -> None:
            self.correct = self.total = 0

        def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            self.correct = self.total = 0

        def on_validation_batch_end(
            self,
            trainer: Any,  # noqa: ARG002
            pl_module: nn.Module,
            outputs: Any,  # noqa: ARG002
            batch: Any,
            batch_idx: int,
            dataloader_idx: int = 0,
        ) -> None:
            room = images - self.total
            if room <= 0 or dataloader_idx != 0:
                return
            generator = torch.Generator("cpu").manual_seed(seed + batch_idx)
            # Tensors of inference mode cannot take part in autograd: copies can.
            with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(pl_module):
                clean, labels = batch[0][:room].clone(), batch[1][:room].clone()
                attacked = chosen(pl_module, clean, labels, generator=generator)
                with torch.no_grad():
                    correct = pl_module(attacked).argmax(dim=1) == labels
            self.correct += int(correct.sum())
            self.total += len(labels)

        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if self.total:
                pl_module.log(name, self.correct / self.total)

    return RobustnessCallback()
