"""A clock for tests of limits of time."""

__all__ = ["TickingClock"]


class TickingClock:
    """Every look at it takes a second."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now
