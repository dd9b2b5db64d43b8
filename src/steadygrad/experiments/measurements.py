"""What was measured of networks: counts and seconds, which outlive the networks themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from steadygrad.attacks import modern_description
from steadygrad.errors import CheckpointError
from steadygrad.experiments.network import Network
from steadygrad.json_file import required
from steadygrad.store import Answer as Entry
from steadygrad.store import read_answers, write_answers
from steadygrad.versions import library_versions

__all__ = ["MEASUREMENTS", "Answer", "Measurements", "Question"]

MEASUREMENTS = "measurements.json"
"""What the file is called in the folder of an experiment's results."""

Question: TypeAlias = Mapping[str, Any]
"""All that decides an answer but the network, as JSON can hold it."""

Answer: TypeAlias = Mapping[str, Any]
"""What was measured, as JSON can hold it."""

NETWORK = "network"
"""Under what the key of an answer has the digest of the network's configuration."""

WHEN = {"asked": "when, and by what versions"}
"""The question that a network's label, date and versions answer; it comes before its others."""


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

    def count_beside(self, networks: Iterable[Network]) -> int:
        """Return of how many networks beside these something is known."""
        return len(self._networks.keys() - {network.digest for network in networks})

    def keep_beside(self, networks: Iterable[Network], earlier: "Measurements") -> None:
        """Add all that is known ``earlier`` of networks beside these."""
        asked = {network.digest for network in networks}
        for digest, known in earlier._networks.items():
            if digest not in asked:
                self._networks.setdefault(digest, known)

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
                f"{network.label} is not trained here, and its earlier measurements lack what is "
                "needed now; run without --keep-measured to train it"
            )
        source = earlier._networks[network.digest]
        self._of(network, source.date, source.versions).add(question, answer)
        return answer

    def _of(self, network: Network, date: str, versions: Mapping[str, str]) -> _Measured:
        """Return what is known of a network; if nothing is, a record of that date."""
        fresh = _Measured(network.label, date, versions)
        return self._networks.setdefault(network.digest, fresh)

    def entries(self) -> list[Entry]:
        """Return everything as answers of ``steadygrad.store``, network by network."""
        found = []
        for digest, known in self._networks.items():
            about = {"label": known.label, "date": known.date, "versions": dict(known.versions)}
            found.append(Entry({NETWORK: digest, **WHEN}, about))
            found += [
                Entry({NETWORK: digest, **question}, answer) for question, answer in known.answers
            ]
        return found

    def dated_as(self, earlier: "Measurements") -> None:
        """Give networks of which nothing new is known the date and versions of what is earlier."""
        for digest, known in self._networks.items():
            before = earlier._networks.get(digest)
            if before is not None and all(pair in before.answers for pair in known.answers):
                self._networks[digest] = replace(known, date=before.date, versions=before.versions)

    def write(self, path: Path) -> None:
        """Write everything to one file; atomic.

        Raises: OutputError, if it cannot be written.
        """
        write_answers(path, self.entries())

    @classmethod
    def of_results(cls, folder: Path) -> "Measurements":
        """Return what was kept in the folder of an experiment's results; nothing, if it is new.

        Raises:
            CheckpointError: the file is damaged.
        """
        return cls.read(folder / MEASUREMENTS)

    @classmethod
    def read(cls, path: Path) -> "Measurements":
        """Return what ``write`` wrote; nothing, without a file.

        Raises: CheckpointError, if it is damaged.
        """
        read, where = cls(), str(path)
        for entry in read_answers(path) if path.is_file() else ():
            question = dict(entry.key)
            digest = required(question, NETWORK, str, where)
            del question[NETWORK]
            if "attack" in question:
                attack = required(question, "attack", dict, where)
                question["attack"] = modern_description(attack)
            if question == WHEN:
                about = entry.values
                read._networks[digest] = _Measured(
                    required(about, "label", str, where),
                    required(about, "date", str, where),
                    required(about, "versions", dict, where),
                )
            elif digest in read._networks:
                read._networks[digest].add(question, entry.values)
            else:
                raise CheckpointError(
                    f"{where} is damaged: a measurement comes before the date of its network"
                )
        return read
