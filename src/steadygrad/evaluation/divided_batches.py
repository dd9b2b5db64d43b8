"""Evaluations that several processes share: each attacks some batches, and all learn every result.

What is divided are whole batches, the very ones that a single process would attack one after the
other, with the same random draws: so the results are the same to the last bit, whatever an attack
draws, and on any number of processes.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from steadygrad.distributed import (
    Ranks,
    agree_on,
    alone,
    current_ranks,
    gather_values,
    same_as_main_rank,
)
from steadygrad.errors import SteadygradError

__all__ = [
    "dividing_ranks",
    "each_batch",
    "from_main_rank",
    "images_divided",
    "same_model_everywhere",
]

Result = TypeVar("Result")

_DIVIDED: ContextVar[bool] = ContextVar("divided", default=False)


@contextmanager
def images_divided() -> Iterator[Ranks]:
    """Divide the batches of evaluations inside the block among the processes.

    Without it, each process evaluates by itself, also where ``torch.distributed`` is initialised.
    Every process has to make the same calls with the same models, images and settings inside, and
    each gets the whole result. Of the same number of threads, it is that of one process to the bit.

    Yields:
        The processes; write files where ``is_main``.
    """
    token = _DIVIDED.set(True)
    try:
        yield dividing_ranks()
    finally:
        _DIVIDED.reset(token)


def dividing_ranks() -> Ranks:
    """Return the processes among which batches are divided; one, where that was not declared."""
    return current_ranks() if _DIVIDED.get() else Ranks(0, 1)


def each_batch(
    count: int,
    work: Callable[[int], Result],
    *,
    report: Callable[[int, Result], None] | None = None,
    is_over: Callable[[], bool] | None = None,
) -> list[Result]:
    """Return what ``work`` makes of each batch by its number, in order, in every process.

    The first error in the order of the batches is raised in every process.

    Args:
        count: of batches.
        work: from a batch's number to a result that can be pickled; its tensors on the CPU.
        report: told the number and result of each batch, in order.
        is_over: asked before each batch but the first; where it says so the rest is left out. Of
            several processes the main one is asked, before each round of batches.
    """
    ranks, results = dividing_ranks(), list[Result]()
    tell = report or _silent
    for first in range(0, count, ranks.count):
        if first and is_over is not None and _agreed(is_over, ranks):
            break
        numbers = range(first, min(first + ranks.count, count))
        found = [work(first)] if ranks.count == 1 else _round(numbers, work, ranks)
        for number, result in zip(numbers, found, strict=True):
            results.append(result)
            tell(number, result)
    return results


def from_main_rank(work: Callable[[], Result]) -> Result:
    """Return in every process what ``work`` returns in the main one, which does it alone.

    Where it raises, every process raises the same error. The result must be picklable.
    """
    ranks = dividing_ranks()
    if ranks.count == 1:
        return work()
    own = _attempted(work) if ranks.is_main else None
    found = agree_on(own)
    result: Result = _opened(own if ranks.is_main else found)
    return result


def same_model_everywhere(*models: object) -> None:
    """Give every process the main one's weights: of networks that are built at random, too."""
    if dividing_ranks().count > 1:
        for model in models:
            if isinstance(model, nn.Module):
                same_as_main_rank((*model.parameters(), *model.buffers()))


@dataclass(frozen=True)
class _Done:
    result: Any


@dataclass(frozen=True)
class _Failed:
    error: Exception

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with the error, or with one of the same text where it cannot be pickled."""
        with suppress(Exception):  # whatever a stranger's class may raise
            if type(pickle.loads(pickle.dumps(self.error))) is type(self.error):
                return (_Failed, (self.error,))
        if isinstance(self.error, SteadygradError):
            return (_Failed, (SteadygradError(str(self.error)),))
        return (_Failed, (RuntimeError(f"{type(self.error).__name__}: {self.error}"),))


def _round(numbers: range, work: Callable[[int], Result], ranks: Ranks) -> list[Result]:
    own: _Done | _Failed | None = None
    if ranks.rank < len(numbers):
        own = _attempted(lambda: work(numbers[ranks.rank]))
    gathered = gather_values(own)
    gathered[ranks.rank] = own  # an error of one's own with its traceback
    return [_opened(found) for found in gathered[: len(numbers)]]


def _attempted(work: Callable[[], Any]) -> _Done | _Failed:
    try:
        with alone():
            return _Done(work())
    except Exception as error:
        return _Failed(error)


def _opened(found: _Done | _Failed | None) -> Any:
    if isinstance(found, _Failed):
        raise found.error
    assert found is not None
    return found.result


def _agreed(is_over: Callable[[], bool], ranks: Ranks) -> bool:
    return agree_on(is_over() if ranks.is_main else False)


def _silent(*_: object) -> None:
    """Stand in for a listener that nobody gave."""
