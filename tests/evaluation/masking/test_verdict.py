"""The verdict: what a set of findings says together."""

from dataclasses import replace

import pytest
import torch

from steadygrad.evaluation.masking import Finding, Subject, diagnostic_names
from steadygrad.evaluation.masking.verdict import verdict
from steadygrad.evaluation.outcome import AttackOutcome


def findings(missing: tuple[str, ...] = (), **suspicious: float) -> list[Finding]:
    """Return every diagnostic as passed, but those named (with "_") as measured at that number."""
    measured = {name.replace("_", "-"): number for name, number in suspicious.items()}
    assert set(measured) <= set(diagnostic_names())
    return [
        Finding(
            name=name,
            question="?",
            measured=None if name in missing else measured.get(name, 0.0),
            threshold=1.0,
            unit="units",
            status="not tested"
            if name in missing
            else "suspicious"
            if name in measured
            else "passed",
            meaning=f"Meaning of {name}.",
            evidence={},
        )
        for name in diagnostic_names()
    ]


@pytest.fixture
def subject() -> Subject:
    def outcome(name: str, broken: list[int]) -> AttackOutcome:
        is_broken = torch.zeros(10, dtype=torch.bool)
        is_broken[broken] = True
        attacked = torch.arange(10) < 9
        return AttackOutcome(name, "white-box", {}, 0.1, "linf", attacked, is_broken, 0, 0, 0, 0)

    return Subject(
        model=torch.nn.Flatten(),
        images=torch.rand(10, 1, 4, 4),
        labels=torch.zeros(10, dtype=torch.int64),
        clean_correct=torch.arange(10) < 9,
        eps=0.1,
        outcomes=(outcome("a", [0, 1]), outcome("b", [1, 2])),
    )


def test_when_everything_passes_the_worst_case_is_the_number_to_quote(subject: Subject) -> None:
    result = verdict(subject, findings())
    assert (result.level, result.causes, result.reasons) == ("no sign of masking", (), ())
    # Nine are right; 0, 1 and 2 fall to one attack or the other.
    assert result.summary == (
        "No sign of gradient masking. The number to quote is the worst case over all 2 attacks, "
        "example by example: 60.0 % of 10 images at eps 0.1."
    )


@pytest.mark.parametrize("weak", ["more_steps", "more_restarts", "margin_loss"])
def test_weak_attacks_accuse_nobody_but_are_named(subject: Subject, weak: str) -> None:
    result = verdict(subject, findings(**{weak: 60.0}))
    assert result.level == "no sign of masking"
    assert result.causes == ("weak attack settings",)
    assert result.reasons == (weak.replace("_", "-"),)
    assert f"Meaning of {weak.replace('_', '-')}. The number to quote is" in result.summary


@pytest.mark.parametrize(
    ("suspicious", "causes"),
    [
        (("randomness",), ("randomness",)),
        (("expectation_over_randomness",), ("randomness",)),
        (("staircase",), ("input quantisation",)),
        (("logit_scale",), ("saturated softmax",)),
        (("softmax_saturation", "unbounded_eps"), ("saturated softmax",)),
        (("finite_differences",), ("false gradients",)),
        (("zero_gradients",), ("vanishing gradients",)),
        # A rounded input explains false and missing gradients, a saturated softmax missing ones.
        (("staircase", "finite_differences", "zero_gradients"), ("input quantisation",)),
        (("softmax_saturation", "float64_gradients"), ("saturated softmax",)),
        (("softmax_saturation", "finite_differences"), ("false gradients", "saturated softmax")),
        (("randomness", "staircase", "more_steps"), ("randomness", "input quantisation")),
    ],
)
def test_one_mechanism_is_enough_and_is_named(
    subject: Subject, suspicious: tuple[str, ...], causes: tuple[str, ...]
) -> None:
    result = verdict(subject, findings(**dict.fromkeys(suspicious, 2.0)))
    assert result.level == "masked"
    assert result.causes == causes
    assert f"gradients are masked ({', '.join(causes)})." in result.summary
    assert "At best an upper bound is the worst case" in result.summary
    assert "more-steps" not in result.reasons


@pytest.mark.parametrize(
    ("suspicious", "level"),
    [
        ({"one_step_beats_iterative": 2.9}, "doubtful"),
        ({"one_step_beats_iterative": 3.1}, "masked"),
        ({"one_step_beats_iterative": 1.5, "rising_accuracy": 1.5}, "masked"),
        ({"black_box_beats_white_box": 2.0, "local_linearity": 9.0}, "doubtful"),
    ],
)
def test_symptoms_need_company_or_strength(
    subject: Subject, suspicious: dict[str, float], level: str
) -> None:
    result = verdict(subject, findings(**suspicious))
    assert result.level == level
    assert result.causes[0] == "misleading gradients"


@pytest.mark.parametrize(
    ("hint", "cause"),
    [
        ("convergence", "unfinished attacks"),
        ("local_linearity", "crooked loss surface"),
        ("gradient_alignment", "crooked loss surface"),
    ],
)
def test_hints_cast_doubt_and_no_more(subject: Subject, hint: str, cause: str) -> None:
    result = verdict(subject, findings(**{hint: 1000.0}))
    assert (result.level, result.causes) == ("doubtful", (cause,))


@pytest.mark.parametrize(
    "missing", ["randomness", "zero-gradients", "finite-differences", "unbounded-eps"]
)
def test_without_an_essential_diagnostic_nothing_is_certified(
    subject: Subject, missing: str
) -> None:
    result = verdict(subject, findings(missing=(missing,)))
    assert (result.level, result.reasons) == ("incomplete", (missing,))
    assert verdict(subject, findings(missing=(missing,), staircase=2.0)).level == "masked"
    assert verdict(subject, []).level == "incomplete"


def test_others_may_be_missing(subject: Subject) -> None:
    missing = ("expectation-over-randomness", "float64-gradients", "black-box-beats-white-box")
    assert verdict(subject, findings(missing=missing)).level == "no sign of masking"


@pytest.mark.parametrize(("measured", "level"), [(14.0, "doubtful"), (16.0, "masked")])
def test_a_symptom_is_severe_beyond_three_of_its_own_thresholds(
    subject: Subject, measured: float, level: str
) -> None:
    found = [replace(each, threshold=5.0) for each in findings(unbounded_eps=measured)]
    assert verdict(subject, found).level == level
