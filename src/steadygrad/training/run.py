"""From a configuration to a trained network in a run folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from steadygrad.datasets import load_dataset
from steadygrad.default_tensors import DefaultTensors
from steadygrad.distributed import agree_on, current_ranks, main_rank_first
from steadygrad.errors import HyperparameterError, ProcessError
from steadygrad.folder_lock import only_writer
from steadygrad.time_budget import TimeBudget
from steadygrad.training.config import TrainingConfig
from steadygrad.training.given_data import GivenImages, LoaderImages, TrainingImages
from steadygrad.training.interruption import Interruption
from steadygrad.training.loop import HeldOut, TrainingLoop, TrainingResult
from steadygrad.training.process_group import device_of_process, processes_together
from steadygrad.training.progress import Progress, SilentProgress
from steadygrad.training.run_folder import RunFolder, run_config
from steadygrad.training.session import TrainingSession

__all__ = ["train"]


def train(
    config: TrainingConfig,
    out: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    minutes: float | None = None,
    on_begin: Callable[[], None] | None = None,
) -> TrainingResult:
    """Train as ``config`` says, in the run folder ``out``.

    Checkpoints are written after every epoch and, within one, when ``checkpoint_seconds`` have
    passed. The folder is written, and with ``overwrite`` emptied, after the first step: what is
    refused leaves no trace.
    SIGINT (Ctrl-C) and SIGTERM end the run after the step in progress with a checkpoint.
    Equal configurations give equal numbers on the same machine and number of threads; on a CPU a
    resumed run equals an uninterrupted one to the bit.

    Under ``torchrun`` or ``accelerate launch``, or where ``torch.distributed`` is initialised, the
    processes share every batch of ``batch_size`` images and end where one would, to rounding;
    dropout alone draws other numbers. The main process alone writes and reports. The run may be
    resumed with another number of processes.

    resume: go on with the run in ``out``. Only ``epochs``, where local copies of the data lie,
        where a file or folder was moved to under its name, ``checkpoint_seconds``, ``shard``,
        ``trackers`` and the name of the same kind of ``device`` may differ; a finished run given
        more epochs equals one that had them from the start, unless its schedule depends on them. A
        run killed between its first step and its first checkpoint starts again.
    overwrite: replace the run in ``out``, its evaluations included.
    progress: ``console_progress()``, one's own ``Progress``, or None for silence.
    minutes: time after which the run ends as if interrupted, above 0; None sets no limit.
    on_begin: called in the main process, before the folder is written, when nothing more can be
        refused: for what has to be kept beside the run.
    Raises: OutputError, if ``out`` is not empty (without ``resume`` or ``overwrite``), holds the
        run that the network comes from, cannot be written, or another process is writing into it;
        CheckpointError, if there is nothing to resume or it does not fit; DatasetError;
        NonFiniteLossError, if the loss becomes infinite or NaN: the last good checkpoint is kept;
        ProcessError, if another process of the run failed or was ended.
    """
    budget = TimeBudget(minutes)
    folder, progress = RunFolder(Path(out)), progress or SilentProgress()
    if resume and overwrite:
        raise HyperparameterError("expected resume or overwrite, not both")
    if overwrite:
        folder.refuse_to_replace_source_of(config.model)
    device = device_of_process(config.device)
    try:
        with processes_together(device):
            return _trained(
                config,
                folder,
                device,
                progress,
                budget,
                resume=resume,
                overwrite=overwrite,
                on_begin=on_begin,
            )
    except ProcessError as error:
        kept = "no checkpoint was written before"
        if folder.state.exists():
            kept = f"the last checkpoint is kept in {folder.path}; resume the run to go on"
        raise type(error)(f"{error}; {kept}") from error


def _trained(
    config: TrainingConfig,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
    budget: TimeBudget,
    *,
    resume: bool,
    overwrite: bool,
    on_begin: Callable[[], None] | None,
) -> TrainingResult:
    ranks = current_ranks()
    if not ranks.is_main:
        progress = SilentProgress()
    elif resume:
        run_config(folder.path)  # where there is no run, no folder is made
    elif not overwrite:
        folder.refuse_unless_empty()
    with ExitStack() as stack:
        if ranks.is_main:
            for tracker in config.trackers:
                tracker.check()
            stack.enter_context(only_writer(folder.path))
        stack.enter_context(DefaultTensors(torch.float32, torch.device("cpu")).lent())
        state = None
        if ranks.is_main and resume:
            state = folder.state_to_resume(config)
        elif ranks.is_main and not overwrite:
            folder.refuse_unless_empty()  # again: another process may have been quicker
        state = agree_on(state)
        source = None
        if ranks.is_main and state is not None:
            source = folder.architecture_to_resume(config.model)
        source = agree_on(source)
        with main_rank_first():  # it fills the caches
            train_set, held_out = _load_data(config, device)
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(_repeatable_convolutions())
        session = TrainingSession(config, train_set, device, source)
        if state is not None:
            session.restore(state)
        for note in _without_effect(config):
            progress.message(note)
        if state is not None and state.threads != torch.get_num_threads():
            progress.message(
                f"the run was on {state.threads} threads and is now on "
                f"{torch.get_num_threads()}: the last bits of its numbers may differ"
            )
        stack.callback(progress.finish)
        interruption = stack.enter_context(Interruption(budget))

        def begin() -> None:
            if on_begin is not None:
                on_begin()
            if resume:
                folder.update_config(config)
            else:
                folder.create(config, device)

        return TrainingLoop(session, held_out, folder, progress, interruption, begin).run()


@contextmanager
def _repeatable_convolutions() -> Iterator[None]:
    """Let cuDNN give equal numbers each time, and leave what else the user chose, such as TF32."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


def _without_effect(config: TrainingConfig) -> Iterator[str]:
    """Yield what ``accelerate launch`` was asked for and the configuration does not say."""
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision != "no" and config.precision == "float32":
        yield (
            f"mixed precision {precision} of accelerate launch has no effect: the run is in "
            "float32; precision bf16 is a setting of the training"
        )
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true" and not config.shard:
        yield (
            "FSDP of accelerate launch has no effect: every process holds the whole network; "
            "shard is a setting of the training"
        )


def _load_data(config: TrainingConfig, device: torch.device) -> tuple[TrainingImages, HeldOut]:
    if isinstance(config.data, GivenImages):
        given = {name: images.to(device) for name, images in config.data.sets.items()}
        if "train" not in given:
            config.data.load("train")
        for images in given.values():
            if isinstance(images, LoaderImages) and current_ranks().count > 1:
                images.refuse_parts()
        return _limited(given["train"], config), HeldOut(validation=given.get("validation"))
    load = partial(load_dataset, config.data)
    size = config.validation_size
    train_set = load("train", limit=config.limit_train, validation_size=size).to(device)

    def held_out(split: Literal["validation", "test"], **part: Any) -> TrainingImages:
        return load(split, **part).with_channels(train_set.input_shape[0]).to(device)

    return train_set, HeldOut(
        validation=held_out("validation", validation_size=size) if size else None,
        test=held_out("test", limit=config.test_images) if config.test_images else None,
    )


def _limited(given: TrainingImages, config: TrainingConfig) -> TrainingImages:
    """Return the part of given training images that a run wants."""
    for setting in ("validation_size", "test_images"):
        if wanted := getattr(config, setting):
            raise HyperparameterError(
                f"expected {setting} 0 for images that a program gave, got {wanted}: give "
                "validation images along with them"
            )
    if config.limit_train is None:
        return given
    if isinstance(given, LoaderImages):
        raise HyperparameterError(
            f"expected no limit_train for a loader, which has its own length, got "
            f"{config.limit_train}"
        )
    return given.first(config.limit_train)
