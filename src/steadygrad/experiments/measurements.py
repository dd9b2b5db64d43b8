"""What was measured of networks: counts and seconds, which outlive the networks themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from steadygrad.errors import CheckpointError
from steadygrad.experiments.network import Network
from steadygrad.json_file import read_object, required
from steadygrad.versions import library_versions

__all__ = ["MEASUREMENTS", "Answer", "Measurements", "Question"]

MEASUREMENTS = "measurements.json"
"""What the file is called in the folder of an experiment's results."""

Question: TypeAlias = Mapping[str, Any]
"""All that decides an answer but the network, as JSON can hold it."""

Answer: TypeAlias = Mapping[str, Any]
"""What was measured, as JSON can hold it."""


@dataclass(frozen=True)
class _Measured:
    """What was asked of one network.

    label: what people call it; date: of the measurement, UTC, ISO 8601; versions: of steadygrad,
        torch and Python, then.
    """

    label: str
    date: str
    versions: Mapping[str, str]
    answers: list[tuple[Question, Answer]] = field(default_factory=list)

    def find(self, question: Question) -> Answer | None:
        return next((answer for asked, answer in self.answers if asked == question), None)

    def add(self, question: Question, answer: Answer) -> None:
        if self.find(question) is None:
            self.answers.append((question, answer))


class Measurements:
    """Answers by network, a network being known by the digest of its configuration."""

    def __init__(self) -> None:
        self._networks: dict[str, _Measured] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def has(self, network: Network) -> bool:
        """Return whether anything is known of a network."""
        return network.digest in self._networks

    def find(self, network: Network, question: Question) -> Answer | None:
        """Return the answer to a question; None, if that was not asked of the network."""
        known = self._networks.get(network.digest)
        return None if known is None else known.find(question)

    def note(self, network: Network, question: Question, answer: Answer) -> None:
        """Add an answer, measured now; one that is known already is not added."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._of(network, now, library_versions()).add(question, answer)

    def take_over(self, network: Network, question: Question, earlier: "Measurements") -> Answer:
        """Add and return an earlier answer, with its date and versions.

        Raises: CheckpointError, if there is none.
        """
        answer = earlier.find(network, question)
        if answer is None:
            raise CheckpointError(
                f"{network.label} is not trained here, and what was measured of it earlier does "
                "not answer what is asked now: train it, by running without --keep-measured"
            )
        source = earlier._networks[network.digest]
        self._of(network, source.date, source.versions).add(question, answer)
        return answer

    def _of(self, network: Network, date: str, versions: Mapping[str, str]) -> _Measured:
        """Return what is known of a network; if nothing is, a record of that date."""
        fresh = _Measured(network.label, date, versions)
        return self._networks.setdefault(network.digest, fresh)

    def to_json(self) -> dict[str, Any]:
        """Return one JSON object: {"networks": {digest: label, date, versions, answers}}."""
        return {
            "networks": {
                digest: {
                    "label": known.label,
                    "date": known.date,
                    "versions": dict(known.versions),
                    "answers": [
                        {"question": dict(question), "answer": dict(answer)}
                        for question, answer in known.answers
                    ],
                }
                for digest, known in self._networks.items()
            }
        }

    @classmethod
    def of_results(cls, folder: Path) -> "Measurements":
        """Return what was kept in the folder of an experiment's results; nothing, if it is new.

        Raises:
            CheckpointError: the file is damaged.
        """
        return cls.read(folder / MEASUREMENTS)

    @classmethod
    def read(cls, path: Path) -> "Measurements":
        """Return what a file holds that was made of ``to_json``; nothing, without a file.

        Raises: CheckpointError, if it is damaged.
        """
        read = cls()
        if path.is_file():
            networks = required(read_object(path), "networks", dict, str(path))
            for digest in networks:
                read._networks[digest] = _measured(networks, digest, str(path))
        return read


def _measured(networks: Mapping[str, Any], digest: str, where: str) -> _Measured:
    values = required(networks, digest, dict, where)
    known = _Measured(
        required(values, "label", str, where),
        required(values, "date", str, where),
        required(values, "versions", dict, where),
    )
    for entry in required(values, "answers", list, where):
        if not isinstance(entry, dict):
            raise CheckpointError(f"{where} is damaged: expected an object, got {entry!r}")
        known.add(required(entry, "question", dict, where), required(entry, "answer", dict, where))
    return known
