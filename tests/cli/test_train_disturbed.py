"""``steadygrad train`` under noise, and with the settings of a covariance's source."""

import json
from pathlib import Path
from typing import Any

import pytest

from program import TINY, Program
from steadygrad.covariance import ExponentialCovariance, save_covariance


@pytest.fixture(scope="module")
def covariance_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("covariance") / "sigma.safetensors"
    save_covariance(path, ExponentialCovariance((1, 8, 8), 3.0))
    return path


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (
            "--adversarial lrc --adversarial-eps 0.3 --adversarial-decay-length 2 "
            "--adversarial-fraction 0.5",
            {"adversarial": "lrc", "adversarial_eps": 0.3, "adversarial_decay_length": 2.0},
        ),
        (
            "--adversarial lrc --adversarial-eps 0.3 --adversarial-covariance dataset",
            {"adversarial_covariance": "dataset"},
        ),
        ("--adversarial lrc --adversarial-eps 0.3 --adversarial-covariance FILE", {}),
        ("--adversarial white-noise --adversarial-eps 8/255", {"adversarial_eps": 8 / 255}),
        (
            "--penalty sgr --strength 0.01 --covariance-source pgd --covariance-eps 16/255 "
            "--covariance-steps 2 --covariance-mean",
            {"covariance_eps": 16 / 255, "covariance_steps": 2, "covariance_mean": True},
        ),
        (
            "--penalty sgr --strength 0.01 --covariance-source deepfool --covariance-steps 2",
            {"covariance_steps": 2, "covariance_mean": False},
        ),
    ],
)
def test_trains_as_told_and_keeps_the_settings(
    program: Program,
    tmp_path: Path,
    covariance_file: Path,
    options: str,
    stored: dict[str, Any],
) -> None:
    typed = options.replace("FILE", str(covariance_file)).split()
    outcome = program("train", *TINY, "--model", "digits-gelu", *typed, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {name: config[name] for name in stored} == stored


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--adversarial lrc", "expected adversarial_eps in (0, 1] with adversarial 'lrc', got 0"),
        (
            "--adversarial lrc --adversarial-eps 0.3 --adversarial-decay-length 0",
            "expected adversarial_decay_length > 0, got 0.0",
        ),
        (
            "--adversarial lrc --adversarial-eps 0.3 --adversarial-covariance stationary",
            "expected adversarial_covariance one of exponential, dataset, or the path of a",
        ),
        (
            "--adversarial lrc --adversarial-eps 0.3 --adversarial-covariance no/such.safetensors",
            "no covariance file at no/such.safetensors",
        ),
        (
            "--penalty sgr --strength 1 --covariance-source pgd --covariance-eps 8",
            "expected covariance_eps in (0, 1], got 8.0; did you mean N/255?",
        ),
        (
            "--penalty sgr --strength 1 --covariance-eps 8/255",
            "has no effect with covariance_source 'fgsm'; choose 'pgd', or leave it out",
        ),
        (
            "--penalty sgr --strength 1 --covariance identity --covariance-mean",
            "covariance_mean True has no effect with covariance 'identity'",
        ),
    ],
)
def test_what_cannot_be_or_has_no_effect_is_one_sentence(
    program: Program, tmp_path: Path, options: str, message: str
) -> None:
    out = tmp_path / "run"
    outcome = program("train", *TINY, "--model", "digits-gelu", *options.split(), "--out", out)
    assert outcome.code == 2
    assert message in outcome.err and "Traceback" not in outcome.err
    assert not out.exists()
