"""Before and after hardening: clean accuracy, curve, worst case, paired comparison, cost."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import PGD
from steadygrad.attacks.ball import Norm
from steadygrad.datasets import ImageDataset
from steadygrad.evaluation import (
    AccuracyCurve,
    AccuracyPoint,
    AuditResult,
    PairedComparison,
    accuracy_curve,
    audit,
    paired_comparison,
)
from steadygrad.evaluation.auditing.fitness import UnfitError
from steadygrad.hardening.new_activation import activation_note
from steadygrad.hardening.seen_images import seen_note
from steadygrad.markdown_text import markdown_text
from steadygrad.models.smooth import SmoothActivation
from steadygrad.reports.figures import save_figure
from steadygrad.reports.figures.before_after import before_after_figure
from steadygrad.reports.wording import accuracy_text, radius_text, seconds_text
from steadygrad.versions import library_versions

__all__ = ["HardeningReport", "Measured", "measure"]

_SHARES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Radii of the curve, in units of the one that the network is hardened for."""

_STEPS = 10


@dataclass(frozen=True, eq=False)
class Measured:
    """One network on the report's images.

    Attributes:
        curve: accuracy under PGD against the radius.
        audit: a quick battery at the radius; None if it was left out.
    """

    curve: AccuracyCurve
    audit: AuditResult | None

    @property
    def clean(self) -> AccuracyPoint:
        """Accuracy without attack."""
        return self.curve.points[0]

    @property
    def clean_correct(self) -> Tensor:
        """Which images are classified correctly without attack, bool (n,)."""
        return self.curve.broken_at > 0

    def robust_correct(self, eps: float) -> Tensor:
        """Return which images no attack at ``eps`` misled, bool (n,)."""
        if self.audit is not None:
            return self.audit.clean_correct & ~self.audit.broken
        return self.curve.broken_at > eps

    def worst_case(self, eps: float) -> AccuracyPoint:
        """Return the accuracy against the strongest of all attacks on each image."""
        standing = self.robust_correct(eps)
        return AccuracyPoint(eps=eps, correct=int(standing.sum()), n=len(standing))


def measure(
    model: nn.Module,
    data: ImageDataset,
    *,
    eps: float,
    norm: Norm,
    out: Path,
    name: str,
    seed: int,
    audited: bool,
    accept: Sequence[str],
    notify: Callable[[str], None],
) -> Measured:
    """Return how a network does on images; what an audit has measured before is kept in ``out``.

    A network that is unfit for the audit is measured without it, and ``notify`` is told why.

    Args:
        model: in any mode, on the device to use.
        data: on any device.
        eps: the radius.
        norm: in which it is measured.
        out: folder of the audit.
        name: of the network, for the audit's record.
        seed: of the attacks.
        audited: whether to run the quick battery.
        accept: problems in spite of which to run it.
        notify: told sentences.
    """
    images, labels = data.images(), data.labels
    radii = [share * eps for share in _SHARES if norm == "l2" or share * eps <= 1]
    attack = PGD(eps=eps, steps=_STEPS, norm=norm)
    curve = accuracy_curve(model, images, labels, attack, radii, batch_size=128, seed=seed)
    result = None
    if audited:
        try:
            result = audit(
                model,
                images,
                labels,
                eps=eps,
                norm=norm,
                budget="quick",
                out=out,
                seed=seed,
                accept=accept,
                notify=notify,
                model_name=name,
                data={
                    "name": data.name,
                    "split": data.split,
                    "note": data.note,
                    "class_names": list(data.class_names),
                },
            )
        except UnfitError as error:  # the training is not to be lost for it
            notify(f"the report is without an audit: {error}")
    return Measured(curve, result)


@dataclass(frozen=True, eq=False, kw_only=True)
class HardeningReport:
    """Robustness, accuracy and time before and after hardening.

    Attributes:
        model: what the network is called.
        data: name, split and number of the images that both were measured on, and how many of them
            the network had been trained on before.
        eps, norm: the radius.
        before, after: the original network and the hardened one.
        training_seconds: of the steps, earlier sessions included.
        config: of the training.
        taken: what lies in front of the network, in a sentence.
        activation: what the hardened network has in place of ReLU; None for what it had.
    """

    model: str
    data: Mapping[str, Any]
    eps: float
    norm: Norm
    before: Measured
    after: Measured
    training_seconds: float
    config: Mapping[str, Any]
    taken: str
    activation: SmoothActivation | None = None

    @property
    def clean_change(self) -> PairedComparison:
        """After against before, without attack."""
        return paired_comparison(self.after.clean_correct, self.before.clean_correct)

    @property
    def robust_change(self) -> PairedComparison:
        """After against before, in the worst case at the radius."""
        return paired_comparison(
            self.after.robust_correct(self.eps), self.before.robust_correct(self.eps)
        )

    @property
    def caution(self) -> str:
        """What a reader has to know of the images, a sentence or ""."""
        return seen_note(self.data.get("seen_before", 0), self.data["n"])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "model": self.model,
            "preprocessing": self.taken,
            "activation": self.activation,
            "caution": self.caution,
            "data": dict(self.data),
            "eps": self.eps,
            "norm": self.norm,
            "before": self._side(self.before),
            "after": self._side(self.after),
            "clean_change": self.clean_change.to_json(),
            "worst_case_change": self.robust_change.to_json(),
            "training_seconds": self.training_seconds,
            "training": dict(self.config),
            "versions": library_versions(),
        }

    def _side(self, measured: Measured) -> dict[str, Any]:
        worst = measured.worst_case(self.eps)
        return {
            "clean": measured.clean.to_json(),
            "worst_case": worst.to_json(),
            "worst_case_of": "the quick audit" if measured.audit else f"PGD({_STEPS})",
            "verdict": None if measured.audit is None else measured.audit.verdict.level,
            "curve": measured.curve.to_json(),
        }

    def markdown(self) -> str:
        """Return the report as one page."""
        radius = radius_text(self.eps, self.norm)
        of = "worst case of the quick audit" if self.after.audit else f"PGD({_STEPS})"
        rows = [
            ("clean", self.before.clean, self.after.clean, self.clean_change),
            (
                f"{of} at {radius}",
                self.before.worst_case(self.eps),
                self.after.worst_case(self.eps),
                self.robust_change,
            ),
        ]
        lines = [
            f"# {markdown_text(self.model)}, hardened for eps {radius}",
            "",
            f"Measured on {self.data['n']} {self.data['split']} images of "
            f"{markdown_text(self.data['name'])}; 95 % intervals. The change is paired: the same "
            "images before and after.",
            "",
            *([self.caution, ""] if self.caution else []),
            "| accuracy | before | after | change | p (McNemar) |",
            "|---|---|---|---|---|",
        ]
        for what, before, after, change in rows:
            low, high = change.ci95
            lines.append(
                f"| {what} | {accuracy_text(before)} | {accuracy_text(after)} | "
                f"{100 * change.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) points | "
                f"{change.p_value:.2g} |"
            )
        lines += [
            "",
            "![accuracy against the radius](robustness.png)",
            "",
            f"| radius | before, PGD({_STEPS}) | after, PGD({_STEPS}) |",
            "|---|---|---|",
        ]
        for before, after in zip(self.before.curve.points, self.after.curve.points, strict=True):
            at = radius_text(before.eps, self.norm)
            lines.append(f"| {at} | {accuracy_text(before)} | {accuracy_text(after)} |")
        lines += ["", f"Training time: {seconds_text(self.training_seconds)}."]
        if self.after.audit is not None:
            verdict = self.after.audit.verdict
            lines += [f"Gradient masking after hardening: {verdict.level}. {verdict.summary}"]
        lines += [f"In front of the network: {self.taken}.", ""]
        if self.activation is not None:
            lines += [activation_note(self.activation), ""]
        return "\n".join(lines)

    def write(self, out: Path) -> None:
        """Write ``report.json``, ``report.md`` and ``robustness.png`` and ``.svg``.

        Raises:
            OutputError: a file cannot be written.
        """
        curves = {"before": self.before.curve, "after": self.after.curve}
        figure = before_after_figure(
            curves, self.eps, self.norm, f"PGD({_STEPS}) on {self.data['name']}"
        )
        for suffix in ("png", "svg"):
            save_figure(figure, out / f"robustness.{suffix}")
        write_atomically(out / "report.md", self.markdown().encode())
        text = json.dumps(self.to_json(), indent=2, allow_nan=False)
        write_atomically(out / "report.json", (text + "\n").encode())
