"""One writer for a folder: the second process is refused in a sentence."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from steadygrad.errors import OutputError
from steadygrad.store import make_folder

__all__ = ["LOCK_NAME", "only_writer"]

LOCK_NAME = ".writing"
"""A hidden file in the folder; the system drops the lock on it when its process ends."""

_SECONDS_BETWEEN_TRIES = 0.05


@contextmanager
def only_writer(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Let no other process write into the folder meanwhile; make it if it is missing.

    Where the file system knows no locks, nothing is locked.

    Args:
        folder: the folder.
        patience: seconds to wait for another process to end.

    Raises:
        OutputError: another process is writing into it, or it cannot be written.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    path = folder / LOCK_NAME
    descriptor = _opened(path, time.monotonic() + patience)
    try:
        yield
    finally:
        # Removed while it is still held: whoever waits for it finds it gone and makes another.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        with suppress(OSError):
            for each in made:
                each.rmdir()  # only if nothing was written


def _opened(path: Path, until: float) -> int:
    """Return the descriptor of the locked file, for which another process may let us wait."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # its last owner has just removed the folder that it had made
            make_folder(path.parent)
            continue
        except OSError as error:
            raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
        if not _locked(descriptor):
            os.close(descriptor)
            if time.monotonic() < until:
                time.sleep(_SECONDS_BETWEEN_TRIES)
                continue
            raise OutputError(
                f"another process is writing into {path.parent}; wait until it has ended, or "
                "choose another folder"
            )
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:  # its last owner has just removed it
            pass
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # this file system knows no locks
            return True
        return True
