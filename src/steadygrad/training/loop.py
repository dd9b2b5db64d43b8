"""The training loop."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from steadygrad.datasets import ImageDataset, batches, load_dataset
from steadygrad.errors import CheckpointError, HyperparameterError, NonFiniteLossError
from steadygrad.training.config import TrainingConfig
from steadygrad.training.interruption import Interruption
from steadygrad.training.metrics import EpochMetrics, StepMetrics
from steadygrad.training.model_file import save_model
from steadygrad.training.progress import Progress, SilentProgress
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.seeds import derive_seed
from steadygrad.training.session import TrainingSession
from steadygrad.training.tensorboard_log import TensorBoardLog
from steadygrad.training.training_state import read_state, write_state
from steadygrad.training.validation import validation_accuracy

__all__ = ["TrainingResult", "train"]

_STEPS_BETWEEN_READS = 50
"""Steps an accelerator may run ahead before their losses are read; reading makes it wait."""


@dataclass(frozen=True)
class TrainingResult:
    """What a call of ``train`` leaves behind.

    model: the latest network, in eval mode; history: metrics of every epoch done so far, earlier
    sessions included; is_finished: False if the run was interrupted and can be resumed.
    """

    folder: Path
    model: nn.Module
    history: tuple[EpochMetrics, ...]
    is_finished: bool


def train(
    config: TrainingConfig,
    out: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train as ``config`` says, in the run folder ``out``.

    Checkpoints are written after every epoch and, within one, when ``checkpoint_seconds`` have
    passed. SIGINT (Ctrl-C) and SIGTERM end the run after the step in progress with a checkpoint.
    Equal configurations give equal numbers on the same machine and number of threads; on a CPU a
    resumed run equals an uninterrupted one to the bit.

    resume: go on with the run in ``out``. Only ``epochs``, ``data_dir``, ``checkpoint_seconds`` and
        the name of the same kind of ``device`` may differ; a finished run given more epochs equals
        one that had them from the start. A run killed before its first checkpoint starts again.
    overwrite: replace the run in ``out``, its evaluations included.
    progress: ``console_progress()``, one's own ``Progress``, or None for silence.
    Raises: OutputError, if ``out`` is not empty (without ``resume`` or ``overwrite``) or cannot be
        written; CheckpointError, if there is nothing to resume or it does not fit; DatasetError;
        NonFiniteLossError, if the loss becomes infinite or NaN: the last good checkpoint is kept.
    """
    folder, progress = RunFolder(Path(out)), progress or SilentProgress()
    if resume and overwrite:
        raise HyperparameterError("expected resume or overwrite, not both")
    device = _resolve_device(config.device)
    state = None
    if resume:
        folder.continue_with(config)
        state = read_state(folder.state) if folder.state.exists() else None
        if state is not None and state.epochs_done + bool(state.steps_done) > config.epochs:
            raise CheckpointError(
                f"the run in {folder.path} is already past {config.epochs} epochs: "
                f"{state.epochs_done} and {state.steps_done} steps are done"
            )
    elif not overwrite:
        folder.refuse_unless_empty()
    train_set, validation_set = _load_data(config, device)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        )
        session = TrainingSession(config, train_set, device)
        if not resume:
            folder.create(config)
        if state is not None:
            session.restore(state)
            if state.threads != torch.get_num_threads():
                progress.message(
                    f"the run began on {state.threads} threads, this one uses "
                    f"{torch.get_num_threads()}: the last bits of its numbers may differ"
                )
        stack.callback(progress.finish)
        interruption = stack.enter_context(Interruption())
        return _Loop(session, validation_set, folder, progress, interruption).run()


class _Loop:
    """Steps, epochs and checkpoints of one call of ``train``."""

    def __init__(
        self,
        session: TrainingSession,
        validation_set: ImageDataset | None,
        folder: RunFolder,
        progress: Progress,
        interruption: Interruption,
    ) -> None:
        self.session, self.validation_set = session, validation_set
        self.folder, self.progress, self.interruption = folder, progress, interruption
        self.unread: list[tuple[Tensor, int]] = []
        self.steps_between_reads = 1 if session.device.type == "cpu" else _STEPS_BETWEEN_READS
        self.clock = self.last_checkpoint = time.monotonic()

    def run(self) -> TrainingResult:
        session, epochs = self.session, self.session.config.epochs
        log = TensorBoardLog(self.folder.tensorboard, session.history)
        try:
            if session.history or session.steps_done:
                self._write_outputs()  # a kill may have come between the state and the others
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
            while session.epochs_done < epochs and self._epoch(log):
                pass
        finally:
            log.close()
        if session.epochs_done < epochs:
            self.progress.message(
                f"stopped in epoch {session.epochs_done + 1}, after step {session.steps_done}; "
                f"resume the run in {self.folder.path} to go on"
            )
        return self._result()

    def _epoch(self, log: TensorBoardLog) -> bool:
        """Do what remains of an epoch; return whether to go on."""
        session, config = self.session, self.session.config
        session.model.train()
        order = derive_seed(config.seed, f"order of epoch {session.epochs_done + 1}")
        for images, labels in batches(
            session.train, config.batch_size, shuffle_seed=order, start=session.steps_done
        ):
            numbers = session.step(images, labels)
            self.unread.append((numbers, len(images)))
            session.steps_done += 1
            if len(self.unread) >= self.steps_between_reads:
                self._read()
            if self.interruption.requested:
                self._checkpoint()
                return False
            if time.monotonic() - self.last_checkpoint >= config.checkpoint_seconds:
                self._checkpoint()
        self._read()
        self._count_time()
        self._refuse_divergence()
        accuracy = None
        if self.validation_set is not None:
            accuracy = validation_accuracy(session.model, self.validation_set)
        metrics = session.end_epoch(accuracy)
        self._write_checkpoint()
        log.write(metrics)
        self.progress.epoch(metrics)
        return not self.interruption.requested

    def _read(self) -> None:
        """Fetch the numbers of the latest steps from the device, and stop at a non-finite one."""
        if not self.unread:
            return
        session = self.session
        rows = torch.stack([numbers for numbers, _ in self.unread]).tolist()
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
                raise self._divergence(
                    f"the loss is not finite at epoch {session.epochs_done + 1}, step {offset}: "
                    f"data loss {step.data_loss:g}, penalty {step.penalty:g}"
                )
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
        if not session.has_finite_weights:
            raise self._divergence(
                f"the weights are not finite after epoch {session.epochs_done + 1}, "
                f"step {session.steps_done}"
            )

    def _write_checkpoint(self) -> None:
        write_state(self.folder.state, self.session.capture())
        self._write_outputs()
        self.clock = self.last_checkpoint = time.monotonic()

    def _write_outputs(self) -> None:
        # After the state, which alone can restore both.
        save_model(self.folder.model, self.session.model, self.session.spec)
        self.folder.write_metrics(self.session.history)

    def _count_time(self) -> None:
        now = time.monotonic()
        self.session.totals.seconds += now - self.clock
        self.clock = now

    def _divergence(self, what: str) -> NonFiniteLossError:
        kept = "no checkpoint was written before"
        if self.folder.state.exists():
            kept = f"the last good checkpoint is kept in {self.folder.path}"
        return NonFiniteLossError(f"{what}; {kept}; try a smaller learning rate or strength")

    def _result(self) -> TrainingResult:
        session = self.session
        return TrainingResult(
            folder=self.folder.path,
            model=session.model.eval(),
            history=tuple(session.history),
            is_finished=session.epochs_done >= session.config.epochs,
        )


def _load_data(
    config: TrainingConfig, device: torch.device
) -> tuple[ImageDataset, ImageDataset | None]:
    data_dir = Path(config.data_dir) if config.data_dir is not None else None
    train_set = load_dataset(
        config.dataset,
        "train",
        data_dir=data_dir,
        limit=config.limit_train,
        validation_size=config.validation_size,
    ).to(device)
    if config.validation_size == 0:
        return train_set, None
    validation_set = load_dataset(
        config.dataset, "validation", data_dir=data_dir, validation_size=config.validation_size
    )
    return train_set, validation_set.to(device)


def _resolve_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise HyperparameterError(f"device {name!r} is not available here") from error
    return device
