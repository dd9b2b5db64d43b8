"""A folder of adversarial examples, in which those made before are found again."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from steadygrad.errors import CheckpointError
from steadygrad.evaluation.adversarial_examples import (
    AdversarialExamples,
    load_adversarial_examples,
    save_adversarial_examples,
)

__all__ = ["ExampleStore"]


class ExampleStore:
    """Files ``<source>-<attack>-<digest>.safetensors``, one for each source and setting.

    The digest is of all that decides the examples, so that a file is either these or others; the
    rest of the name is for people, and a source may be called something else next time.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def find(self, decisive: dict[str, Any]) -> AdversarialExamples | None:
        """Return the examples made with just these settings, None if there are none.

        decisive: as ``AdversarialExamples.decisive``.
        Raises: CheckpointError, if their file is damaged or holds others than its name says.
        """
        digest = _digest(decisive)
        for path in sorted(self.folder.glob(f"*-{digest}.safetensors")):
            examples = load_adversarial_examples(path)
            if _digest(examples.decisive) != digest:
                raise CheckpointError(
                    f"{path} holds other examples than its name says; remove it to make them again"
                )
            return examples
        return None

    def keep(self, examples: AdversarialExamples) -> Path:
        """Write the examples and return their file.

        Raises: OutputError.
        """
        said = f"{Path(examples.source).name}-{examples.attack['name']}"
        name = re.sub(r"[^\w.-]+", "-", said).strip("-.")
        path = self.folder / f"{name}-{_digest(examples.decisive)}.safetensors"
        save_adversarial_examples(path, examples)
        return path


def _digest(decisive: dict[str, Any]) -> str:
    said = json.dumps(decisive, sort_keys=True).encode()
    return hashlib.sha256(said).hexdigest()[:16]
