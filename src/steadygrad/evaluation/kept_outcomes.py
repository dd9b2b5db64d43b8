"""Which images survived in the batches attacked so far: what a killed run need not redo."""

import hashlib
import json
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError
from steadygrad.json_file import read_object

__all__ = ["KeptOutcomes"]


class KeptOutcomes(MutableMapping[str, Tensor]):
    """A mapping from a batch's name to its outcome, bool (n,), for ``accuracy_curve``.

    It lies in ``folder`` under the digest of ``question``: whatever decides the outcomes (weights,
    attack, images, seed), as JSON can hold it. Every change is written at once and whole; a
    damaged file counts as none.
    """

    def __init__(self, folder: Path, question: Mapping[str, Any]) -> None:
        said = json.dumps(question, sort_keys=True)
        self.path = folder / f"unfinished-{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
        self._outcomes: dict[str, str] = {}
        try:
            kept = read_object(self.path)
        except CheckpointError:
            kept = {}
        if all(isinstance(text, str) and set(text) <= {"0", "1"} for text in kept.values()):
            self._outcomes = kept

    def __getitem__(self, name: str) -> Tensor:
        return torch.tensor([letter == "1" for letter in self._outcomes[name]], dtype=torch.bool)

    def __setitem__(self, name: str, survives: Tensor) -> None:
        self._outcomes[name] = "".join("1" if value else "0" for value in survives.tolist())
        self._write()

    def __delitem__(self, name: str) -> None:
        del self._outcomes[name]
        self._write()

    def __iter__(self) -> Iterator[str]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def discard(self) -> None:
        """Remove the file: what it led to is written elsewhere."""
        self._outcomes = {}
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, (json.dumps(self._outcomes, indent=1) + "\n").encode())
