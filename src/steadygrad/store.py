"""One store for answers: what was measured, kept under the digest of everything that decides it.

A *key* says all that decides an answer (weights, images, attack, seed, ...), as JSON can hold it.
The answer is values, as JSON can hold them, and tensors. Every answer is one file, written whole or
not at all: ``DIGEST.json``, or ``DIGEST.safetensors`` with the same record in its metadata if there
are tensors. Several processes may share a folder: the last one to write an answer wins, and readers
see one whole answer or the other.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.json_file import parse_object, read_object, required
from steadygrad.tensor_file import read_tensors, write_tensors

__all__ = [
    "Answer",
    "Growing",
    "Key",
    "Store",
    "key_digest",
    "make_folder",
    "read_answer",
    "read_answers",
    "write_answer",
    "write_answers",
]

Key = Mapping[str, Any]
"""What decides a stored value: JSON that the value's file is found by."""

_METADATA = "steadygrad"
"""One entry only: safetensors writes several in no fixed order; equal answers give equal bytes."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What was measured, and all that decided it.

    Args:
        key: what decides the answer, as JSON can hold it.
        values: the answer's numbers and texts, as JSON can hold them.
        tensors: its tensors by name, on the CPU once read.
    """

    key: Key
    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)


class Store:
    """A folder of answers, in which each is found by its key.

    Args:
        folder: made when the first answer is put; None keeps nothing.
        notify: told one sentence about every damaged file, which then counts as not there; None
            warns.
    """

    def __init__(
        self, folder: Path | str | None, notify: Callable[[str], None] | None = None
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self._notify = _warn if notify is None else notify

    def get(self, key: Key) -> Answer | None:
        """Return the answer kept under ``key``; None without one.

        Raises:
            HyperparameterError: JSON cannot hold the key.
        """
        for path in self._files(key):
            answer = self._read(path)
            if answer is None:
                continue
            if _plain(answer.key) == _plain(key):
                return answer
            self.reject(path, "it holds another answer than its name says")
        return None

    def put(
        self,
        key: Key,
        values: Mapping[str, Any],
        tensors: Mapping[str, Tensor] | None = None,
        *,
        label: str = "",
    ) -> Answer:
        """Keep an answer under ``key``, in place of an earlier one, and return it.

        Args:
            key: what decides the answer.
            values: what was measured.
            tensors: the answer's tensors by name.
            label: begins the file's name, for people; it decides nothing.

        Raises:
            HyperparameterError: JSON cannot hold the key or the values.
            OutputError: the folder or the file cannot be written.
        """
        answer = Answer(key, values, dict(tensors or {}))
        if self.folder is not None:
            make_folder(self.folder)
            path = self.folder / _file_name(answer, label)
            write_answer(path, answer)
            for earlier in self._files(key):
                if earlier != path:
                    earlier.unlink(missing_ok=True)
        return answer

    def discard(self, key: Key) -> None:
        """Remove the answer kept under ``key``, if there is one."""
        for path in self._files(key):
            path.unlink(missing_ok=True)

    def growing(self, key: Key) -> "Growing":
        """Return named tensors that are kept under ``key`` and written at every change."""
        return Growing(self, key)

    def __iter__(self) -> Iterator[Answer]:
        """Yield every answer that can be read, in the order of the files' names."""
        files = [] if self.folder is None else sorted(self.folder.glob("*"))
        for path in files:
            if path.suffix in (".json", ".safetensors") and not path.name.startswith("."):
                answer = self._read(path)
                if answer is not None:
                    yield answer

    def reject(self, path: Path, reason: str) -> None:
        """Tell of a file that is there and cannot be used."""
        self._notify(f"{path} is damaged and is not used: {reason}")

    def path(self, key: Key) -> Path | None:
        """Return the file in which an answer is kept; None without one."""
        return next(iter(self._files(key)), None)

    def _files(self, key: Key) -> list[Path]:
        digest = key_digest(key)[:16]
        if self.folder is None:
            return []
        return [
            path
            for suffix in ("json", "safetensors")
            for path in sorted(self.folder.glob(f"*{digest}.{suffix}"))
        ]

    def _read(self, path: Path) -> Answer | None:
        try:
            return read_answer(path)
        except CheckpointError as error:
            # Another process may have discarded it since it was listed.
            if path.exists():
                self.reject(path, str(error))
            return None


class Growing(MutableMapping[str, Tensor]):
    """Tensors by name under one key, such as outcomes of the batches attacked so far.

    Every change is written at once and whole: what a killed run has done need not be done again.
    """

    def __init__(self, store: Store, key: Key) -> None:
        self._store, self._key = store, key
        found = store.get(key)
        self._tensors = {} if found is None else dict(found.tensors)

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        self._tensors[name] = tensor
        self._store.put(self._key, {}, self._tensors, label="unfinished")

    def __delitem__(self, name: str) -> None:
        del self._tensors[name]
        self._store.discard(self._key)
        if self._tensors:
            self._store.put(self._key, {}, self._tensors, label="unfinished")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def discard(self) -> None:
        """Remove everything: what it led to is kept elsewhere."""
        self._tensors = {}
        self._store.discard(self._key)


def key_digest(key: Key) -> str:
    """Return the SHA-256 of a key: equal keys, equal digests, whatever the order of their entries.

    Raises:
        HyperparameterError: JSON cannot hold the key.
    """
    return hashlib.sha256(_text(key, sort=True).encode()).hexdigest()


def read_answer(path: Path) -> Answer:
    """Return the answer in one file.

    Raises:
        CheckpointError: the file cannot be read, is damaged or holds no answer.
    """
    if path.suffix == ".json":
        return _answer(read_object(path), {}, str(path))
    tensors, metadata = read_tensors(path)
    if _METADATA not in metadata:
        raise CheckpointError(f"{path} holds tensors, but no answer of steadygrad")
    return _answer(parse_object(metadata[_METADATA], str(path)), tensors, str(path))


def write_answer(path: Path, answer: Answer) -> None:
    """Write one answer; JSON, or safetensors if the name ends so; atomic.

    Raises:
        HyperparameterError: JSON cannot hold the key or the values.
        OutputError: the file cannot be written.
    """
    record = {"key": _plain(answer.key), "values": _plain(answer.values)}
    if path.suffix == ".json":
        write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
    else:
        write_tensors(path, answer.tensors, {_METADATA: json.dumps(record)})


def read_answers(path: Path) -> list[Answer]:
    """Return the answers of a file of ``write_answers``, in its order.

    Raises:
        CheckpointError: the file cannot be read or is damaged.
    """
    entries = required(read_object(path), "answers", list, str(path))
    for entry in entries:
        if not isinstance(entry, dict):
            raise CheckpointError(f"{path} is damaged: expected an object, got {entry!r}")
    return [_answer(entry, {}, str(path)) for entry in entries]


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Write many answers without tensors to one JSON file, such as one that is published; atomic.

    Raises:
        HyperparameterError: JSON cannot hold a key or values.
        OutputError: the file cannot be written.
    """
    entries = [{"key": _plain(one.key), "values": _plain(one.values)} for one in answers]
    write_atomically(path, (json.dumps({"answers": entries}, indent=1) + "\n").encode())


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and see that it can be written: before work, not after.

    Raises:
        OutputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {folder}: it is read-only here")


def _answer(record: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Answer:
    key, values = (required(record, name, dict, where) for name in ("key", "values"))
    return Answer(key, values, tensors)


def _file_name(answer: Answer, label: str) -> str:
    said = re.sub(r"[^\w.-]+", "-", label).strip("-.")
    suffix = "safetensors" if answer.tensors else "json"
    return f"{said}{'-' if said else ''}{key_digest(answer.key)[:16]}.{suffix}"


def _plain(values: Mapping[str, Any]) -> Any:
    """Return what JSON makes of the values: lists for tuples, texts for keys."""
    return json.loads(_text(values))


def _text(values: Mapping[str, Any], *, sort: bool = False) -> str:
    try:
        return json.dumps(values, sort_keys=sort)
    except (TypeError, ValueError) as error:
        raise HyperparameterError(
            f"expected what JSON can hold, got {values!r}: {error}"
        ) from error


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)
