"""``steadygrad train`` under attacks and noise, and with parts that learn or read files."""

import json
from pathlib import Path

import pytest

from program import TINY, Program
from steadygrad.covariance import ExponentialCovariance, save_covariance
from steadygrad.training import TrainingConfig, run_config


@pytest.fixture(scope="module")
def covariance_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("covariance") / "sigma.safetensors"
    save_covariance(path, ExponentialCovariance((1, 8, 8), 3.0))
    return path


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (
            "attack",
            "mixture:attack=lrc,attack.eps=0.3,attack.covariance=exponential:2,attack.samples=1,fraction=0.4",
        ),
        ("attack", "lrc:eps=0.3,samples=1,covariance=dataset"),
        ("attack", "lrc:eps=0.1,samples=2,covariance=exponential:4"),
        ("attack", "lrc:eps=0.3,samples=1,covariance=FILE"),
        ("attack", "white-noise:eps=8/255,samples=1"),
        ("attack", "n-fgsm:eps=8/255"),
        ("attack", "pgd:eps=8/255,steps=2,start_from_prediction=true"),
        (
            "penalty",
            "sgr:strength=0.01,covariance=stationary,covariance.mean=true,covariance.source=pgd,"
            "covariance.source.eps=16/255,covariance.source.steps=2",
        ),
        (
            "penalty",
            "sgr:strength=0.01,covariance=dense,covariance.source=deepfool,"
            "covariance.source.steps=2",
        ),
        ("penalty", "sgr:strength=0.01,covariance=FILE"),
    ],
)
def test_trains_as_told_and_keeps_the_settings(
    program: Program, tmp_path: Path, covariance_file: Path, option: str, text: str
) -> None:
    text = text.replace("FILE", str(covariance_file))
    out = tmp_path / "run"
    outcome = program("train", *TINY, "--model", "digits-gelu", f"--{option}", text, "--out", out)
    assert outcome.code == 0, outcome.err
    expected = TrainingConfig(data="digits", model="digits-gelu", **{option: text})
    assert getattr(run_config(out), option) == getattr(expected, option)
    stored = json.loads((out / "config.json").read_text())[option]
    assert stored["name"] == text.partition(":")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--attack lrc", "attack lrc needs a value for eps, as in lrc:eps=..."),
        ("--attack lrc:eps=0.3,covariance=exponential:0", "decay_length > 0"),
        ("--attack lrc:eps=0.3,covariance=statoinary", "did you mean 'stationary'?"),
        (
            "--attack lrc:eps=0.3,covariance=/no/such.safetensors",
            "no covariance file at /no/such.safetensors",
        ),
        (
            "--penalty sgr:strength=1,covariance=dense,covariance.source=pgd,"
            "covariance.source.eps=8",
            "expected eps in [0, 1], got 8.0; did you mean 8/255?",
        ),
        (
            "--penalty sgr:strength=1,covariance=dense,covariance.source=fgsm,"
            "covariance.source.eps=8/255",
            "source fgsm has no setting 'eps'; it has none",
        ),
        (
            "--penalty sgr:strength=1,covariance=identity,covariance.mean=true",
            "covariance identity has no setting 'mean'",
        ),
        ("--attack mixture:attack=pgd,fraction=0.5", "attack pgd needs a value for eps"),
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
