"""Durations for reading."""

__all__ = ["seconds_text"]


def seconds_text(seconds: float | None) -> str:
    """Return a duration for reading: "1.9 s", "3 min 20 s", "2.1 h"; None as a dash."""
    if seconds is None:
        return "–"
    if seconds < 100:
        digits = 0 if seconds >= 9.95 else 1 if seconds >= 0.995 else 2
        return f"{seconds:.{digits}f}\u00a0s"
    if seconds < 2 * 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}\u00a0min" + (f" {rest}\u00a0s" if minutes < 10 and rest else "")
    return f"{seconds / 3600:.1f}\u00a0h"
