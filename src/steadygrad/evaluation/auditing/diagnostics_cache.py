"""Finished diagnostics on disk, next to the attacks they rest on."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadygrad.atomic_file import write_atomically
from steadygrad.evaluation.auditing.cache import make_folder
from steadygrad.evaluation.masking import Finding, Verdict

__all__ = ["Diagnosis", "DiagnosticsCache"]


@dataclass(frozen=True)
class Diagnosis:
    """Findings and verdict, how long they took and when they were done."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    seconds: float
    created: str


class DiagnosticsCache:
    """One JSON file per configuration in a folder; None keeps nothing.

    notify: told one sentence when a file turns out to be damaged; it counts as not there.
    """

    def __init__(self, folder: Path | None, notify: Callable[[str], None]) -> None:
        self.folder, self.notify = folder, notify

    def find(self, configuration: Mapping[str, Any]) -> Diagnosis | None:
        """Return what was stored for a configuration."""
        path = self._path(configuration)
        if path is None or not path.exists():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            verdict = record["verdict"]
            return Diagnosis(
                findings=tuple(Finding(**finding) for finding in record["findings"]),
                verdict=Verdict(
                    level=verdict["level"],
                    summary=verdict["summary"],
                    causes=tuple(verdict["causes"]),
                    reasons=tuple(verdict["reasons"]),
                ),
                seconds=float(record["seconds"]),
                created=str(record["created"]),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            self.notify(f"{path} is damaged; the diagnostics run again ({type(error).__name__})")
            return None

    def store(self, configuration: Mapping[str, Any], diagnosis: Diagnosis) -> None:
        """Write a diagnosis under its configuration; atomic.

        Raises: OutputError.
        """
        path = self._path(configuration)
        if path is None:
            return
        make_folder(path.parent)
        text = json.dumps(dataclasses.asdict(diagnosis), indent=2) + "\n"
        write_atomically(path, text.encode())

    def _path(self, configuration: Mapping[str, Any]) -> Path | None:
        if self.folder is None:
            return None
        text = json.dumps(configuration, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return self.folder / f"diagnostics-{digest[:12]}.json"
