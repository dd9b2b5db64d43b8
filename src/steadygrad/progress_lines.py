"""How far long work is, in plain lines: for logs and pipes, where no bar can be drawn."""

import time
from collections.abc import Callable

from steadygrad.duration_text import seconds_text

__all__ = ["ProgressLines"]

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0
"""Seconds of silence before the first line, and between two lines of long work."""


class ProgressLines:
    """Says "title: 40 %, about 12 s left" now and then, and nothing of what is quickly done.

    title: of the work; say: is given each line; done: what was done before, as ``__call__`` counts.
    clock: seconds, for tests.
    """

    def __init__(
        self,
        title: str,
        say: Callable[[str], None],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._say, self._clock, self._first = title, say, clock, done
        self._began = self._said = clock()
        self._pause = FIRST_PAUSE

    def __call__(self, done: int, total: int, more: str = "") -> None:
        """Take notice that ``done`` of ``total`` are done, and say so if it is time.

        more: what else to say, at the end of the line.
        """
        now = self._clock()
        if now - self._said < self._pause or not self._first < done < total:
            return
        self._said, self._pause = now, min(2 * self._pause, LONGEST_PAUSE)
        left = (now - self._began) / (done - self._first) * (total - done)
        about = seconds_text(float(f"{left:.2g}")).replace("\u00a0", " ")
        self._say(f"{self._title}: {100 * done / total:.0f} %, about {about} left{more}")

    def heard(self) -> None:
        """Take notice that the user was just told how far the work is, in another way."""
        self._said = self._clock()
