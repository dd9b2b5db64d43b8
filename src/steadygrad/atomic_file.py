"""Files that are either whole or not there."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from steadygrad.errors import OutputError

__all__ = ["write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: a reader, or a crash, sees the old file or the new one.

    The bytes go to a hidden file in the same folder, of this thread alone, and reach the disk
    before the rename: of two processes that write one path, the later rename wins, whole. A link
    stays one: the file that it points to is replaced. A device or a pipe is written to.
    Raises: OutputError, if that cannot be done; the old file then stands as it was.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(path: Path, data: bytes) -> None:
    """Put a new file in the place of a path that is no link.

    Raises: OSError.
    """
    owner = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{owner}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError:
        # Where the parent is a file or is closed to us, unlink raises too.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
