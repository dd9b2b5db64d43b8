"""The hardenings of a search, what each has to keep, and which of them is the best."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from steadygrad.atomic_file import write_atomically
from steadygrad.attacks.ball import Norm
from steadygrad.errors import HyperparameterError
from steadygrad.hardening.fine_tuning import Hardened
from steadygrad.reports.figures import save_figure
from steadygrad.reports.figures.trade_off import trade_off_figure
from steadygrad.reports.wording import percent, radius_text

__all__ = ["CleanDrop", "Searched", "Trial"]


@dataclass(frozen=True)
class CleanDrop:
    """What a search must keep: clean accuracy may fall by at most so many points.

    points: of accuracy in percent, at least 0, measured on validation images.
    """

    points: float

    def __post_init__(self) -> None:
        if not 0 <= self.points <= 100:
            raise HyperparameterError(
                f"expected a clean drop from 0 to 100 points, got {self.points}"
            )

    @classmethod
    def parse(cls, text: str) -> "CleanDrop":
        """Return the target that a text such as "clean-drop<=1" says.

        Raises:
            HyperparameterError: it says none.
        """
        found = re.fullmatch(r"\s*clean-drop\s*<=\s*(\d+\.?\d*|\.\d+)\s*", text)
        if found is None:
            raise HyperparameterError(f"expected a target such as clean-drop<=1, got {text!r}")
        return cls(float(found[1]))

    def is_met_by(self, trial: "Trial") -> bool:
        """Return whether a hardening lost no more than that."""
        return trial.drop <= self.points


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One hardening of a search.

    Attributes:
        penalty_radius: of the penalty, in the search's norm.
        clean, robust: accuracies of the hardened network on validation images, in [0, 1]; the
            second under PGD at the search's radius.
        drop: points of clean accuracy that it cost.
        folder: everything of this hardening.
    """

    penalty_radius: float
    clean: float
    robust: float
    drop: float
    folder: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class Searched:
    """All trials by radius of the penalty, and the most robust of those that meet the target.

    eps, norm: the radius that the networks are hardened for.
    best, hardened: None if no trial meets it. The second is what ``harden`` returned for the best.
    """

    eps: float
    norm: Norm = "linf"
    target: CleanDrop
    trials: tuple[Trial, ...]
    best: Trial | None
    hardened: Hardened | None

    def markdown(self) -> str:
        """Return the trials as a table."""
        lines = [
            f"# Hardening for eps {radius_text(self.eps, self.norm)}, at most "
            f"{self.target.points:g} points of clean accuracy",
            "",
            "Measured on the validation images that also chose the best radius: before you quote a "
            "number, measure on other images.",
            "",
            "| radius of the penalty | clean | lost (points) | robust at eps | folder |",
            "|---|---|---|---|---|",
        ]
        for trial in self.trials:
            mark = " **best**" if trial is self.best else ""
            radius = radius_text(trial.penalty_radius, self.norm)
            lines.append(
                f"| {radius} | {percent(trial.clean)} | {trial.drop:.1f} | "
                f"{percent(trial.robust)} | {trial.folder.name}{mark} |"
            )
        lines += ["", "![robustness against clean accuracy](search.png)", ""]
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write ``search.json``, ``search.md`` and ``search.png``.

        Raises:
            OutputError: a file cannot be written.
        """
        record = {
            "eps": self.eps,
            "norm": self.norm,
            "target": f"clean-drop<={self.target.points:g}",
            "best": None if self.best is None else self.best.folder.name,
            "trials": [vars(trial) | {"folder": trial.folder.name} for trial in self.trials],
        }
        write_atomically(folder / "search.json", (json.dumps(record, indent=2) + "\n").encode())
        write_atomically(folder / "search.md", self.markdown().encode())
        points = [(100 * t.clean, 100 * t.robust, t is self.best) for t in self.trials]
        save_figure(trade_off_figure(points), folder / "search.png")
