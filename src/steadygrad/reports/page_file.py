"""An HTML page on disk: whole, in a folder that is made for it."""

from pathlib import Path

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError

__all__ = ["write_page"]


def write_page(path: Path, text: str) -> None:
    """Write a page to the file ``path``; an older one is replaced only by the complete new one.

    Raises: OutputError, if ``path`` is a folder or cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"expected an HTML file to write, but {path} is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    write_atomically(path, text.encode())
