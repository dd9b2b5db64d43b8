"""What attacks and models of other people's may do to an audit, and what it refuses."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluation.auditing.test_fitness import Wrapped
from small_audits import EPS, Data, meddling, render, small_audit
from steadygrad.attacks import FGSM, RandomNoise, WhiteNoise
from steadygrad.errors import HyperparameterError, ModelError, OutputError, UnknownNameError
from steadygrad.evaluation.auditing import BatteryEntry, UnfitError, read_audit


def test_results_outside_the_ball_or_the_pixel_range_break_nothing(
    trained: nn.Module, few: Data
) -> None:
    for what in (
        lambda model, x, y: 1 - x,
        lambda model, x, y: x - EPS,
    ):
        (outcome,) = small_audit(trained, few, attacks=[meddling(what)]).outcomes
        assert outcome.broken.sum() == 0 and outcome.outside > 50
    result = small_audit(trained, few, attacks=[WhiteNoise(eps=EPS, samples=1)])
    (noise,), right = result.outcomes, result.clean.correct
    assert noise.outside == right
    assert f"white-noise: {right} of its {right} results left the ball" in " ".join(result.untested)
    # Nothing that counts was tried: that all are still correct says nothing.
    assert result.verdict.level == "nothing tested" and not result.is_established
    assert "No attack stayed within the ball" in result.verdict.summary


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda model, x, y: 1 / 0, "meddling: it raised ZeroDivisionError: division by zero"),
        (lambda model, x, y: None, "meddling: it returned NoneType, not a tensor"),
        (lambda model, x, y: x * torch.nan, "meddling: expected finite logits"),
        (lambda model, x, y: x[:-1], r"meddling: it returned torch.float32 of shape"),
    ],
)
def test_an_attack_that_fails_is_named_and_the_others_go_on(
    trained: nn.Module, few: Data, what: Callable[..., Any], reason: str
) -> None:
    result = small_audit(trained, few, attacks=[meddling(what), FGSM(eps=EPS)])
    assert [outcome.name for outcome in result.outcomes] == ["fgsm"]
    assert any(sentence.startswith(reason) for sentence in result.untested)


def test_attacks_leave_no_trace_on_the_model(trained: nn.Module, few: Data) -> None:
    def backward(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        model(images).sum().backward()
        torch.rand(3)
        return images.detach()

    # A copy: other tests may have left gradients on the shared one.
    state, model = torch.get_rng_state(), copy.deepcopy(trained)
    small_audit(model, few, attacks=[meddling(backward)])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_memory_that_ends_halves_the_batches(trained: nn.Module, few: Data) -> None:
    def hungry(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if len(images) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.clone()

    told: list[str] = []
    result = small_audit(
        trained, few, attacks=[meddling(hungry), FGSM(eps=EPS)], batch_size=64, notify=told.append
    )
    assert [outcome.batch_size for outcome in result.outcomes] == [16, 16]
    assert len(told) == 2 and "ran out of memory; trying 32 at a time" in told[0]


def test_a_random_model_gives_the_same_audit_twice(trained: nn.Module, few: Data) -> None:
    class Noisy(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + 0.1 * torch.randn_like(images))

    first, second = (small_audit(Noisy(*trained), few) for _ in range(2))
    assert all(
        torch.equal(ours.broken, theirs.broken)
        for ours, theirs in zip(first.outcomes, second.outcomes, strict=True)
    )
    assert "randomness" in {problem.name for problem in first.fitness}


def test_an_unfit_model_is_refused_with_every_problem(trained: nn.Module, few: Data) -> None:
    soft = nn.Sequential(trained, nn.Softmax(dim=1))
    with pytest.raises(UnfitError, match=r"probabilities, not logits.*return what goes into"):
        small_audit(soft, (few[0], few[1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"eps": 8.0}, HyperparameterError, r"eps in \[0, 1\], got 8.0"),
        ({"eps": 0.0}, HyperparameterError, "expected eps > 0 to audit at, got 0"),
        ({"norm": "l3"}, UnknownNameError, "'l3'"),
        ({"norm": "l2"}, HyperparameterError, "attacks in l2, got random-noise in linf"),
        ({"budget": "huge"}, UnknownNameError, "quick, standard, full, got 'huge'"),
        ({"attacks": ()}, HyperparameterError, "expected a budget or attacks, got neither"),
        ({"batch_size": 0}, HyperparameterError, "batch_size 'auto' or at least 1, got 0"),
        (
            {"attacks": [meddling(None), meddling(None)]},
            HyperparameterError,
            "two called meddling",
        ),
    ],
)
def test_bad_settings_end_in_one_sentence(
    trained: nn.Module, few: Data, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        small_audit(trained, few, **options)


def test_a_place_that_cannot_be_written_is_refused_before_any_attack(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        small_audit(trained, few, out=tmp_path / "file", attacks=[meddling(pytest.fail)])


@dataclass(frozen=True, kw_only=True)
class Refusing:
    """An attack that no model suits."""

    eps: float

    def __call__(self, *_: Any, **__: Any) -> Tensor:
        raise ModelError("expected another model")


def test_where_no_attack_could_run_there_is_no_verdict_and_no_number(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    for diagnostics in (True, False):
        result = small_audit(
            trained, few, attacks=[Refusing(eps=EPS)], diagnostics=diagnostics, out=tmp_path
        )
        assert result.outcomes == () and "refusing" in result.untested[0]
        assert result.verdict.level == "nothing tested" and not result.is_established
        assert read_audit(tmp_path).verdict == result.verdict
        assert "There is none: nothing was tested" in render(result)


def test_attacks_that_never_looked_at_the_model_certify_nothing(
    trained: nn.Module, few: Data
) -> None:
    noise = BatteryEntry("noise", "noise", RandomNoise(eps=EPS))
    result = small_audit(trained, few, attacks=[noise], diagnostics=True)
    assert result.verdict.level == "incomplete" and "noise" in result.verdict.summary
    result = small_audit(trained, few, attacks=[noise, FGSM(eps=EPS)], diagnostics=True)
    assert result.verdict.level == "no sign of masking"


def test_what_ends_an_audit_can_be_accepted_knowingly(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    images, labels = few[0], (few[1] + 1) % 10
    with pytest.raises(UnfitError, match="all the same, accept labels-do-not-match"):
        small_audit(trained, (images, labels))
    accept = ["labels-do-not-match", "probabilities"]
    result = small_audit(trained, (images, labels), accept=accept, out=tmp_path)
    assert result.accepted == ("labels-do-not-match",)
    assert read_audit(tmp_path).to_json() == result.to_json()
    assert "accepted these problems: <strong>labels-do-not-match</strong>" in render(result)
    with pytest.raises(UnfitError, match=r"pixels lie between") as refused:
        small_audit(trained, (images + 1, labels), accept=accept)
    assert "accept" not in str(refused.value)
    with pytest.raises(UnknownNameError, match="did you mean no-gradient"):
        small_audit(trained, few, accept=["no-gradiant"])


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda f, x: f(x).softmax(dim=1), "probabilities"),
        (lambda f, x: f(x / 255), "input-range"),
        (lambda f, x: f(x.detach()), "no-gradient"),
    ],
)
def test_every_problem_that_can_be_accepted_lets_the_audit_end(
    trained: nn.Module, few: Data, function: Callable[..., Tensor], name: str
) -> None:
    model = Wrapped(trained, function)
    result = small_audit(model, few, accept=[name])
    assert result.accepted == (name,) and result.outcomes
