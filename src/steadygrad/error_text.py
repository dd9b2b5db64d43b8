"""Other people's errors inside our sentences."""

from steadygrad.errors import SteadygradError

__all__ = ["described", "reason"]


def described(error: BaseException) -> str:
    """Return an error's class and the first line of its text, for use inside a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()[:200]}" if lines else type(error).__name__


def reason(error: BaseException) -> str:
    """Return the first line of a sentence of ours; of another error what ``described`` says."""
    return str(error).splitlines()[0] if isinstance(error, SteadygradError) else described(error)
