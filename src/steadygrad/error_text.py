"""Other people's errors inside our sentences."""

__all__ = ["described"]


def described(error: BaseException) -> str:
    """Return an error's class and the first line of its text, for use inside a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()[:200]}" if lines else type(error).__name__
