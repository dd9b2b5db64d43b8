"""Fetching a known set from the Hugging Face hub, without a long wait where there is none."""

import contextlib
from pathlib import Path
from typing import Any

from steadygrad.datasets.registry import DatasetEntry
from steadygrad.errors import DatasetError

__all__ = ["download_hint", "fetch_from_hub"]

ANSWER_SECONDS = 5.0
"""How long the hub may take to answer before there is said to be no way to it."""


def download_hint(entry: DatasetEntry, data_dir: Path | None = None) -> str:
    """Say in half a sentence what to download and where to put it."""
    target = (data_dir or Path("DIR")) / entry.name
    option = "" if data_dir else " and give --data-dir DIR (data_dir)"
    if entry.hub_id is None:
        return (
            f"put its train-*.parquet and test-*.parquet into {target}{option}; "
            "it is on no hub to download it from"
        )
    return (
        f"download {entry.hub_folder}/train-*.parquet and test-*.parquet of "
        f"https://huggingface.co/datasets/{entry.hub_id} into {target}{option}"
    )


def fetch_from_hub(entry: DatasetEntry) -> Path:
    """Return the folder of the set's parquet files, downloaded if the hub's own cache lacks them.

    Raises: DatasetError, if the set is on no hub or the hub cannot be reached, saying what to
        download and where to put it.
    """
    if entry.hub_id is None or entry.hub_folder is None:
        raise DatasetError(f"no copy of {entry.name} is given: {download_hint(entry)}")
    patterns = [f"{entry.hub_folder}/{split}-*.parquet" for split in ("train", "test")]
    try:
        return _snapshot(entry.hub_id, patterns) / entry.hub_folder
    except Exception as error:
        # What the hub's client raises has changed with the HTTP library below it (requests, httpx)
        # and not all of it has a common base: whatever it is, the set did not arrive.
        raise DatasetError(
            f"cannot get {entry.name} from the Hugging Face hub ({type(error).__name__}): "
            f"{download_hint(entry)}"
        ) from error


def _snapshot(hub_id: str, patterns: list[str]) -> Path:
    # Not datasets.load_dataset: without a network it retries for 23 seconds, and it keeps a second,
    # converted copy of every set. The files it would read are the ones we read from a local folder.
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {"repo_type": "dataset", "allow_patterns": patterns}
    with contextlib.suppress(LocalEntryNotFoundError):
        found = Path(snapshot_download(hub_id, local_files_only=True, **wanted))
        if all(any(found.glob(pattern)) for pattern in patterns):
            return found
    # Without a network this fails within the time limit; the download alone would take longer to.
    HfApi().dataset_info(hub_id, timeout=ANSWER_SECONDS)
    return Path(snapshot_download(hub_id, **wanted))
