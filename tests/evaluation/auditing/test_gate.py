"""The gate of an audit: what fails a build, and the sentence that says why."""

import pytest

from made_up_audit import made_up_audit
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.auditing import Gate
from steadygrad.evaluation.masking import Verdict


def verdict(level: str) -> Verdict:
    return Verdict.of({"level": level, "summary": "", "causes": [], "reasons": []})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, None),
        ({"fail_under": 0.48}, None),
        ({"fail_under": 0.49}, "worst case is 48.0 %, below the 49 % asked for"),
        ({"fail_under": 0.48, "measure": "lower-bound"}, "95 % interval is 41.2 %, below the 48 %"),
        ({"fail_under": 0.97, "measure": "clean"}, None),
        ({"fail_under": 0.98, "measure": "clean"}, "without attack is 97.0 %"),
        ({"fail_on": ("masked",)}, None),
        ({"fail_on": ("masked", "doubtful")}, "the verdict is: doubtful"),
        ({"fail_on": ("doubtful",), "fail_under": 0.9}, "asked for; the verdict is"),
    ],
)
def test_fails_with_one_sentence(settings: dict[str, object], sentence: str | None) -> None:
    failure = Gate(**settings).failure(made_up_audit())
    assert failure is None if sentence is None else sentence in str(failure)


@pytest.mark.parametrize("level", ["masked", "nothing tested"])
def test_what_is_not_established_reaches_no_limit_but_a_clean_one(level: str) -> None:
    result = made_up_audit(verdict=verdict(level))
    assert f"is not established ({level})" in str(Gate(fail_under=0.01).failure(result))
    assert Gate(fail_under=0.9, measure="clean").failure(result) is None
    assert (Gate(fail_on=("incomplete",)).failure(result) is None) == (level == "masked")


def test_bad_settings_are_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"fraction of the images in \[0, 1\], got 40"):
        Gate(fail_under=40)
    with pytest.raises(HyperparameterError, match="got nan"):
        Gate(fail_under=float("nan"))
    with pytest.raises(UnknownNameError, match="masked, doubtful, incomplete, got 'maskd'"):
        Gate(fail_on=("maskd",))
    with pytest.raises(UnknownNameError, match="got 'mean'"):
        Gate(measure="mean")
