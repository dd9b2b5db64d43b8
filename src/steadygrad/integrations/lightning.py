"""An input-gradient penalty in a LightningModule, and robust accuracy in its validation."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels, Logits
from steadygrad.attacks import ATTACKS, Attack
from steadygrad.distributed import current_ranks, sum_over_ranks
from steadygrad.errors import HyperparameterError, MissingExtraError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.integrations.batches import images_and_labels, whole_pass
from steadygrad.integrations.first_batch import PreparedByFirstBatch
from steadygrad.logits import logits_of
from steadygrad.penalties import LOSSES, ExampleLoss, PenalizedLoss, Penalty

__all__ = ["PenalizedTraining", "robustness_callback"]

_STATE = "steadygrad_penalty"
"""The key of a penalty's state in Lightning's checkpoints."""


class PenalizedTraining:
    """Put before ``LightningModule``: it brings ``training_step`` with a penalty.

    ``class Hardened(PenalizedTraining, LightningModule)`` sets ``self.penalty``, a part or its
    text, and maps images in [0, 1] to logits in ``forward``. Logged are ``train_loss``,
    ``train_data_loss`` and ``train_penalty``. In precision "16-mixed" the Trainer forbids
    derivatives within the step: train in 32-true, or on a CPU in bf16-mixed.

    Batches are (images, labels, ...) or mappings; override ``images_and_labels`` for others. A
    ``training_step`` of your own, for mixup or several optimizers, calls ``penalized_loss``.

    A covariance that learns, or that is taken of the training images, is prepared in the first step
    and kept while the module lives. What it has learned is in Lightning's checkpoints; where
    ``on_save_checkpoint`` or ``on_load_checkpoint`` is overridden, it has to call ``super()``.

    Attributes:
        penalty: a part of ``steadygrad.penalties.PENALTIES``, or its text.
        example_loss: a part of ``steadygrad.penalties.LOSSES`` or its text, such as
            "cross-entropy:smoothing=0.1", or a callable; None is the cross-entropy.
    """

    penalty: Penalty | str
    example_loss: ExampleLoss | str | None = None
    log: Any
    _ready: PreparedByFirstBatch | None = None

    def images_and_labels(self, batch: Any) -> tuple[Images, Labels]:
        """Return the images and labels of a batch; override it for batches of another kind.

        Raises:
            LabelError: it is no tuple that begins with both, and no mapping with both.
        """
        return images_and_labels(batch)

    def penalized_loss(self, images: Images, labels: Labels) -> PenalizedLoss:
        """Return the penalised loss, its two terms and the logits; nothing is logged.

        Args:
            images: (batch, channels, height, width) in [0, 1].
            labels: int64 (batch,), or what ``example_loss`` takes, such as (batch, classes).
        """
        if isinstance(self.example_loss, str):  # read once, not in every step
            self.example_loss = LOSSES.of(self.example_loss)
        # Traced by torch.compile, a penalty ends in an error that names no remedy.
        untraced: Any = torch.compiler.disable  # which torch leaves untyped
        ready = untraced(self._ready_penalty().__call__)
        result: PenalizedLoss = ready(self, images, labels, loss=self.example_loss)
        return result

    def training_step(self, batch: Any, batch_index: int) -> Tensor:  # noqa: ARG002
        """Return the penalised loss of a batch.

        Raises:
            HyperparameterError: the module has no penalty, or steps its optimizers by itself, so
                that nobody would use the loss.
        """
        is_inherited = type(self).training_step is PenalizedTraining.training_step
        if is_inherited and not getattr(self, "automatic_optimization", True):
            raise HyperparameterError(
                "expected automatic_optimization = True, got False, with which Lightning steps no "
                "optimizer: write a training_step of your own that calls "
                "self.penalized_loss(images, labels), self.manual_backward(result.loss) and the "
                "steps of the optimizers"
            )
        images, labels = self.images_and_labels(batch)
        result = self.penalized_loss(images, labels)
        terms = {"loss": result.loss, "data_loss": result.data_loss, "penalty": result.penalty}
        for name, term in terms.items():
            self.log(f"train_{name}", term.detach(), batch_size=len(images))
        return result.loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what the penalty has learned into a checkpoint of Lightning."""
        _of_next(super(), "on_save_checkpoint", checkpoint)
        if getattr(self, "penalty", None) is not None:
            checkpoint[_STATE] = self._ready_penalty().state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with what the penalty had learned when the checkpoint was saved.

        Raises:
            CheckpointError: that part of the checkpoint is damaged.
        """
        _of_next(super(), "on_load_checkpoint", checkpoint)
        if _STATE in checkpoint and getattr(self, "penalty", None) is not None:
            self._ready_penalty().load_state_dict(checkpoint[_STATE])

    def _ready_penalty(self) -> PreparedByFirstBatch:
        penalty = getattr(self, "penalty", None)
        if penalty is None:
            raise HyperparameterError(
                f"expected {type(self).__name__}.penalty, a penalty or its text such as "
                '"norm:eps=2/255", got none; set self.penalty in __init__'
            )
        if self._ready is None or self._ready.given != penalty:
            self._ready = PreparedByFirstBatch(penalty, self._training_images)
        return self._ready

    def _training_images(self) -> Iterator[Images]:
        module: Any = self
        batches = whole_pass(module.trainer.train_dataloader)
        return (self.images_and_labels(batch)[0] for batch in batches)


def robustness_callback(
    attack: Attack | str,
    *,
    images: int = 256,
    seed: int = 0,
    name: str = "val_robust_accuracy",
    test_name: str = "test_robust_accuracy",
) -> Any:
    """Return a Lightning callback that logs robust accuracy after each validation and test.

    Both run without autograd; the callback switches it on for the attack alone. Batches are what
    ``PenalizedTraining`` takes; of a module with a method ``images_and_labels``, what that takes.
    Several processes share the images and log the accuracy of all of them together.

    Args:
        attack: such as ``"pgd:eps=2/255,steps=10"``.
        images: how many of the first images are attacked, at least 1.
        seed: of the attack's draws.
        name: under which a validation is logged; give each of several callbacks its own.
        test_name: the same for ``Trainer.test``.

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
        """Counts images that stay correct under an attack."""

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
            self._attack(pl_module, batch, batch_idx, dataloader_idx)

        on_test_epoch_start = on_validation_epoch_start
        on_test_batch_end = on_validation_batch_end

        def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            self._log(name, pl_module)

        def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            self._log(test_name, pl_module)

        def _attack(self, module: nn.Module, batch: Any, number: int, loader: int) -> None:
            ranks = current_ranks()
            share = images // ranks.count + (ranks.rank < images % ranks.count)
            room = share - self.total
            if room <= 0 or loader != 0:
                return
            pair = getattr(module, "images_and_labels", images_and_labels)(batch)
            generator = torch.Generator("cpu").manual_seed(seed + number)

            def logits(of: Images) -> Logits:
                return logits_of(module(of))

            # Tensors of inference mode cannot take part in autograd: copies can.
            with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(module):
                clean, labels = (each[:room].clone() for each in pair)
                attacked = chosen(logits, clean, labels, generator=generator)
                with torch.no_grad():
                    correct = logits(attacked).argmax(dim=1) == labels
            self.correct += int(correct.sum())
            self.total += len(labels)

        def _log(self, key: str, module: Any) -> None:
            counts = torch.tensor([self.correct, self.total], dtype=torch.float32)
            with torch.no_grad():
                correct, total = sum_over_ranks(counts.to(module.device)).tolist()
            if total:
                module.log(key, correct / total, sync_dist=True)  # they are equal everywhere

    return RobustnessCallback()


def _of_next(parent: Any, hook: str, checkpoint: dict[str, Any]) -> None:
    """Call the next class's hook, where there is one."""
    getattr(parent, hook, lambda _: None)(checkpoint)
