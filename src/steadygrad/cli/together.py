"""The processes of a launcher, connected while a command measures: they divide its images."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from steadygrad.distributed import Ranks
from steadygrad.errors import ProcessError
from steadygrad.evaluation.divided_batches import images_divided
from steadygrad.training.process_group import device_of_process, processes_together

__all__ = ["PATIENCE", "measured_together"]

PATIENCE = timedelta(days=7)
"""How long a process waits for one that is alive: the others wait for the main one's diagnostics,
and for whoever attacks the last batch. One that has ended is noticed at once."""


@contextmanager
def measured_together(device: str, kept: str = "") -> Iterator[Ranks]:
    """Connect the processes inside the block and divide the images of evaluations among them.

    Args:
        device: "auto", "cpu", "cuda", ...
        kept: what is left to go on from when another process fails, for its sentence.

    Raises:
        ProcessError: another process failed or was ended.
    """
    try:
        with processes_together(device_of_process(device), PATIENCE), images_divided() as ranks:
            yield ranks
    except ProcessError as error:
        if not kept:
            raise
        raise type(error)(f"{error}; {kept}") from error
