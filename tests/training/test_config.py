"""Laws of steadygrad.training.config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.training import TrainingConfig

Make = Callable[..., TrainingConfig]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, r"expected epochs >= 1, got 0"),
    ({"epochs": 2.5}, r"expected epochs as a whole number, got 2\.5"),
    ({"epochs": True}, r"expected epochs as a whole number, got True"),
    ({"batch_size": 0}, r"expected batch_size >= 1, got 0"),
    ({"limit_train": 0}, r"expected limit_train >= 1, got 0"),
    ({"validation_size": -1}, r"expected validation_size >= 0, got -1"),
    ({"seed": -1}, r"expected seed >= 0, got -1"),
    ({"learning_rate": 0}, r"expected learning_rate > 0, got 0\.0"),
    ({"learning_rate": float("nan")}, r"expected learning_rate to be finite, got nan"),
    ({"learning_rate": "fast"}, r"expected learning_rate as a number, got 'fast'"),
    ({"momentum": 1}, r"expected momentum in \[0, 1\), got 1\.0"),
    ({"momentum": 0}, r"expected momentum > 0 with nesterov, got 0"),
    ({"weight_decay": -1}, r"expected weight_decay >= 0, got -1\.0"),
    ({"adam_eps": 0}, r"expected adam_eps > 0, got 0\.0"),
    ({"drop_factor": 0}, r"expected drop_factor in \(0, 1\], got 0\.0"),
    ({"drop_at": (5, 5)}, r"expected drop_at as rising epochs from 1, got \(5, 5\)"),
    ({"drop_at": (0,)}, r"expected drop_at as rising epochs from 1, got \(0,\)"),
    ({"drop_at": 10}, r"expected drop_at as a list of whole numbers, got 10"),
    ({"optimizer": "lion"}, r"expected optimizer to be one of 'sgd', 'adam', got 'lion'"),
    ({"flip": 1}, r"expected flip as true or false, got 1"),
    ({"noise": "pink:1"}, r"noise"),
    ({"crop_padding": -1}, r"crop_padding >= 0, got -1"),
    ({"crop_value": 128}, r"crop_value in \[0, 1\], got 128\.0"),
    ({"checkpoint_seconds": -1}, r"expected checkpoint_seconds >= 0, got -1\.0"),
    ({"strength": 0.1}, r"strength 0\.1 has no effect without a penalty"),
    ({"penalty": "l1", "strength": -1}, r"expected strength >= 0, got -1\.0"),
    ({"penalty": "l1", "difference_order": 3}, r"expected difference_order 1 or 2, got 3"),
    ({"difference_step": 0}, r"expected difference_step > 0, got 0\.0"),
    ({"adversarial": "pgd"}, r"adversarial_eps in \(0, 1\] with adversarial 'pgd', got 0"),
    ({"adversarial": "pgd", "adversarial_eps": 8}, r"in \[0, 1\], got 8\.0; did you mean N/255"),
    ({"covariance_decay": 0}, r"expected covariance_decay in \(0, 1\], got 0\.0"),
    ({"covariance_every": 0}, r"expected covariance_every >= 1, got 0"),
    ({"decay_length": 0}, r"expected decay_length > 0, got 0\.0"),
    (
        {"penalty": "sgr", "covariance_source": "cw"},
        r"covariance_source to be one of 'gradient', 'fgsm', 'pgd', 'deepfool', got 'cw'",
    ),
    (
        {"covariance": "dense"},
        r"covariance dense has no effect with penalty 'none'; choose penalty 'sgr'",
    ),
    ({"penalty": "gn", "covariance_decay": 0.2}, r"covariance_decay 0\.2 has no effect with pen"),
    (
        {"penalty": "sgr", "covariance": "dataset", "covariance_every": 2},
        r"covariance_every 2 has no effect with covariance 'dataset', which never changes",
    ),
    (
        {"penalty": "sgr", "covariance": "a/file.safetensors", "covariance_source": "pgd"},
        r"covariance_source pgd has no effect with covariance 'a/file\.safetensors'",
    ),
    ({"penalty": "sgr", "covariance_eps": 8}, r"covariance_eps in \(0, 1\], got 8\.0; did you"),
    ({"penalty": "sgr", "covariance_eps": 0}, r"expected covariance_eps in \(0, 1\], got 0\.0$"),
    ({"penalty": "sgr", "covariance_steps": 0}, r"expected covariance_steps >= 1, got 0"),
    (
        {"penalty": "sgr", "covariance_eps": 0.1},
        r"covariance_eps 0\.1 has no effect with covariance_source 'fgsm'; choose 'pgd', or leave",
    ),
    (
        {"penalty": "sgr", "covariance_source": "deepfool", "covariance_eps": 0.1},
        r"covariance_eps 0\.1 has no effect with covariance_source 'deepfool'",
    ),
    (
        {"penalty": "sgr", "covariance_source": "gradient", "covariance_steps": 3},
        r"covariance_steps 3 has no effect with .* 'gradient'; choose 'pgd' or 'deepfool', or",
    ),
    (
        {"penalty": "gn", "covariance_mean": True},
        r"covariance_mean True has no effect with penalty 'gn'; choose penalty 'sgr'",
    ),
    (
        {"penalty": "sgr", "covariance": "exponential", "covariance_mean": True},
        r"covariance_mean True has no effect with covariance 'exponential', which never changes",
    ),
    (
        {"penalty": "sgr", "covariance_mean": True, "backend": "finite_difference"},
        r"backend 'double_backprop' along with covariance_mean, got 'finite_difference'",
    ),
    (
        {"penalty": "sgr", "decay_length": 4},
        r"decay_length 4\.0 has no effect with covariance 'stationary'; choose 'exponential'",
    ),
    ({"adversarial_eps": 0.1}, r"adversarial_eps 0\.1 has no effect without an attack"),
    ({"adversarial_fraction": 0.5}, r"adversarial_fraction 0\.5 has no effect without an attack"),
    (
        {"adversarial": "fgsm", "adversarial_eps": 0.1, "adversarial_fraction": 0},
        r"expected adversarial_fraction in \(0, 1\], got 0\.0",
    ),
    (
        {"adversarial": "cw", "adversarial_eps": 0.1},
        r"adversarial to be one of 'none', 'fgsm', 'pgd', 'lrc', 'white-noise', got 'cw'",
    ),
    (
        {"adversarial_covariance": "dataset"},
        r"adversarial_covariance dataset has no effect without an attack; choose adversarial",
    ),
    ({"adversarial": "lrc"}, r"adversarial_eps in \(0, 1\] with adversarial 'lrc', got 0"),
    ({"adversarial_decay_length": 0}, r"expected adversarial_decay_length > 0, got 0\.0"),
    (
        {"adversarial": "fgsm", "adversarial_eps": 0.1, "adversarial_steps": 8},
        r"adversarial_steps 8 has no effect with adversarial 'fgsm'; choose adversarial 'pgd'",
    ),
    (
        {"adversarial": "lrc", "adversarial_eps": 0.1, "adversarial_steps": 8},
        r"adversarial_steps 8 has no effect with adversarial 'lrc'",
    ),
    (
        {"adversarial": "lrc", "adversarial_eps": 0.1, "adversarial_from": "predicted"},
        r"adversarial_from predicted has no effect with adversarial 'lrc', which asks the model",
    ),
    (
        {"adversarial": "white-noise", "adversarial_eps": 0.1, "adversarial_decay_length": 4},
        r"adversarial_decay_length 4\.0 has no effect with adversarial 'white-noise'; choose adv",
    ),
    (
        {
            "adversarial": "lrc",
            "adversarial_eps": 0.1,
            "adversarial_covariance": "dataset",
            "adversarial_decay_length": 4,
        },
        r"decay_length 4\.0 has no effect with adversarial_covariance 'dataset'; choose 'expo",
    ),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_setting_outside_its_range_is_refused_by_name(
    config: Make, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(HyperparameterError, match=message):
        config(**settings)


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"model": "lenet"}, "yeats2021-mnist-complex"),
        ({"penalty": "l3", "strength": 1}, "none, l1, l2, linf, gn, sgr"),
        ({"penalty": "sgr", "covariance": "statoinary"}, r"dense, stationary, .*\.safetensors"),
        (
            {"adversarial": "lrc", "adversarial_eps": 0.1, "adversarial_covariance": "dense"},
            r"exponential, dataset, or the path of a \.safetensors file, got 'dense'",
        ),
        ({"backend": "magic"}, "double-backprop"),
    ],
)
def test_an_unknown_name_is_answered_with_those_there_are(
    config: Make, settings: dict[str, Any], listed: str
) -> None:
    with pytest.raises(UnknownNameError, match=listed):
        config(**settings)


def test_the_default_rate_follows_the_optimizer(config: Make) -> None:
    assert config().rate == 0.005
    assert config(optimizer="adam").rate == 0.001
    assert config(optimizer="adam", learning_rate=0.3).rate == 0.3


def test_json_gives_back_an_equal_configuration(config: Make) -> None:
    original = config(drop_at=[1, 3], penalty="l2", strength=1, data_dir=Path("data"), flip=True)
    assert TrainingConfig.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert original.drop_at == (1, 3)


def test_unknown_settings_are_refused_by_name_with_those_there_are() -> None:
    with pytest.raises(HyperparameterError, match=r"unknown setting 'epoch'; choose.* epochs,"):
        TrainingConfig.from_dict({"dataset": "digits", "model": "digits-real", "epoch": 3})


def test_the_two_settings_without_default_are_asked_for() -> None:
    with pytest.raises(HyperparameterError, match="expected a setting for dataset and model"):
        TrainingConfig.from_dict({"epochs": 3})


def test_a_toml_file_can_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'dataset = "digits"\nmodel = "digits-real"\npenalty = "l1"\n'
        "strength = 1\ndrop_at = [2]\nepochs = 3\n"
    )
    config = TrainingConfig.from_toml(file, epochs=4)
    assert (config.strength, config.drop_at, config.epochs) == (1.0, (2,), 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = ", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (None, "cannot read"),
        (b'dataset = "digits"\nmodel = "digits-real"\n[sgd]\nlr = 1\n', "unknown setting 'sgd'"),
    ],
)
def test_a_bad_toml_file_is_one_sentence(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HyperparameterError, match=message):
        TrainingConfig.from_toml(file)


@pytest.mark.parametrize(
    ("second_order", "given", "resolved"),
    [("exact", None, True), ("frozen_phase", None, False), ("frozen_phase", True, True)],
)
def test_frozen_phase_trains_with_plain_momentum_unless_told_otherwise(
    second_order: str, given: bool | None, resolved: bool
) -> None:
    config = TrainingConfig(
        dataset="digits", model="digits-complex", second_order=second_order, nesterov=given
    )
    assert config.nesterov is resolved
