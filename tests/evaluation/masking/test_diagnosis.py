"""The diagnosis as a whole: frauds are caught and named, honest networks are not accused."""

import copy
import json
from collections.abc import Callable

import pytest
import torch
from dishonest_models import HardVote
from torch import Tensor, nn

from evaluation.masking.conftest import FRAUDS, HONEST, Digits, Noisy
from steadygrad.errors import HyperparameterError, LabelError
from steadygrad.evaluation.masking import Finding, Subject, diagnose, diagnostic_names

EXAMPLES = 16


def subject_of(model: Callable[[Tensor], Tensor], data: Digits, **settings: object) -> Subject:
    images, labels = data[0][:40], data[1][:40]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        right = model(images).argmax(dim=1) == labels
    chosen = {"eps": 0.1, "examples": EXAMPLES} | settings
    return Subject(model=model, images=images, labels=labels, clean_correct=right, **chosen)


def suspicious(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{f.name} {f.measured}" for f in findings if f.status == "suspicious"]


@pytest.mark.parametrize("name", HONEST)
def test_honest_networks_are_not_accused(
    name: str, honest: dict[str, nn.Module], held_out: Digits
) -> None:
    subject = subject_of(honest[name], held_out)
    assert subject.clean_correct.double().mean() > 0.8
    findings, verdict = diagnose(subject)
    assert verdict.level == "no sign of masking", suspicious(findings)
    assert set(verdict.causes) <= {"weak attack settings"}


@pytest.mark.parametrize("base", ["plain", pytest.param("complex", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fraud", FRAUDS)
def test_frauds_are_caught_and_named(
    fraud: str, base: str, honest: dict[str, nn.Module], held_out: Digits
) -> None:
    commit, cause = FRAUDS[fraud]
    findings, verdict = diagnose(subject_of(commit(honest[base]), held_out))
    assert verdict.level == "masked", suspicious(findings)
    assert verdict.causes == (cause,), suspicious(findings)
    assert cause in verdict.summary


def test_a_random_model_is_found_out_the_same_way_twice_and_nothing_stays_behind(
    honest: dict[str, nn.Module], held_out: Digits
) -> None:
    model = Noisy(nn.Sequential(copy.deepcopy(honest["plain"]), nn.Dropout(0.5))).eval()
    before = [tensor.clone() for tensor in model.parameters()]
    subject = subject_of(model, held_out, examples=6)
    model.train()
    model.model[0].eval()
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    first = diagnose(subject)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert model.model[1].training
    assert not model.model[0].training
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert parameter.grad is None
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32
    torch.manual_seed(8)
    assert diagnose(subject) == first


def test_a_model_left_in_training_mode_is_diagnosed_in_eval_mode(
    honest: dict[str, nn.Module], held_out: Digits
) -> None:
    model = nn.Sequential(copy.deepcopy(honest["plain"]), nn.Dropout(0.5)).eval()
    subject = subject_of(model, held_out, examples=4)
    model.train()
    findings, _ = diagnose(subject)
    assert {finding.name: finding.measured for finding in findings}["randomness"] == 0
    assert model[1].training


def test_work_is_bounded_stated_and_told(honest: dict[str, nn.Module], held_out: Digits) -> None:
    images_seen, told = 0, []

    def counted(images: Tensor) -> Tensor:
        nonlocal images_seen
        images_seen += len(images)
        return honest["plain"](images)

    subject = subject_of(counted, held_out, examples=4, progress=lambda *told_: told.append(told_))
    images_seen = 0
    findings, _ = diagnose(subject)
    # Steps of all attacks on all four, and a thousand queries for each that PGD leaves.
    assert images_seen < 4 * (1000 + 100 + 1000) + 2 * 21 * 21 + 1000
    assert all(f.evidence["examples"] <= 4 for f in findings if f.status != "not tested")
    names = diagnostic_names()
    assert [finding.name for finding in findings] == list(names)
    assert told == [(name, i, len(names)) for i, name in enumerate((*names, "done"))]
    assert {f.name for f in findings if f.status == "not tested"} == {
        "call-history",  # a function has no copy
        "fresh-images",  # four examples are too few to mix
        "ensemble-gap",  # there was no battery
        "expectation-over-randomness",  # it is not random
        "float64-gradients",  # a function has no copy in float64
        "logit-scale",  # its margins are small
        "planted-examples",  # four examples are too few
    }
    json.dumps([finding.evidence for finding in findings], allow_nan=False)


def test_a_model_without_any_gradient_is_masked_not_refused(
    honest: dict[str, nn.Module], held_out: Digits
) -> None:
    @torch.no_grad()
    def detached(images: Tensor) -> Tensor:
        return honest["plain"](images)

    findings, verdict = diagnose(subject_of(detached, held_out, examples=4))
    assert {f.name: f.measured for f in findings}["zero-gradients"] == 1.0
    assert verdict.level == "masked"
    assert verdict.causes == ("false gradients", "vanishing gradients")


def test_a_module_without_any_gradient_is_masked_in_float64_too(
    honest: dict[str, nn.Module], held_out: Digits
) -> None:
    model = HardVote(honest["plain"])
    findings, verdict = diagnose(subject_of(model, held_out, examples=4))
    assert {f.name: f.status for f in findings}["float64-gradients"] == "passed"
    assert verdict.level == "masked"


def test_l2_is_diagnosed_too(honest: dict[str, nn.Module], held_out: Digits) -> None:
    findings, verdict = diagnose(subject_of(honest["plain"], held_out, norm="l2", eps=0.5))
    untested = [finding.name for finding in findings if finding.status == "not tested"]
    assert set(untested) - {"logit-scale"} == {
        "ensemble-gap",
        "expectation-over-randomness",
        "black-box-beats-white-box",
    }
    assert verdict.level == "no sign of masking", suspicious(findings)


def test_where_nothing_is_right_there_is_nothing_to_diagnose(held_out: Digits) -> None:
    subject = subject_of(nn.Flatten(), (held_out[0], torch.full((300,), 63)))
    assert not subject.clean_correct.any()
    findings, verdict = diagnose(subject)
    assert {finding.status for finding in findings} == {"not tested"}
    assert verdict.level == "incomplete"


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"eps": 0.0}, HyperparameterError, r"expected eps > 0 to diagnose at, got 0\.0"),
        ({"eps": 8.0}, HyperparameterError, r"did you mean 8/255"),
        ({"norm": "l1"}, HyperparameterError, "expected norm linf or l2, got 'l1'"),
        ({"examples": 0}, HyperparameterError, "expected examples >= 1, got 0"),
        ({"clean_correct": torch.ones(3)}, LabelError, r"clean_correct as bool of shape \(2,\)"),
    ],
)
def test_bad_subjects_are_refused(
    settings: dict[str, object], error: type[Exception], sentence: str
) -> None:
    chosen = {"eps": 0.1, "clean_correct": torch.ones(2, dtype=torch.bool)} | settings
    with pytest.raises(error, match=sentence):
        Subject(
            model=nn.Flatten(),
            images=torch.rand(2, 1, 4, 4),
            labels=torch.zeros(2).long(),
            **chosen,
        )
