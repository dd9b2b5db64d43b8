"""A battery run entry by entry, reusing what is on disk and shrinking batches when memory ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch
from torch import Tensor

import steadygrad
from steadygrad.evaluation.auditing.attack_run import (
    AttackFailedError,
    AttackRun,
    Target,
    family_of,
    run_attack,
)
from steadygrad.evaluation.auditing.entry import BatteryEntry
from steadygrad.evaluation.auditing.fitness.check import spread_rows
from steadygrad.evaluation.divided_batches import dividing_ranks, from_main_rank
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.memory import is_out_of_memory
from steadygrad.store import Key, Store

__all__ = ["Campaign"]

_NO_TIME = "no time was left"


@dataclass(eq=False)
class Campaign:
    """Runs the entries of a battery one after the other and keeps the score.

    clean_correct: bool (n,), which examples are correct without attack.
    identity: what a stored result must share besides the attack's own settings, as JSON.
    batch_size: shrinks by half, for this entry and all after it, when memory runs out.
    progress: told ``(name, done, total)`` in examples; notify: told a sentence.
    is_over: whether the time for attacks is up; a batch that has begun is finished, and what an
        attack did by then counts.
    runs, created: what came out so far, and when, in the battery's order.
    untested: entries that could not be run, with the reason.
    late: names of the entries that the time limit left out or cut short.
    """

    target: Target
    clean_correct: Tensor
    identity: dict[str, Any]
    batch_size: int
    store: Store
    progress: Callable[[str, int, int], None]
    notify: Callable[[str], None]
    is_over: Callable[[], bool] = lambda: False
    runs: list[AttackRun] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def run_all(self, entries: Sequence[BatteryEntry]) -> None:
        """Run every entry; afterwards ``runs`` and ``untested`` tell of all of them.

        Raises: OutputError, if a result cannot be stored; what memory errors even a single image
            meets.
        """
        for entry in entries:
            if bool(self.runs) and from_main_rank(self.is_over):
                self._leave_out(entry, _NO_TIME)
                continue
            standing = self._rows(entry)
            rows = standing[spread_rows(len(standing), entry.limit or len(standing))]
            if len(rows) == 0:
                self.untested.append(f"{entry.name}: no example remains to attack")
                continue
            if len(rows) < len(standing):
                self.untested.append(
                    f"{entry.name}: run on {len(rows)} of {len(standing)} examples it could have "
                    "been run on"
                )
            try:
                self._run(entry, rows)
            except AttackFailedError as error:
                self.notify(f"{entry.name} could not be run: {error}")
                self.untested.append(f"{entry.name}: {error}")

    def _leave_out(self, entry: BatteryEntry, why: str) -> None:
        self.late.append(entry.name)
        self.untested.append(f"{entry.name}: {why}")

    def _rows(self, entry: BatteryEntry) -> Tensor:
        open_rows = self.clean_correct
        if entry.scope == "survivors":
            open_rows = open_rows & ~self.broken
        return open_rows.nonzero().squeeze(1)

    @property
    def broken(self) -> Tensor:
        """Which examples any attack so far misled, bool (n,)."""
        broken = torch.zeros_like(self.clean_correct)
        for run in self.runs:
            broken |= run.outcome.broken
        return broken

    def tried(self, entry: BatteryEntry, rows: Tensor, eps: float) -> AttackRun:
        """Return what an attack does to the examples at ``rows`` at a radius, off the record.

        Raises: AttackFailedError; as ``run_all``.
        """
        return self._obtained(entry, rows, replace(self.target, eps=eps))[0]

    def _run(self, entry: BatteryEntry, rows: Tensor) -> None:
        run, created = self._obtained(entry, rows, self.target)
        self.runs.append(run)
        self.created.append(created)
        if run.outcome.outside:
            self.untested.append(
                f"{entry.name}: {run.outcome.outside} of its {len(rows)} results left the ball or "
                "the pixel range and do not count"
            )

    def _obtained(self, entry: BatteryEntry, rows: Tensor, target: Target) -> tuple[AttackRun, str]:
        """Return a run and when it was made, from the store if it is there."""
        while True:
            key = self._key(entry, rows, target)
            found = from_main_rank(partial(_kept, self.store, key, entry))
            if found is not None:
                self.progress(entry.name, len(rows), len(rows))
                return found
            try:
                run = self._attack(entry, rows, target)
            except Exception as error:
                if not is_out_of_memory(error) or self.batch_size == 1:
                    raise
                self.batch_size //= 2
                self.notify(f"{entry.name} ran out of memory; trying {self.batch_size} at a time")
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            created = datetime.now(UTC).isoformat(timespec="seconds")
            met = int(run.outcome.attacked.sum())
            if met == len(rows):  # what time cut short is no result to go on from
                if dividing_ranks().is_main:
                    _keep(self.store, key, run, created)
            else:
                self._leave_out(entry, f"{_NO_TIME} after {met} of {len(rows)} images")
            return run, created

    def _attack(self, entry: BatteryEntry, rows: Tensor, target: Target) -> AttackRun:
        done = 0

        def report(count: int) -> None:
            nonlocal done
            done += count
            self.progress(entry.name, done, len(rows))

        self.progress(entry.name, 0, len(rows))
        return run_attack(target, entry, rows, self.batch_size, report, self.is_over)

    def _key(self, entry: BatteryEntry, rows: Tensor, target: Target) -> Key:
        """Return all that decides an outcome; what the entry is called does not."""
        return {
            "asked": "outcome of an attack",
            **self.identity,
            "attack": entry.description,
            "draws": entry.draws,
            "eps": target.eps,
            "norm": target.norm,
            "seed": target.seed,
            "batch_size": self.batch_size,
            "rows": rows.tolist(),
            "shown": target.shown_rows.tolist(),
            "steadygrad": steadygrad.__version__,
        }


_COUNTS = ("queries", "gradients", "outside", "batch_size", "seed")


def _keep(store: Store, key: Key, run: AttackRun, created: str) -> None:
    outcome = run.outcome
    store.put(
        key,
        {
            "counts": {name: getattr(outcome, name) for name in _COUNTS},
            "seconds": outcome.seconds,
            "created": created,
        },
        {
            "attacked": outcome.attacked,
            "broken": outcome.broken,
            "shown_rows": run.shown_rows,
            "shown": run.shown,
        },
        label=outcome.name,
    )


def _kept(store: Store, key: Key, entry: BatteryEntry) -> tuple[AttackRun, str] | None:
    """Return the run kept under a key, called as the entry is, and when it was made."""
    answer = store.get(key)
    if answer is None:
        return None
    try:
        attacked, broken = (answer.tensors[name] for name in ("attacked", "broken"))
        if attacked.dtype != torch.bool or broken.dtype != torch.bool:
            raise ValueError("attacked and broken are no truth values")
        if attacked.shape != broken.shape or bool((broken & ~attacked).any()):
            raise ValueError("attacked and broken do not fit together")
        counts = {name: int(answer.values["counts"][name]) for name in _COUNTS}
        measured = family_of(counts["queries"], counts["gradients"], int(attacked.sum()))
        outcome = AttackOutcome(
            name=entry.name,
            family=entry.family or measured,
            attack=entry.description,
            eps=float(key["eps"]),
            norm=key["norm"],
            attacked=attacked,
            broken=broken,
            seconds=float(answer.values["seconds"]),
            scope=entry.scope,
            **counts,
        )
        run = AttackRun(outcome, answer.tensors["shown_rows"], answer.tensors["shown"])
        return run, str(answer.values["created"])
    except (KeyError, TypeError, ValueError) as error:
        path = store.path(key)
        if path is not None:
            store.reject(path, f"{type(error).__name__}: {error}")
        return None
