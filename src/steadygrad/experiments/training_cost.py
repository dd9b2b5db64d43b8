"""What training costs: optimizer steps, times the seconds that one took where it was measured."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from steadygrad.attacks import ATTACKS, PGD, Mixture, NoisyFGSM
from steadygrad.datasets import dataset_entry, is_dataset_name
from steadygrad.errors import CheckpointError
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.models import MODELS
from steadygrad.penalties import NORMS, PENALTIES, DoubleBackprop, SquaredNormPenalty, Standardized
from steadygrad.training import TrainingConfig

__all__ = [
    "PlannedNetwork",
    "estimated_seconds",
    "measured_model",
    "objective_name",
    "plan",
    "step_count",
    "step_seconds",
    "step_seconds_record",
    "total_seconds",
]


@dataclass(frozen=True)
class PlannedNetwork:
    """A network of a plan: whether it is trained, and its seconds on one core.

    seconds: what a trained one took, otherwise the estimate; None, if its step was never measured.
    """

    network: Network
    is_trained: bool
    seconds: float | None


def objective_name(config: TrainingConfig) -> str:
    """Return what decides a step's cost besides model and batch, such as "l1, frozen phase"."""
    parts = []
    if config.attack is not None:
        parts.append(_attack_name(config.attack))
    if config.penalty is not None:
        parts.append(_penalty_name(config.penalty))
        if getattr(config.penalty, "backend", DoubleBackprop()) != DoubleBackprop():
            parts.append("finite_difference")
        if getattr(config.model, "second_order", "exact") == "frozen_phase":
            parts.append("frozen phase")
    if config.update_similarity:
        parts.append("update similarity")
    name = ", ".join(parts) or "plain"
    return name if config.precision == "float32" else f"{name}, {config.precision}"


def _attack_name(attack: Any) -> str:
    """Return an attack's name, with what its cost is proportional to."""
    if isinstance(attack, Mixture):
        return f"mixture({_attack_name(attack.attack)}, {attack.fraction:g})"
    steps = f"({attack.steps})" if isinstance(attack, PGD) else ""
    return f"{ATTACKS.name_of(attack)}{steps}"


def _penalty_name(penalty: Any) -> str:
    """Return under what ``step_seconds.json`` has a penalty: a squared norm by its norm."""
    if isinstance(penalty, Standardized):
        return _penalty_name(penalty.penalty)
    if isinstance(penalty, SquaredNormPenalty):
        return NORMS.name_of(penalty.norm) or "squared-norm"
    return PENALTIES.name_of(penalty) or type(penalty).__name__


def measured_model(config: TrainingConfig) -> str:
    """Return under what ``step_seconds.json`` has the steps of a model."""
    return f"{MODELS.name_of(config.model)}, batch {config.batch_size}"


def step_count(config: TrainingConfig) -> int | None:
    """Return the optimizer steps of a training; None for a folder of one's own."""
    if not is_dataset_name(config.data_title):
        return None
    size = dataset_entry(config.data_title).train_size - config.validation_size
    images = min(size, size if config.limit_train is None else config.limit_train)
    return config.epochs * -(-images // config.batch_size)


def step_seconds(config: TrainingConfig) -> float | None:
    """Return processor seconds of one step, from ``step_seconds.json``; None if it has none.

    Training on PGD(k) that was not measured counts as k + 1 plain steps, on N-FGSM as two: each
    takes one forward and one backward pass. With a penalty in every k-th step it is the mean of
    both kinds.
    """
    if config.penalty_every > 1:
        always = replace(config, penalty_every=1)
        penalised, plain = (
            step_seconds(each) for each in (always, replace(always, penalty=None, ramp=None))
        )
        if penalised is None or plain is None:
            return None
        return plain + (penalised - plain) / config.penalty_every
    known: Mapping[str, float] = step_seconds_record()["seconds"].get(measured_model(config), {})
    name = objective_name(config)
    attack = config.attack
    plain = known.get(objective_name(replace(config, attack=None)))
    attack_steps = {PGD: getattr(attack, "steps", 0), NoisyFGSM: 1}.get(type(attack))
    if name not in known and attack_steps and not config.penalty and plain is not None:
        return (attack_steps + 1) * plain
    return known.get(name)


def estimated_seconds(config: TrainingConfig) -> float | None:
    """Return what a training is expected to take on one core; None if a step is unknown.

    Of the processor that ``step_seconds.json`` names, without what is measured after each epoch.
    """
    steps, seconds = step_count(config), step_seconds(config)
    return None if steps is None or seconds is None else steps * seconds


def plan(
    networks: Sequence[Network],
    store: NetworkStore,
    damaged: Callable[[str], None] | None = None,
) -> tuple[PlannedNetwork, ...]:
    """Return what is known of each network: read from the store once.

    damaged: is told of a network whose files cannot be read, and which then counts as not trained;
        None raises that CheckpointError.
    """
    planned = []
    for network in networks:
        seconds = estimated_seconds(network.config)
        try:
            is_trained = store.has(network)
            if is_trained:
                seconds = sum(epoch.seconds for epoch in store.metrics(network))
        except CheckpointError as error:
            if damaged is None:
                raise
            damaged(str(error))
            is_trained = False
        planned.append(PlannedNetwork(network, is_trained, seconds))
    return tuple(planned)


def total_seconds(planned: Sequence[PlannedNetwork]) -> float | None:
    """Return the seconds of all; None, if those of one are unknown."""
    known = [entry.seconds for entry in planned if entry.seconds is not None]
    return sum(known) if len(known) == len(planned) else None


@cache
def step_seconds_record() -> Mapping[str, Any]:
    """Return what ``benchmarks/step_seconds.py`` wrote: the date, the processor, the seconds."""
    text = files("steadygrad.experiments").joinpath("step_seconds.json").read_text("utf-8")
    record: dict[str, Any] = json.loads(text)
    return record
