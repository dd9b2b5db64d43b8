"""The parquet files of a set on the Hugging Face hub, without a long wait where there is none."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from steadygrad.datasets.parquet import ParquetTable
from steadygrad.datasets.parquet_shards import find_shards
from steadygrad.errors import DatasetError
from steadygrad.extras import extra

__all__ = ["HubSet"]

ANSWER_SECONDS = 5.0
"""How long the hub may take to answer before there is said to be no way to it."""
ADDRESS = "hf://datasets/"
"""What precedes OWNER/NAME in the address of a file that is read without being kept."""
CONVERTED = "refs/convert/parquet"
"""The branch in which the hub itself keeps sets of other kinds as parquet files, as of now."""
UNNAMED = "default"
"""What the hub calls the configuration of a set that names none."""


@dataclass(frozen=True)
class HubSet:
    """A set on the hub.

    Args:
        hub_id: OWNER/NAME.
        config: the configuration, or folder of files, where there are several; None for the only
            one.
        revision: a branch, tag or commit; None for the newest.
        remedy: ends the sentence that says that the set cannot be had.
        label_column: as ``ParquetTable``'s.
        image_column: as ``ParquetTable``'s.
        title: the set's name.
        class_names: as ``ParquetTable``'s.
    """

    hub_id: str
    config: str | None
    revision: str | None
    remedy: str
    title: str
    class_names: tuple[str, ...] | None = None
    image_column: str | None = None
    label_column: str = "label"

    def table(self, split: str) -> ParquetTable:
        """Return the set from the hub's own cache, downloaded first if that lacks the split.

        Raises:
            DatasetError: the hub cannot be reached, or holds no such set.
        """
        with extra("data"):
            from huggingface_hub import snapshot_download

        kept = self._kept()
        if kept is not None and split in kept.splits:
            return kept
        files, revision = self._files()
        try:
            root = snapshot_download(
                self.hub_id, repo_type="dataset", revision=revision, allow_patterns=files
            )
        except Exception as error:
            raise self._refusal(error) from error
        return self._table(Path(root), files)

    def stream(self) -> ParquetTable:
        """Return the set as files on the hub, of which nothing is kept.

        Raises:
            DatasetError: the hub cannot be reached, or holds no such set.
        """
        files, revision = self._files()
        at = f"@{revision.replace('/', '%2F')}" if revision else ""
        return self._table(f"{ADDRESS}{self.hub_id}{at}", files)

    def _kept(self) -> ParquetTable | None:
        """Return the set as the hub's cache holds it, if that is whole.

        A named configuration may be one of several, the others never downloaded: unless it is asked
        for by name, the hub has to say whether it is the only one.
        """
        with extra("data"):
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import LocalEntryNotFoundError

        for revision in self._revisions:
            # ValueError: no name that a set could have; asking the hub for it says so.
            with contextlib.suppress(LocalEntryNotFoundError, DatasetError, ValueError):
                root = Path(
                    snapshot_download(
                        self.hub_id, repo_type="dataset", revision=revision, local_files_only=True
                    )
                )
                files = [path.relative_to(root).as_posix() for path in root.rglob("*.parquet")]
                if self.config is not None or set(map(_config, files)) == {UNNAMED}:
                    return self._table(root, self._chosen(files))
        return None

    @property
    def _revisions(self) -> tuple[str | None, ...]:
        """Where the files may lie: the hub converts the newest revision alone."""
        return (None, CONVERTED) if self.revision is None else (self.revision,)

    def _files(self) -> tuple[list[str], str | None]:
        """Return the set's parquet files on the hub, and the revision that holds them."""
        for revision in self._revisions:
            if files := self._chosen(self._listing(revision)):
                return files, revision
        of_revision = "" if self.revision is None else f"revision {self.revision} of "
        raise DatasetError(
            f"expected parquet files in {of_revision}{self.hub_id} on the hub, got none"
        )

    def _listing(self, revision: str | None) -> list[str]:
        with extra("data"):
            from huggingface_hub import HfApi

        try:
            # Without a network this fails within the time limit; a download would take longer to.
            info = HfApi().dataset_info(self.hub_id, revision=revision, timeout=ANSWER_SECONDS)
        except Exception as error:
            # What the hub's client raises has changed with the HTTP library below it (requests,
            # httpx), and not all of it has a common base: whatever it is, the set did not arrive.
            raise self._refusal(error) from error
        return [entry.rfilename for entry in info.siblings or []]

    def _chosen(self, files: Sequence[str]) -> list[str]:
        """Return the parquet files of the configuration asked for, or of the only one."""
        by_config: dict[str, list[str]] = {}
        for file in files:
            if file.endswith(".parquet"):
                by_config.setdefault(_config(file), []).append(file)
        if self.config is None and len(by_config) > 1:
            raise DatasetError(
                f"expected config, one of {', '.join(sorted(by_config))}, for {self.hub_id}, "
                "which holds several sets"
            )
        if self.config is not None:
            return by_config.get(self.config, [])
        return next(iter(by_config.values()), [])

    def _table(self, root: Path | str, files: Sequence[str]) -> ParquetTable:
        folders = {_folder(file) for file in files}
        inside = {file[len(_folder(file)) :].lstrip("/"): file for file in files}
        place = f"{root}/{folders.pop()}" if len(folders) == 1 else str(root)
        shards = find_shards(list(inside), place.rstrip("/"), self.title)
        return ParquetTable(
            {
                split: [f"{root}/{inside[name]}" for name in names]
                for split, names in shards.items()
            },
            self.title,
            place.rstrip("/"),
            class_names=self.class_names,
            image_column=self.image_column,
            label_column=self.label_column,
        )

    def _refusal(self, error: Exception) -> DatasetError:
        return DatasetError(
            f"cannot get {self.title} from the Hugging Face hub ({type(error).__name__}): "
            f"{self.remedy}"
        )


def _folder(file: str) -> str:
    """Return the folder of a configuration's files: without the split's, where it has its own."""
    parents = PurePosixPath(file).parts[:-1]
    is_converted = PurePosixPath(file).stem.isdigit()  # <configuration>/<split>/0000.parquet
    return "/".join(parents[:-1] if is_converted else parents)


def _config(file: str) -> str:
    folder = _folder(file)
    return UNNAMED if folder in ("", "data") else folder.removeprefix("data/")
