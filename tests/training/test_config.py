"""Laws of steadygrad.training.config: a nest of parts, however it is written down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from part_examples import drawn_parts
from steadygrad.attacks import PGD, Mixture
from steadygrad.covariance import Exponential, Stationary
from steadygrad.datasets import AUGMENTATIONS, DATA_SOURCES, HorizontalFlip, UniformNoise
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.models import MODELS, ObjectModel
from steadygrad.parts import part_fields
from steadygrad.penalties import (
    BinaryCrossEntropy,
    CrossEntropy,
    GradientNormPenalty,
    Structured,
)
from steadygrad.training import (
    SGD,
    TRACKERS,
    AdamW,
    ClipNorm,
    Cosine,
    ExponentialMovingAverage,
    MultiStep,
    Ramp,
    TrainingConfig,
)

Make = Callable[..., TrainingConfig]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, r"expected epochs >= 1, got 0"),
    ({"epochs": 2.5}, r"training: epochs: expected a whole number, got 2\.5"),
    ({"epochs": True}, r"training: epochs: expected a whole number, got True"),
    ({"batch_size": 0}, r"expected batch_size >= 1, got 0"),
    ({"limit_train": 0}, r"expected limit_train >= 1, got 0"),
    ({"validation_size": -1}, r"expected validation_size >= 0, got -1"),
    ({"test_images": -1}, r"expected test_images >= 0, got -1"),
    ({"seed": -1}, r"expected seed >= 0, got -1"),
    ({"update_similarity": 1}, r"update_similarity: expected true or false, got 1"),
    ({"checkpoint_seconds": -1}, r"expected checkpoint_seconds >= 0, got -1"),
    ({"checkpoint_seconds": 10**400}, r"checkpoint_seconds: expected a number up to 1.8e308"),
    ({"checkpoint_seconds": float("nan")}, r"checkpoint_seconds: expected a finite number"),
    ({"optimizer": "sgd:learning_rate=0"}, r"expected learning_rate > 0, got 0"),
    ({"optimizer": "sgd:learning_rate=nan"}, r"expected a finite number, got nan"),
    ({"optimizer": "sgd:learning_rate=fast"}, r"expected a number, got 'fast'"),
    ({"optimizer": "sgd:momentum=1"}, r"expected momentum in \[0, 1\), got 1"),
    ({"optimizer": "sgd:momentum=0,nesterov=true"}, r"momentum > 0 with nesterov, got 0"),
    ({"optimizer": "adamw:weight_decay=-1"}, r"expected weight_decay >= 0, got -1"),
    ({"optimizer": "adam:denominator=0"}, r"expected denominator > 0, got 0"),
    ({"optimizer": "adam:momentum=0.9"}, r"optimizer adam has no setting 'momentum'"),
    ({"schedule": "multi-step:10,drop=0"}, r"expected drop in \(0, 1\], got 0"),
    ({"schedule": "multi-step:5+5"}, r"expected at as rising epochs from 1, got \(5, 5\)"),
    ({"schedule": "multi-step:0"}, r"expected at as rising epochs from 1, got \(0,\)"),
    ({"schedule": "multi-step"}, r"schedule multi-step needs a value for at"),
    ({"augmentation": ["crop:-1"]}, r"expected padding >= 1, got -1"),
    ({"augmentation": ["crop:1,value=128"]}, r"value in \[0, 1\], got 128"),
    ({"augmentation": ["uniform:8"]}, r"noise scale in \[0, 1\], got 8\.0; did you mean 8/255"),
    ({"augmentation": 3}, r"augmentation: expected a list of parts, got 3"),
    ({"optimizer": 3}, r"expected an optimizer, got 3"),
    ({"penalty": True}, r"expected a penalty, got True"),
    ({"averaging": "ema:1"}, r"expected rate in \[0, 1\), got 1"),
    ({"clipping": "norm:0"}, r"expected length > 0, got 0"),
    ({"clipping": "value:-1"}, r"expected largest > 0, got -1"),
    ({"ramp": "ramp:5"}, r"expected a penalty along with the ramp ramp:5, got none"),
    ({"penalty_every": 2}, r"expected a penalty along with penalty_every 2, got none"),
    ({"penalty_every": 0, "penalty": "norm:eps=0.1"}, r"expected penalty_every >= 1, got 0"),
    ({"ramp": "ramp:0", "penalty": "gn:strength=1"}, r"expected epochs > 0 for a ramp, got 0"),
    ({"loss": "binary-cross-entropy"}, r"expected a loss of one logit a class for a training"),
    ({"penalty": "squared-norm"}, r"penalty squared-norm needs a value for strength"),
    ({"penalty": "squared-norm:strength=-1"}, r"expected strength >= 0, got -1"),
    ({"penalty": "norm:eps=8"}, r"in \[0, 1\], got 8\.0; did you mean 8/255"),
    (
        {"penalty": "squared-norm:strength=1,backend=finite-difference,backend.order=3"},
        r"order: expected one of 1, 2, got '3'",
    ),
    ({"penalty": "gn:strength=1,decay=0.2"}, r"penalty gn has no setting 'decay'"),
    (
        {"penalty": "sgr:strength=1,covariance=stationary,covariance.decay=0"},
        r"expected decay in \(0, 1\], got 0",
    ),
    (
        {"penalty": "sgr:strength=1,covariance=exponential:0"},
        r"decay_length > 0",
    ),
    (
        {"penalty": "sgr:strength=1,covariance=dataset,covariance.every=2"},
        r"covariance dataset has no setting 'every'",
    ),
    ({"attack": "pgd"}, r"attack pgd needs a value for eps"),
    ({"attack": "pgd:eps=8"}, r"in \[0, 1\], got 8\.0; did you mean 8/255"),
    ({"attack": "fgsm:eps=0.1,steps=8"}, r"attack fgsm has no setting 'steps'"),
    (
        {"attack": "mixture:attack=fgsm,attack.eps=0.1,fraction=0"},
        r"expected a fraction in \(0, 1\], got 0",
    ),
    ({"attack": "lrc:eps=0.1,covariance=exponential:0"}, r"decay_length > 0"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_setting_outside_its_range_is_refused_by_name_in_both_forms(
    config: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((HyperparameterError, UnknownNameError), match=message):
        config(**changes)
    with pytest.raises((HyperparameterError, UnknownNameError), match=message):
        TrainingConfig.from_dict({"data": "digits", "model": "digits-gelu"} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "lenet"}, r"unknown model 'lenet'.*yeats2021-mnist-complex"),
        ({"data": "mnits"}, r"unknown data set 'mnits' \(did you mean 'mnist'\?\)"),
        ({"penalty": "l3:strength=1"}, r"unknown penalty 'l3'.*squared-norm, gn, norm"),
        ({"penalty": "squared-norm:strength=1,norm=l3"}, r"unknown norm 'l3'.*l1, l2, linf"),
        ({"penalty": "sgr:strength=1,covariance=statoinary"}, r"did you mean 'stationary'\?"),
        (
            {"penalty": "sgr:strength=1,covariance=dense,covariance.source=cw"},
            r"unknown source 'cw'.*gradient, fgsm, pgd, deepfool",
        ),
        ({"penalty": "squared-norm:strength=1,backend=magic"}, r"unknown backend 'magic'"),
        ({"attack": "cw:eps=0.1"}, r"unknown attack 'cw'"),
        ({"augmentation": ["pink:1"]}, r"unknown augmentation( step)? 'pink'"),
        ({"optimizer": "lion"}, r"unknown optimizer 'lion'.*sgd, adam, adamw"),
        ({"schedule": "cosin"}, r"did you mean 'cosine'\?"),
        ({"loss": "hinge"}, r"unknown loss 'hinge'"),
    ],
)
def test_an_unknown_name_is_answered_with_those_there_are(
    config: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        config(**changes)


def test_text_table_and_objects_build_equal_configurations() -> None:
    by_objects = TrainingConfig(
        data=DATA_SOURCES.get("digits")(),
        model=MODELS.get("digits-complex")(second_order="frozen_phase"),
        penalty=Structured(strength=0.005, covariance=Exponential(decay_length=4.0)),
        ramp=Ramp(epochs=5.0),
        loss=CrossEntropy(smoothing=0.1),
        attack=Mixture(attack=PGD(eps=8 / 255, steps=3), fraction=0.25),
        augmentation=(HorizontalFlip(), UniformNoise(0.1)),
        optimizer=AdamW(learning_rate=0.01),
        schedule=MultiStep(at=(3, 7), drop=0.5),
        averaging=ExponentialMovingAverage(rate=0.9),
        clipping=ClipNorm(length=5.0),
        epochs=9,
    )
    texts: dict[str, Any] = {
        "data": "digits",
        "model": "digits-complex:second_order=frozen_phase",
        "penalty": "sgr:strength=0.005,covariance=exponential,covariance.decay_length=4",
        "ramp": "ramp:5",
        "loss": "cross-entropy:smoothing=0.1",
        "attack": "mixture:attack=pgd,attack.eps=8/255,attack.steps=3,fraction=0.25",
        "augmentation": ["flip", "uniform:0.1"],
        "optimizer": "adamw:learning_rate=0.01",
        "schedule": "multi-step:3+7,drop=0.5",
        "averaging": "ema:0.9",
        "clipping": "norm:5",
        "epochs": 9,
    }
    tables: dict[str, Any] = {
        "data": {"name": "digits"},
        "model": {"name": "digits-complex", "second_order": "frozen_phase"},
        "penalty": {
            "name": "sgr",
            "strength": 0.005,
            "covariance": {"name": "exponential", "decay_length": 4},
        },
        "ramp": {"name": "ramp", "epochs": 5},
        "loss": {"name": "cross-entropy", "smoothing": 0.1},
        "attack": {
            "name": "mixture",
            "attack": {"name": "pgd", "eps": "8/255", "steps": 3},
            "fraction": 0.25,
        },
        "augmentation": [{"name": "flip"}, {"name": "uniform", "half_width": 0.1}],
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "multi-step", "at": [3, 7], "drop": 0.5},
        "averaging": {"name": "ema", "rate": 0.9},
        "clipping": {"name": "norm", "length": 5},
        "epochs": 9,
    }
    for written in (texts, tables):
        assert TrainingConfig(**written) == TrainingConfig.from_dict(written) == by_objects
    assert hash(TrainingConfig(**texts)) == hash(by_objects)


def test_toml_with_nested_tables_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        """
        data = "digits"
        model = "digits-real"
        augmentation = ["flip", {name = "crop", padding = 1}]
        schedule = {name = "multi-step", at = [2]}
        epochs = 3

        [penalty]
        name = "sgr"
        strength = 1
        [penalty.covariance]
        name = "stationary"
        decay = 0.3
        source = "pgd"

        [attack]
        name = "mixture"
        attack = "fgsm:eps=8/255"
        """
    )
    config = TrainingConfig.from_toml(file, epochs=4)
    expected = TrainingConfig(
        data="digits",
        model="digits-real",
        augmentation=["flip", "crop:1"],
        schedule="multi-step:2",
        epochs=4,
        penalty="sgr:strength=1,covariance=stationary,covariance.decay=0.3,covariance.source=pgd",
        attack="mixture:attack=fgsm,attack.eps=8/255",
    )
    assert config == expected
    assert isinstance(config.penalty, Structured)
    assert isinstance(config.penalty.covariance, Stationary)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = ", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (None, "cannot read"),
        (
            b'data = "digits"\nmodel = "digits-real"\n[sgd]\nlr = 1\n',
            r"training has no setting 'sgd'",
        ),
        (
            b'data = "digits"\nmodel = "digits-real"\n[penalty]\nstrength = 1\n',
            r"expected a table with the name of a penalty, got \{'strength': 1\}",
        ),
        (
            b'data = "digits"\nmodel = "digits-real"\n[penalty]\nname = "gn"\nstrenght = 1\n',
            r"penalty gn has no setting 'strenght' \(did you mean 'strength'\?\)",
        ),
    ],
)
def test_a_bad_toml_file_is_one_sentence(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HyperparameterError, match=message) as refused:
        TrainingConfig.from_toml(file)
    assert str(refused.value).count(str(file)) == 1


def test_unknown_settings_are_refused_by_name_with_those_there_are() -> None:
    with pytest.raises(
        HyperparameterError,
        match=r"training has no setting 'epoch' \(did you mean 'epochs'\?\); choose.* epochs,",
    ):
        TrainingConfig.from_dict({"data": "digits", "model": "digits-real", "epoch": 3})


def test_the_two_settings_without_default_are_asked_for() -> None:
    with pytest.raises(HyperparameterError, match="training needs a value for data and model"):
        TrainingConfig.from_dict({"epochs": 3})


def test_a_part_that_is_none_is_written_none(config: Make) -> None:
    for name in ("penalty", "ramp", "attack", "averaging", "clipping"):
        assert getattr(config(**{name: "none"}), name) is None
        assert TrainingConfig.from_dict(config().to_dict() | {name: "none"}) == config()
    with pytest.raises(HyperparameterError, match="optimizer: expected an optimizer, got none"):
        config(optimizer="none")
    with pytest.raises(HyperparameterError, match="optimizer: expected an optimizer, got none"):
        config(optimizer=None)


@pytest.mark.parametrize(
    ("model", "given", "resolved"),
    [
        ("digits-complex", "sgd", True),
        ("digits-complex:second_order=frozen_phase", "sgd", False),
        ("digits-complex:second_order=frozen_phase", "sgd:nesterov=true", True),
        ("digits-complex", "sgd:momentum=0", False),
    ],
)
def test_frozen_phase_trains_with_plain_momentum_unless_told_otherwise(
    config: Make, model: str, given: str, resolved: bool
) -> None:
    optimizer = config(model=model, optimizer=given).optimizer
    assert isinstance(optimizer, SGD)
    assert optimizer.nesterov is resolved


def test_json_gives_back_an_equal_configuration(config: Make) -> None:
    original = config(
        data="mnist:data_dir=data",
        schedule="multi-step:1+3",
        penalty=GradientNormPenalty(strength=1.0),
        augmentation=["flip"],
    )
    assert TrainingConfig.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert original.schedule == MultiStep(at=(1, 3))


FAMILIES = {
    setting.key: setting.family
    for setting in part_fields(TrainingConfig)
    if setting.family is not None and setting.key not in ("augmentation", "trackers")
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), epochs=st.integers(1, 100), similarity=st.booleans())
def test_any_nest_of_registered_parts_survives_its_table(
    data: st.DataObject, epochs: int, similarity: bool
) -> None:
    parts = {key: data.draw(drawn_parts(family), label=key) for key, family in FAMILIES.items()}
    assume(not isinstance(parts["loss"], BinaryCrossEntropy))  # refused in a training
    parts["mixing" if similarity else "attack"] = None  # an attack needs one label an image
    steps = data.draw(st.lists(drawn_parts(AUGMENTATIONS), max_size=3), label="augmentation")
    trackers = data.draw(st.lists(drawn_parts(TRACKERS), max_size=2), label="trackers")
    original = TrainingConfig(
        **parts, augmentation=steps, trackers=trackers, epochs=epochs, update_similarity=similarity
    )
    table = json.loads(json.dumps(original.to_dict()))
    assert TrainingConfig.from_dict(table) == original
    assert TrainingConfig.from_dict(table).to_dict() == original.to_dict()


def test_paths_become_absolute_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "vit").mkdir()
    for text, expected in {
        "timm:resnet18,weights=w.pt": f"timm:resnet18,weights={tmp_path}/w.pt",
        "smooth:model=run:runs/base": f"smooth:model=run:{tmp_path}/runs/base",
        "hf:vit,weights=vit": f"hf:{tmp_path}/vit,weights={tmp_path}/vit",
        "hf:owner/name": "hf:owner/name",
    }.items():
        config = TrainingConfig(data="photos", model=text)
        assert config.model_text == expected
        assert DATA_SOURCES.text(config.data) == f"folder:{tmp_path}/photos"
        assert TrainingConfig.from_dict(config.to_dict()) == config
    named = TrainingConfig(data="mnist:data_dir=data", model="digits-gelu")
    assert DATA_SOURCES.text(named.data) == f"mnist:data_dir={tmp_path}/data"


def test_a_network_that_a_program_gave_stays_in_its_configuration(config: Make) -> None:
    network = nn.Linear(2, 2)
    held: Any = config(model=ObjectModel.of(network)).model
    assert held.network is network


def test_the_default_schedule_and_its_like_are_parts(config: Make) -> None:
    plain = config()
    assert plain.to_dict()["schedule"] == {"name": "constant"}
    assert config(schedule="cosine:warmup=1").schedule == Cosine(warmup=1.0)
    assert plain.model_text == "digits-gelu"
    assert plain.data_title == "digits"
