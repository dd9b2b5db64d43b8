"""Laws of steadygrad.training.version_0_1 and identity: what was written then is understood."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygrad.attacks import FGSM, PGD, LongRangeCorrelated, Mixture, WhiteNoise
from steadygrad.covariance import Dataset, Exponential
from steadygrad.datasets import data_source
from steadygrad.errors import DatasetError
from steadygrad.penalties import GradientNormPenalty, SquaredNormPenalty, Structured
from steadygrad.training import (
    TrainingConfig,
    configuration_digest,
    decisive_settings,
    flat_settings,
    load_run_model,
    run_config,
    train,
)
from steadygrad.training.version_0_1 import DEFAULTS, is_flat, nested_settings

Make = Callable[..., TrainingConfig]
RESULTS = Path(__file__).parents[2] / "results"
MEASURED = sorted(RESULTS.glob("**/experiment.json"))
RUNS = sorted(path.parent for path in RESULTS.glob("**/config.json"))
PLAIN = {"dataset": "digits", "model": "digits-complex"}


def now(**flat: Any) -> TrainingConfig:
    return TrainingConfig.from_dict(nested_settings(PLAIN | flat))


def digest_then(flat: dict[str, Any]) -> str:
    """The digest as version 0.1 computed it."""
    without = ("data_dir", "device", "checkpoint_seconds")
    defaults = dict(DEFAULTS) | {"dataset": None, "model": None}
    decisive = {k: v for k, v in flat.items() if k not in without and v != defaults[k]}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("file", MEASURED, ids=lambda path: str(path.parent.relative_to(RESULTS)))
def test_every_network_that_was_measured_keeps_its_digest(file: Path) -> None:
    for network in json.loads(file.read_text())["networks"]:
        config = network["configuration"]
        if is_flat(config):
            config = nested_settings(config)
        assert configuration_digest(TrainingConfig.from_dict(config)) == network["digest"], network


@pytest.mark.parametrize("run", RUNS, ids=lambda path: str(path.relative_to(RESULTS)))
def test_every_committed_run_is_readable(run: Path) -> None:
    written = json.loads((run / "config.json").read_text())
    config = run_config(run)
    assert (config.epochs, config.seed) == (written["epochs"], written["seed"])
    if is_flat(written):
        assert config.data_title == written["dataset"]
        assert config.optimizer.learning_rate == written["learning_rate"]


@pytest.mark.parametrize("dataset", ["moved/photos", "photos"])
def test_a_run_on_a_folder_that_has_moved_is_read_until_images_are_asked_for(
    dataset: str, tmp_path: Path
) -> None:
    config = now(dataset=dataset, model="digits-gelu")
    assert config.data_title == "photos"
    assert TrainingConfig.from_dict(config.to_dict()) == config
    with pytest.raises(DatasetError, match=f"expected a folder of images at .*{dataset}, got none"):
        config.data.load("test")
    train(replace(config, data=data_source("digits"), epochs=1, limit_train=8), tmp_path / "run")
    written = tmp_path / "run" / "config.json"
    beside = {k: v for k, v in json.loads(written.read_text()).items() if k not in config.to_dict()}
    written.write_text(json.dumps(dict(DEFAULTS) | PLAIN | {"dataset": dataset} | beside))
    assert load_run_model(tmp_path / "run").config.data == config.data


def test_there_is_something_committed_to_read() -> None:
    assert MEASURED and RUNS


SAID = [
    ({}, {}),
    (
        {"penalty": "l1", "strength": 0.125},
        {"penalty": SquaredNormPenalty(strength=0.125)},
    ),
    ({"penalty": "gn", "strength": 0.5}, {"penalty": GradientNormPenalty(strength=0.5)}),
    (
        {
            "penalty": "linf",
            "strength": 0.5,
            "backend": "finite_difference",
            "difference_step": 0.1,
            "difference_order": 2,
        },
        {
            "penalty": "squared-norm:strength=0.5,norm=linf,backend=finite-difference,"
            "backend.step_size=0.1,backend.order=2"
        },
    ),
    (
        {"penalty": "sgr", "strength": 1.0, "covariance": "exponential", "decay_length": 2.0},
        {"penalty": Structured(strength=1.0, covariance=Exponential(decay_length=2.0))},
    ),
    (
        {
            "penalty": "sgr",
            "strength": 1.0,
            "covariance": "block",
            "covariance_source": "pgd",
            "covariance_eps": 0.1,
            "covariance_decay": 0.5,
            "covariance_every": 3,
            "covariance_mean": True,
        },
        {
            "penalty": "sgr:strength=1,covariance=block,covariance.decay=0.5,covariance.every=3,"
            "covariance.mean=true,covariance.source=pgd,covariance.source.eps=0.1"
        },
    ),
    ({"adversarial": "fgsm", "adversarial_eps": 0.3}, {"attack": FGSM(eps=0.3)}),
    (
        {
            "adversarial": "pgd",
            "adversarial_eps": 0.3,
            "adversarial_steps": 7,
            "adversarial_fraction": 0.5,
            "adversarial_from": "predicted",
        },
        {"attack": Mixture(attack=PGD(eps=0.3, steps=7, start_from_prediction=True), fraction=0.5)},
    ),
    (
        {"adversarial": "white-noise", "adversarial_eps": 0.3},
        {"attack": WhiteNoise(eps=0.3, samples=1)},
    ),
    (
        {"adversarial": "lrc", "adversarial_eps": 0.3, "adversarial_decay_length": 2.0},
        {"attack": LongRangeCorrelated(eps=0.3, covariance=Exponential(2.0), samples=1)},
    ),
    (
        {"adversarial": "lrc", "adversarial_eps": 0.3, "adversarial_covariance": "dataset"},
        {"attack": LongRangeCorrelated(eps=0.3, covariance=Dataset(), samples=1)},
    ),
    (
        {"flip": True, "crop_padding": 1, "crop_mode": "constant", "noise": "gaussian:0.05"},
        {"augmentation": ["flip", "crop:1,mode=constant", "gaussian:0.05"]},
    ),
    (
        {"optimizer": "adam", "learning_rate": 0.001, "adam_eps": 1e-4},
        {"optimizer": "adam:denominator=1e-4"},
    ),
    (
        {"learning_rate": 0.3, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0},
        {"optimizer": "sgd:learning_rate=0.3,momentum=0.5,nesterov=false,weight_decay=0"},
    ),
    ({"drop_at": [1, 3], "drop_factor": 0.5}, {"schedule": "multi-step:1+3,drop=0.5"}),
    ({"clip_gradient": 10.0}, {"clipping": "norm:10"}),
    (
        {"second_order": "frozen_phase", "nesterov": False},
        {"model": "digits-complex:second_order=frozen_phase"},
    ),
    ({"epochs": 3, "seed": 7, "batch_size": 32, "limit_train": 64}, None),
]


@pytest.mark.parametrize(("flat", "parts"), SAID, ids=lambda value: str(value)[:50])
def test_what_was_said_then_is_said_today_and_back(
    flat: dict[str, Any], parts: dict[str, Any] | None
) -> None:
    config = now(**flat)
    said = flat if parts is None else parts
    assert config == TrainingConfig(**({"data": "digits", "model": "digits-complex"} | said))
    back = flat_settings(config)
    assert back is not None
    assert back == dict(DEFAULTS) | PLAIN | flat
    assert configuration_digest(config) == digest_then(back)


NEW = {
    "loss": "cross-entropy:smoothing=0.1",
    "averaging": "ema",
    "schedule": "cosine",
    "clipping": "value:1",
    "optimizer": "adamw",
    "attack": "n-fgsm:eps=0.1",
    "penalty": "norm:eps=0.1",
    "augmentation": ["uniform:0.1", "flip"],
}


@pytest.mark.parametrize(("key", "value"), NEW.items(), ids=NEW)
def test_what_could_not_be_said_then_has_a_digest_of_its_own(
    config: Make, key: str, value: Any
) -> None:
    changed = config(**{key: value})
    assert flat_settings(changed) is None
    assert configuration_digest(changed) != configuration_digest(config())


@pytest.mark.parametrize("changes", [{}, {"averaging": "ema"}], ids=["then", "now"])
def test_a_digest_knows_what_decides_the_weights_and_nothing_else(
    config: Make, changes: dict[str, Any]
) -> None:
    base = config(data="mnist", **changes)
    digest = configuration_digest(base)
    assert configuration_digest(config(data="mnist:data_dir=a/b", **changes)) == digest
    assert (
        configuration_digest(replace(base, device="cuda", checkpoint_seconds=1.0, cuda_graph=True))
        == digest
    )
    assert "data_dir" not in decisive_settings(config(data="mnist:data_dir=a"))["data"]
    others = [
        replace(base, seed=1),
        replace(base, epochs=9),
        replace(base, penalty=SquaredNormPenalty(strength=1.0)),
        replace(base, attack=FGSM(eps=0.1)),
        config(data="mnist", model="digits-real", **changes),
        config(data="digits", **changes),
    ]
    digests = [configuration_digest(other) for other in others]
    assert len({digest, *digests}) == 1 + len(others)


@given(strength=st.floats(0, 10), eps=st.floats(1e-6, 1), epochs=st.integers(1, 99))
def test_any_numbers_survive_both_ways(strength: float, eps: float, epochs: int) -> None:
    flat = {
        "penalty": "l2",
        "strength": strength,
        "adversarial": "fgsm",
        "adversarial_eps": eps,
        "epochs": epochs,
    }
    back = flat_settings(now(**flat))
    assert back is not None
    assert {name: back[name] for name in flat} == flat


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"attack": LongRangeCorrelated(eps=0.3, samples=1)},
            {"attack": LongRangeCorrelated(eps=0.3, samples=1, unit="image")},
        ),
        (
            {"attack": LongRangeCorrelated(eps=0.3, samples=1)},
            {
                "attack": LongRangeCorrelated(
                    eps=0.3, samples=1, covariance=Exponential(inter_channel=0.0)
                )
            },
        ),
        (
            {"penalty": Structured(strength=1.0, covariance=Exponential(8.0))},
            {"penalty": Structured(strength=1.0, covariance=Exponential(8.0, inter_channel=0.0))},
        ),
        (
            {"penalty": Structured(strength=1.0, covariance="stationary")},
            {"penalty": Structured(strength=1.0, covariance="stationary:estimator=unbiased")},
        ),
    ],
)
def test_a_setting_that_version_0_1_did_not_have_changes_the_digest(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, other = (replace(now(), **settings) for settings in (first, second))
    assert configuration_digest(one) != configuration_digest(other)
