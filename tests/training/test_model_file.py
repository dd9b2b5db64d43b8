"""Laws of steadygrad.training.model_file."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from steadygrad.errors import CheckpointError, OutputError
from steadygrad.models import MODELS, ObjectModel, Smooth, model_names
from steadygrad.training import ModelSpec, load_model, save_model

SPEC = ModelSpec(MODELS.parse("digits-complex:second_order=frozen_phase"), (1, 8, 8), 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, SPEC.build(), SPEC)
    return path


def rewrite(file: Path, tensors: dict[str, torch.Tensor], spec: Any = None) -> None:
    values = {"name": "digits-complex", "input_shape": [1, 8, 8], "num_classes": 10}
    save_file(tensors, file, {"steadygrad": json.dumps(values if spec is None else spec)})


def test_a_file_rebuilds_its_network_to_the_bit(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    model = SPEC.build()
    save_model(file, model, SPEC)
    random_state = torch.get_rng_state()
    loaded, spec = load_model(file)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert spec == SPEC
    assert not any(module.training for module in loaded.modules())
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(loaded(images), model.eval()(images))
    assert model.state_dict().keys() == loaded.state_dict().keys()


@pytest.mark.parametrize("activation", [None, "gelu"])
def test_a_network_given_by_a_program_loads_where_the_program_gives_it_again(
    tmp_path: Path, activation: Any
) -> None:
    def source() -> Any:
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 10))
        given = ObjectModel.of(network)
        return given if activation is None else Smooth(model=given, activation=activation)

    trained, again = source(), source()
    file, spec = tmp_path / "model.safetensors", ModelSpec(trained, (1, 8, 8), 10)
    model = spec.build()
    save_model(file, model, spec)
    before = {name: tensor.clone() for name, tensor in again.build().state_dict().items()}
    with pytest.raises(CheckpointError, match="given by a Python program"):
        load_model(file)
    loaded, _ = load_model(file, source=again)
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(loaded(images), model.eval()(images))
    kept = again.build().state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.items())


def test_equal_models_make_equal_bytes(tmp_path: Path) -> None:
    model = SPEC.build()
    for name in ("a", "b"):
        save_model(tmp_path / name, model, SPEC)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_stored_and_restored(tmp_path: Path) -> None:
    model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    model[1].weight = model[0].weight
    save_model(tmp_path / "tied", model, SPEC)
    stored = load_file(tmp_path / "tied")
    assert torch.equal(stored["0.weight"], stored["1.weight"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model file at .*absent"):
        load_model(tmp_path / "absent")


class Bomb:
    """Would create a file if anything unpickled it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "pickle"])
def test_a_damaged_or_foreign_file_is_one_sentence(file: Path, kind: str) -> None:
    marker = file.with_name("exploded")
    contents = {
        "empty": b"",
        "text": b"these are not weights",
        "truncated": file.read_bytes()[:-100],
        "pickle": pickle.dumps(Bomb(marker)),
    }
    file.write_bytes(contents[kind])
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file") as error:
        load_model(file)
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_weights_without_specification_are_refused(file: Path) -> None:
    save_file(load_file(file), file)
    with pytest.raises(CheckpointError, match="does not say of which steadygrad model"):
        load_model(file)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "has an unknown description"),
        ({"name": "digits-complex"}, "has an unknown description"),
        ({"name": "a", "input_shape": [8, 8], "num_classes": 2}, "has an unknown description"),
        (
            {"name": "digits-complex", "input_shape": [1, 8, 8], "num_classes": 2, "x": 1},
            "model digits-complex has no setting 'x'",
        ),
        ({"name": "a", "input_shape": [1, 8, 8], "num_classes": 2}, "unknown model 'a'"),
        *(
            (
                {"name": "digits-real", "input_shape": [channels, 8, 8], "num_classes": classes},
                message,
            )
            for channels, classes, message in (
                ("1", 2, "has an unknown description"),
                (1.5, 2, "has an unknown description"),
                (1, math.inf, "has an unknown description"),
                (1, 0, "has an unknown description"),
                (10**30, 2, "cannot be built"),
            )
        ),
    ],
)
def test_an_unusable_specification_is_refused(file: Path, spec: Any, message: str) -> None:
    rewrite(file, load_file(file), spec)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(file)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_are_named(file: Path) -> None:
    tensors = load_file(file)
    name = min(tensors)
    cases = {
        f"lacks '{name}'": {key: value for key, value in tensors.items() if key != name},
        "adds 'extra'": tensors | {"extra": torch.zeros(1)},
        f"expected '{name}' of shape": tensors | {name: torch.zeros(3)},
        r"torch\.float64": tensors | {name: tensors[name].double()},
    }
    for message, changed in cases.items():
        rewrite(file, changed)
        with pytest.raises(CheckpointError, match=message):
            load_model(file)


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save_model(tmp_path / "file" / "model.safetensors", SPEC.build(), SPEC)


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        (
            {"name": "digits-complex", "second_order": "frozen_phase"},
            "digits-complex:second_order=frozen_phase",
        ),
        ({"name": "digits-complex", "second_order": "exact"}, "digits-complex"),
        ({"name": "digits-complex"}, "digits-complex"),
        ({"name": "digits-real", "second_order": "exact"}, "digits-real"),
        ({"name": "digits-real", "second_order": "frozen_phase"}, "digits-real"),
    ],
)
def test_a_file_of_version_0_1_is_understood(
    tmp_path: Path, flat: dict[str, Any], expected: str
) -> None:
    spec = ModelSpec(MODELS.parse(expected), (1, 8, 8), 10)
    model, file = spec.build(), tmp_path / "model.safetensors"
    written = flat | {"input_shape": [1, 8, 8], "num_classes": 10}
    save_file(model.state_dict(), file, {"steadygrad": json.dumps(written)})
    loaded, found = load_model(file)
    assert found == spec
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_every_model_comes_back_from_its_specification() -> None:
    # Those from outside are asked in tests/models/sources: a file's weights replace their own.
    for name in model_names():
        spec = ModelSpec(MODELS.parse(name), (3, 32, 32), 7)
        assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert spec.name == name


def test_a_local_folder_that_a_network_is_built_from_is_named_for_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vit").mkdir()
    monkeypatch.chdir(tmp_path)
    named = ModelSpec(MODELS.parse("smooth:model=hf:vit"), (3, 8, 8), 10)
    assert named.to_dict()["model"]["model"]["source"] == str(tmp_path / "vit")
