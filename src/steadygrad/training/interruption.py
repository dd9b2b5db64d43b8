"""Ctrl-C, or a limit of time, as a request: the step finishes, a checkpoint is written, we stop."""

import signal
import threading
from types import FrameType, TracebackType

from steadygrad.time_budget import TimeBudget

__all__ = ["Interruption"]


class Interruption:
    """Within its ``with`` block, SIGINT and SIGTERM set ``requested`` instead of raising.

    budget: when it is spent, that is a request too.

    A second signal gets the handler that was there before, so an impatient Ctrl-C still works.
    Outside the main thread, where Python allows no handlers, it does nothing.
    """

    def __init__(self, budget: TimeBudget | None = None) -> None:
        self._budget = budget or TimeBudget()
        self._is_asked = False
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    @property
    def requested(self) -> bool:
        """Whether someone asked to stop, or time is over."""
        return self._is_asked or self._budget.is_spent()

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
