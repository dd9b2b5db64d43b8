"""From a configuration to a trained network in a run folder."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch

from steadygrad.datasets import load_dataset
from steadygrad.devices import resolve_device
from steadygrad.errors import HyperparameterError
from steadygrad.training.config import TrainingConfig
from steadygrad.training.given_data import GivenImages, TrainingImages
from steadygrad.training.interruption import Interruption
from steadygrad.training.loop import HeldOut, TrainingLoop, TrainingResult
from steadygrad.training.progress import Progress, SilentProgress
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.session import TrainingSession

__all__ = ["train"]


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

    resume: go on with the run in ``out``. Only ``epochs``, where local copies of the data lie,
        ``checkpoint_seconds`` and the name of the same kind of ``device`` may differ; a finished
        run given more epochs equals one that had them from the start, unless its schedule depends
        on them. A run killed before its first checkpoint starts again.
    overwrite: replace the run in ``out``, its evaluations included.
    progress: ``console_progress()``, one's own ``Progress``, or None for silence.
    Raises: OutputError, if ``out`` is not empty (without ``resume`` or ``overwrite``) or cannot be
        written; CheckpointError, if there is nothing to resume or it does not fit; DatasetError;
        NonFiniteLossError, if the loss becomes infinite or NaN: the last good checkpoint is kept.
    """
    folder, progress = RunFolder(Path(out)), progress or SilentProgress()
    if resume and overwrite:
        raise HyperparameterError("expected resume or overwrite, not both")
    device = resolve_device(config.device)
    state = None
    if resume:
        state = folder.state_to_resume(config)
    elif not overwrite:
        folder.refuse_unless_empty()
    train_set, held_out = _load_data(config, device)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
        )
        session = TrainingSession(config, train_set, device)
        if state is not None:
            session.restore(state)
        if resume:
            folder.update_config(config)
        else:
            folder.create(config)
        if state is not None and state.threads != torch.get_num_threads():
            progress.message(
                f"the run was on {state.threads} threads and is now on "
                f"{torch.get_num_threads()}: the last bits of its numbers may differ"
            )
        stack.callback(progress.finish)
        interruption = stack.enter_context(Interruption())
        return TrainingLoop(session, held_out, folder, progress, interruption).run()


def _load_data(config: TrainingConfig, device: torch.device) -> tuple[TrainingImages, HeldOut]:
    if isinstance(config.data, GivenImages):
        given = {name: images.to(device) for name, images in config.data.sets.items()}
        if "train" not in given:
            config.data.load("train")
        return given["train"], HeldOut(validation=given.get("validation"))
    load = partial(load_dataset, config.data)
    size = config.validation_size
    train_set = load("train", limit=config.limit_train, validation_size=size).to(device)
    held_out = HeldOut(
        validation=load("validation", validation_size=size).to(device) if size else None,
        test=load("test", limit=config.test_images).to(device) if config.test_images else None,
    )
    return train_set, held_out
