"""Made-up audits: a result with attacks, findings and a gallery, without any model."""

from typing import Any

import torch
from torch import Tensor

from steadygrad.evaluation.auditing.audit_gallery import AuditGallery
from steadygrad.evaluation.auditing.batch_size import BatchSize
from steadygrad.evaluation.auditing.fitness import Problem
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.evaluation.masking import Finding, Verdict
from steadygrad.evaluation.outcome import AttackOutcome, Family, Scope

__all__ = ["made_up_audit"]

N = 200
PGD = {"name": "pgd", "steps": 50, "step_size": None, "reach": 2.5, "restarts": 5}


def made_up_audit(**changes: Any) -> AuditResult:
    """Return an audit of 200 examples: 194 right, 96 in the worst case."""
    clean = torch.arange(N) % 33 != 5  # 194
    values: dict[str, Any] = {
        "model": {"name": "mnist-complex", "digest": "ab" * 32, "fingerprint": "cd" * 32},
        "data": {
            "name": "digits",
            "split": "test",
            "note": None,
            "n": N,
            "digest": "ef" * 32,
        },
        "eps": 0.1,
        "norm": "linf",
        "budget": "quick",
        "seed": 3,
        "device": "cpu",
        "batch_size": BatchSize(size=64, asked="auto", image_bytes=1000, budget_bytes=64000),
        "labels": torch.arange(N) % 10,
        "clean_correct": clean,
        "outcomes": outcomes(clean),
        "findings": findings(),
        "verdict": Verdict(
            level="doubtful",
            summary="The accuracy may be too high: black-box attacks broke 3 images more.",
            causes=("misleading gradients",),
            reasons=("black-box-beats-white-box",),
        ),
        "untested": (
            "AutoAttack: not installed, pip install pyautoattack",
            "no transfer attack",
        ),
        "fitness": (
            Problem(
                "float64", "a copy does not compute in float64", "avoid dtypes", is_fatal=False
            ),
        ),
        "facts": ("a second pass gives the same outputs",),
        "gallery": gallery(),
        "seconds": 321.0,
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"steadygrad": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
    }
    return AuditResult(**values | changes)


def outcomes(clean: Tensor) -> tuple[AttackOutcome, ...]:
    right = clean.nonzero().squeeze(1)
    standing = clean.clone()
    standing[right[:95]] = False
    return (
        outcome("noise", "noise", clean, 4, {"name": "random-noise", "samples": 1000}),
        outcome("fgsm", "one-step", clean, 56, {"name": "fgsm"}),
        outcome("pgd-50", "white-box", clean, 91, PGD),
        outcome("pgd-50-margin", "white-box", clean, 95, PGD | {"loss": "margin"}),
        outcome("nes", "query", standing, 3, {"name": "nes", "queries": 4000}, "survivors"),
    )


def outcome(
    name: str,
    family: Family,
    attacked: Tensor,
    count: int,
    attack: dict[str, Any],
    scope: Scope = "all",
) -> AttackOutcome:
    """Return an attack that breaks the first ``count`` of the examples it is run on."""
    broken = torch.zeros_like(attacked)
    broken[attacked.nonzero().squeeze(1)[:count]] = True
    return AttackOutcome(
        name=name,
        family=family,
        attack=attack,
        eps=0.1,
        norm="linf",
        attacked=attacked,
        broken=broken,
        seconds=1.5 + count,
        queries=1000 + count,
        gradients=0 if scope == "survivors" else 500 + count,
        seed=3,
        scope=scope,
    )


def findings() -> tuple[Finding, ...]:
    return (
        Finding(
            name="zero-gradients",
            question="Is the gradient of the loss exactly zero?",
            measured=0.0125,
            threshold=0.05,
            unit="fraction of examples",
            status="passed",
            meaning="Attacks have a direction to go.",
            evidence={"examples": 64, "all_zero": 0.8, "surface": [[0.0, 1.0], [2.0, 3.0]]},
        ),
        Finding(
            name="staircase",
            question="Does rounding hide the gradient?",
            measured=None,
            threshold=0.5,
            unit="fraction of examples",
            status="not tested",
            meaning="The model was too slow.",
            evidence={},
        ),
        Finding(
            name="black-box-beats-white-box",
            question="Do attacks without gradients break what gradient attacks do not?",
            measured=1.53,
            threshold=1.0,
            unit="points of accuracy",
            status="suspicious",
            meaning="Queries found what gradients did not.",
            evidence={"from": "the battery", "weaker": ["nes"], "still_standing": 3},
        ),
    )


def gallery(examples: int = 4, channels: int = 1) -> AuditGallery:
    draws = torch.rand(
        (examples, channels, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float32
    )
    labels = torch.arange(examples)
    return AuditGallery(
        eps=0.1,
        clean=draws,
        adversarial=(draws + 0.1).clamp(max=1),
        labels=labels,
        clean_predictions=labels,
        adversarial_predictions=(labels + 1) % 10,
        attacks=("fgsm", "pgd-50", "pgd-50-margin", "nes")[:examples],
        rows=torch.arange(examples),
    )
