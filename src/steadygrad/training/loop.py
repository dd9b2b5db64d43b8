"""The training loop: steps, epochs, checkpoints and the stop at a diverging loss."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.datasets import ImageDataset
from steadygrad.distributed import any_rank
from steadygrad.errors import ModelError, NonFiniteLossError
from steadygrad.models.model_file import save_weights
from steadygrad.pending_checks import settle_checks
from steadygrad.training.given_data import TrainingImages
from steadygrad.training.interruption import Interruption
from steadygrad.training.metrics import EpochMetrics, StepMetrics
from steadygrad.training.progress import Progress
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.session import TrainingSession
from steadygrad.training.tensorboard_log import TensorBoardLog
from steadygrad.training.tracking import Tracking
from steadygrad.training.training_state import TrainingState, write_state
from steadygrad.training.validation import Performance, own_performance

__all__ = ["HeldOut", "TrainingLoop", "TrainingResult"]

_STEPS_BETWEEN_READS = 50
"""Steps an accelerator may run ahead before their losses are read; reading makes it wait."""


@dataclass(frozen=True)
class TrainingResult:
    """What a call of ``train`` leaves behind.

    model: the latest network, in eval mode, of averaged weights where the run averages them; each
    parameter has the ``requires_grad`` of the network that the run began with;
    history: metrics of every epoch done so far, earlier sessions included; is_finished: False if
    the run was interrupted and can be resumed.
    """

    folder: Path
    model: nn.Module
    history: tuple[EpochMetrics, ...]
    is_finished: bool


@dataclass(frozen=True)
class HeldOut:
    """What the network is measured on after each epoch, on its device; None for nothing."""

    validation: TrainingImages | None = None
    test: TrainingImages | None = None


class _CutOffError(Exception):
    """The images of a step or a measurement cannot be had, and the run is to stop anyway."""


class TrainingLoop:
    """Steps, epochs and checkpoints of one call of ``train``.

    Of several processes, all go through it together; the main one alone writes.
    """

    def __init__(
        self,
        session: TrainingSession,
        held_out: HeldOut,
        folder: RunFolder,
        progress: Progress,
        interruption: Interruption,
        begin: Callable[[], None],
    ) -> None:
        """Take what a run needs.

        Args:
            session: fresh, or restored.
            held_out: what is measured after each epoch.
            folder: of the run.
            progress: told of steps and epochs.
            interruption: asked after each step.
            begin: makes the folder ready, in the main process; called after the first step of this
                call, so that what a network, penalty or augmentation refuses leaves no trace.
        """
        self.session, self.held_out = session, held_out
        self.folder, self.progress, self.interruption = folder, progress, interruption
        self.begin, self.has_begun = begin, False
        self.is_resumed = bool(session.history or session.steps_done)
        self.log: TensorBoardLog | None = None
        self.tracking = Tracking(folder.trackers, progress.message)
        self.unread: list[tuple[Tensor, int]] = []
        self.steps_between_reads = 1 if session.device.type == "cpu" else _STEPS_BETWEEN_READS
        self.clock = self.last_checkpoint = time.monotonic()

    def run(self) -> TrainingResult:
        """Train until all epochs are done or someone asks to stop.

        Raises: NonFiniteLossError; OutputError, if a checkpoint cannot be written.
        """
        session, epochs = self.session, self.session.config.epochs
        try:
            if self.is_resumed:
                self._begin()
                # A kill may have come between the state and the others.
                self._write_outputs(session.capture())
            if session.epochs_done >= epochs:
                self.progress.message(f"{self.folder.path} is finished: {epochs} epochs are done")
                return self._result()
            self.progress.start(
                epochs=epochs,
                steps_per_epoch=session.steps_per_epoch,
                epoch=session.epochs_done + 1,
                step=session.steps_done,
            )
            self.clock = self.last_checkpoint = time.monotonic()
            while session.epochs_done < epochs and self._epoch():
                pass
        finally:
            if self.log is not None:
                self.log.close()
            self.tracking.close(is_finished=session.epochs_done >= epochs)
        if session.epochs_done < epochs:
            self.progress.message(
                f"stopped in epoch {session.epochs_done + 1}, after step {session.steps_done}; "
                f"resume the run in {self.folder.path} to go on"
            )
        return self._result()

    def _begin(self) -> None:
        self.has_begun, before = True, time.monotonic()
        session = self.session
        if not session.ranks.is_main:
            return
        settings = session.config.to_dict()
        settings.pop("trackers")  # an address may hold a password
        self.tracking.open(
            session.config.trackers,
            str(self.folder.path),
            settings,
            is_resumed=self.is_resumed,
        )
        self.begin()
        self.log = TensorBoardLog(self.folder.tensorboard, session.history)
        self.tracking.write(session.history)
        self.clock += time.monotonic() - before  # no epoch's time

    def _epoch(self) -> bool:
        """Do what remains of an epoch; return whether to go on."""
        try:
            return self._steps_and_end()
        except _CutOffError:
            self._checkpoint()
            return False

    @contextmanager
    def _fetching(self, images: TrainingImages) -> Iterator[None]:
        """Around the reading of images, which fails where Ctrl-C ends a loader's workers, too.

        Of several processes, all are cut off where one of them is.
        """
        if isinstance(images, ImageDataset):  # in memory: no workers, and nothing to agree on
            yield
            return
        try:
            yield
        except Exception as error:
            if self.interruption.requested and self.has_begun:
                any_rank(True)  # the others ask, too, see below
                raise _CutOffError from error
            raise
        (is_cut_off,) = any_rank(False)
        if is_cut_off:
            raise _CutOffError

    def _batches(self) -> Iterator[tuple[Images, Labels]]:
        """Yield the batches that the epoch in progress still has."""
        rest = self.session.remaining_batches()
        while True:
            with self._fetching(self.session.train):
                batch = next(rest, None)
            if batch is None:
                return
            yield batch

    def _steps_and_end(self) -> bool:
        session, config = self.session, self.session.config
        for images, labels in self._batches():
            try:
                numbers = session.step(images, labels)
            except ModelError:  # what an attack says of weights that diverged a step before
                self._read()
                self._refuse_divergence()
                raise
            except NonFiniteLossError as error:  # what backward() says of this step's loss
                self._read()
                raise self._not_finite(
                    session.steps_done + 1, error.data_loss, error.penalty
                ) from error
            self.unread.append((numbers, len(images)))
            session.steps_done += 1
            if len(self.unread) >= self.steps_between_reads or not self.has_begun:
                self._read()
            is_due = time.monotonic() - self.last_checkpoint >= config.checkpoint_seconds
            stops, is_due = any_rank(self.interruption.requested, is_due)
            if stops or is_due:
                self._checkpoint()
            if stops:
                return False
        self._read()
        self._count_time()
        self._refuse_divergence()
        held_out = self.held_out
        metrics = session.end_epoch(
            self._performance(session.network, held_out.validation),
            self._performance(session.network, held_out.test),
            None
            if session.averaged is None
            else self._performance(session.model, held_out.validation),
        )
        self._write_checkpoint()
        if self.log is not None:
            self.log.write(metrics)
        self.tracking.write(session.history)
        self.progress.epoch(metrics)
        (stops,) = any_rank(self.interruption.requested)
        return not stops

    def _performance(
        self, network: nn.Module, dataset: TrainingImages | None
    ) -> Performance | None:
        if dataset is None:
            return None
        with self._fetching(dataset), self.session.weights.gathered(network):
            own = own_performance(network, dataset)
        return own.of_all_ranks()

    def _read(self) -> None:
        """Fetch the numbers of the latest steps from the device, and stop at a non-finite one."""
        if not self.unread:
            return
        session = self.session
        rows = torch.stack([numbers for numbers, _ in self.unread]).tolist()
        settle_checks()  # of images and labels: all their work is done now
        steps = [
            StepMetrics(
                loss=loss,
                data_loss=data_loss,
                penalty=penalty,
                correct=int(correct),
                images=images,
                update_similarity=similarity,
            )
            for (loss, data_loss, penalty, correct, similarity), (_, images) in zip(
                rows, self.unread, strict=True
            )
        ]
        self.unread.clear()
        for offset, step in enumerate(steps, start=session.steps_done - len(steps) + 1):
            if not step.is_finite:
                raise self._not_finite(offset, step.data_loss, step.penalty)
        if not self.has_begun:
            self._begin()
        session.totals.add(steps)
        self.progress.step(session.epochs_done + 1, session.steps_done, steps[-1])

    def _checkpoint(self) -> None:
        """Write a checkpoint within an epoch."""
        self._read()
        self._count_time()
        self._refuse_divergence()
        self._write_checkpoint()

    def _refuse_divergence(self) -> None:
        # A finite loss may still have had a non-finite gradient.
        session = self.session
        if not session.weights.are_finite():
            raise self._divergence(
                f"the weights are not finite after epoch {session.epochs_done + 1}, "
                f"step {session.steps_done}"
            )

    def _write_checkpoint(self) -> None:
        state = self.session.capture()
        if self.session.ranks.is_main:
            write_state(self.folder.state, state)
        self._write_outputs(state)
        self.clock = self.last_checkpoint = time.monotonic()

    def _write_outputs(self, state: TrainingState) -> None:
        # After the state, which alone can restore both.
        if not self.session.ranks.is_main:
            return
        average = state.averaged.get("network")
        save_weights(self.folder.model, average or state.model, self.session.spec)
        if average is not None:
            save_weights(self.folder.raw_model, state.model, self.session.spec)
        self.folder.write_metrics(self.session.history)

    def _count_time(self) -> None:
        now = time.monotonic()
        self.session.totals.seconds += now - self.clock
        self.clock = now

    def _not_finite(self, step: int, data_loss: float, penalty: float) -> NonFiniteLossError:
        return self._divergence(
            f"the loss is not finite at epoch {self.session.epochs_done + 1}, step {step}: "
            f"data loss {data_loss:g}, penalty {penalty:g}"
        )

    def _divergence(self, what: str) -> NonFiniteLossError:
        kept = "no checkpoint was written before"
        if self.has_begun and self.folder.state.exists():
            kept = f"the last good checkpoint is kept in {self.folder.path}"
        return NonFiniteLossError(
            f"{what}; {kept}; try a smaller learning rate or strength, a ramp, or clipping"
        )

    def _result(self) -> TrainingResult:
        session = self.session
        network = session.whole_network().eval()
        for parameter, learns in zip(network.parameters(), session.given_to_learn, strict=True):
            parameter.requires_grad_(learns)
        return TrainingResult(
            folder=self.folder.path,
            model=network,
            history=tuple(session.history),
            is_finished=session.epochs_done >= session.config.epochs,
        )
