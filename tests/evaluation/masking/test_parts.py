"""Diagnostics as parts: own ones take part, and what nobody can interpret is refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.masking import (
    DIAGNOSTICS,
    Diagnostic,
    Finding,
    Sample,
    Staircase,
    Subject,
    diagnose,
    diagnostic,
    diagnostic_names,
    verdict,
)

Digits = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class OutputsAreLarge(Diagnostic):
    """Measure the largest logit."""

    threshold: float = 0.0
    examples: int = 4

    def __call__(self, sample: Sample) -> Finding:
        largest = float(sample.logits(sample.images[: self.examples]).max())
        if largest > 1e3:
            raise RuntimeError("far\ntoo large")
        return self.answered(largest, passed="Small.", suspicious="Large.", evidence={})


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Diagnostic]]:
    """Register a symptom for one test."""
    for name in ("_classes", "_names", "_about"):
        monkeypatch.setattr(DIAGNOSTICS, name, dict(getattr(DIAGNOSTICS, name)))
    yield diagnostic(
        "outputs-are-large",
        question="Are the logits large?",
        unit="nats",
        role="symptom",
        cause="large logits",
    )(OutputsAreLarge)


def subject_of(model: nn.Module, data: Digits) -> Subject:
    images, labels = data[0][:8], data[1][:8]
    right = torch.ones(8, dtype=torch.bool)
    return Subject(model=model, images=images, labels=labels, clean_correct=right, eps=0.1)


def test_a_registered_diagnostic_takes_part_in_findings_and_verdict(
    own: type[Diagnostic], trained: nn.Module, held_out: Digits
) -> None:
    assert diagnostic_names()[-1] == "outputs-are-large"
    findings, result = diagnose(subject_of(trained, held_out), [own()])
    (finding,) = findings
    assert (finding.name, finding.unit, finding.status) == (
        *("outputs-are-large", "nats", "suspicious"),
    )
    assert result.level == "masked"  # far beyond three thresholds of 0
    assert result.causes == ("large logits",)


def test_settings_come_from_text_and_change_the_answer(
    own: type[Diagnostic], trained: nn.Module, held_out: Digits
) -> None:
    strict = DIAGNOSTICS.parse("outputs-are-large:threshold=1e6,examples=2")
    assert strict == OutputsAreLarge(threshold=1e6, examples=2)
    (finding,), _ = diagnose(subject_of(trained, held_out), [strict])
    assert (finding.status, finding.threshold) == ("passed", 1e6)


def test_a_strangers_diagnostic_that_fails_is_not_tested_and_ends_nothing(
    own: type[Diagnostic], held_out: Digits
) -> None:
    class Large(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 1e6 * images.flatten(start_dim=1)[:, 20:30]

    (finding,), _ = diagnose(subject_of(Large(), held_out), [own()])
    assert finding.status == "not tested"
    assert finding.meaning == "It raised RuntimeError: far too large"


@dataclass(frozen=True, kw_only=True)
class Answering(Diagnostic):
    """Answer with what it is given, as it is."""

    threshold: float = 0.5
    answer: Any = None
    evidence: Any = None

    def __call__(self, sample: Sample) -> Finding:
        return self.answered(
            self.answer, passed="Small.", suspicious="Large.", evidence=self.evidence or {}
        )


def test_what_a_stranger_measures_may_be_a_tensor_and_what_json_cannot_hold_ends_nothing(
    own: type[Diagnostic], trained: nn.Module, held_out: Digits
) -> None:
    register = diagnostic("answering", question="?", unit="u", role="hint", cause="c")
    asked = register(Answering)
    subject = subject_of(trained, held_out)
    (small, large, odd, several), _ = diagnose(
        subject,
        [
            asked(answer=torch.tensor(0.25)),
            asked(answer=np.float32(2)),
            asked(answer=0.0, evidence={"images": torch.zeros(2)}),
            asked(answer=torch.zeros(2)),
        ],
    )
    assert (small.status, small.measured) == ("passed", 0.25)
    assert type(large.measured) is float and large.status == "suspicious"
    assert odd.status == "not tested" and "Tensor is not JSON serializable" in odd.meaning
    assert several.status == "not tested" and several.meaning.startswith("It raised")


def test_an_unknown_suspicious_finding_is_refused(trained: nn.Module, held_out: Digits) -> None:
    unknown: dict[str, Any] = {
        "question": "?", "measured": 2.0, "threshold": 1.0, "unit": "units", "meaning": "?",
        "evidence": {},
    }  # fmt: skip
    subject = subject_of(trained, held_out)
    with pytest.raises(UnknownNameError, match=r"unknown diagnostic 'more-stepz' .*'more-steps'"):
        verdict(subject, [Finding(name="more-stepz", status="suspicious", **unknown)])
    assert verdict(subject, [Finding(name="other", status="passed", **unknown)]).causes == ()


def test_what_cannot_be_interpreted_cannot_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_classes", "_names", "_about"):
        monkeypatch.setattr(DIAGNOSTICS, name, dict(getattr(DIAGNOSTICS, name)))
    wrong: Any = "culprit"
    with pytest.raises(UnknownNameError, match=r"role one of mechanism, symptom, hint, .*culprit"):
        diagnostic("x", question="?", unit="?", role=wrong, cause="?")
    with pytest.raises(HyperparameterError, match="expected a registered diagnostic"):
        OutputsAreLarge().untested("why not")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": -1.0}, "threshold >= 0 and finite, got -1.0"),
        ({"threshold": float("nan")}, "threshold >= 0 and finite, got nan"),
        ({"examples": 0}, "examples >= 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        Staircase(**settings)


@pytest.mark.parametrize("name", diagnostic_names())
def test_every_diagnostic_comes_back_from_its_text_and_table(name: str) -> None:
    part = DIAGNOSTICS.get(name)()
    assert DIAGNOSTICS.parse(DIAGNOSTICS.text(part)) == part
    assert DIAGNOSTICS.build(DIAGNOSTICS.table(part)) == part
