"""Optional libraries: one sentence says how to install what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from steadygrad.errors import MissingExtraError

__all__ = ["extra"]


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a failed import inside the block into a sentence with the command that mends it.

    Args:
        name: the extra of this package that installs the library, as in ``steadygrad[data]``.

    Raises:
        MissingExtraError: a library that is imported in the block is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "a library").partition(".")[0]
        if missing == "steadygrad":
            raise
        raise MissingExtraError(
            f"{missing} is not installed; install it with pip install 'steadygrad[{name}]'"
        ) from error
