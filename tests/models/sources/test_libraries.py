"""Laws of steadygrad.models.sources.libraries, with a stand-in for timm and without the others."""

import sys
from pathlib import Path

import pytest
import torch

from models.sources.fake_timm import TinyNet, fake_timm
from steadygrad.errors import CheckpointError, MissingExtraError, ModelError
from steadygrad.models import MODELS, Classifier, bare, load_classifier


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in fake_timm().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(TinyNet().state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.usefixtures("timm")
def test_preprocessing_of_timm_lies_inside(weights: Path) -> None:
    model = load_classifier("timm:tinynet", weights=weights)
    assert isinstance(model, Classifier) and model.image_size == 16
    images = torch.rand(2, 3, 16, 16)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.5])
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(model(images), model.model(normalised))
    assert model.describe() == (
        "mean 0.5/0.4/0.3 and std 0.2/0.25/0.5, image size 16 (from timm's data configuration of "
        "tinynet)"
    )


@pytest.mark.usefixtures("timm")
def test_weights_of_other_classes_get_a_new_last_layer_only_when_asked(weights: Path) -> None:
    shape = (3, 16, 16)
    with pytest.raises(CheckpointError, match=r"'head.weight' of shape \(3, 4\), got \(7, 4\)"):
        load_classifier("timm:tinynet", weights=weights, input_shape=shape, num_classes=3)
    model = load_classifier(
        f"timm:tinynet,head=new,weights={weights}", input_shape=shape, num_classes=3
    )
    assert model(torch.rand(2, *shape)).shape == (2, 3)
    assert torch.equal(model.model.stem.weight, torch.load(weights)["stem.weight"])
    with pytest.raises(ModelError, match=r"expected the number of classes for a new last layer"):
        load_classifier("timm:tinynet,head=new,pretrained=false")


@pytest.mark.usefixtures("timm")
def test_images_of_another_kind_are_refused_in_one_sentence(weights: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot take images of 1x16x16"):
        load_classifier("timm:tinynet", weights=weights, input_shape=(1, 16, 16))
    small = (3, 2, 2)
    with pytest.raises(ModelError, match=r"cannot take images of 3x2x2: .*resize=SIDE"):
        load_classifier("timm:tinynet", weights=weights, input_shape=small)
    scaled = load_classifier("timm:tinynet,resize=16", weights=weights, input_shape=small)
    assert scaled(torch.rand(1, *small)).shape == (1, 7)


@pytest.mark.usefixtures("timm")
def test_a_misspelt_name_and_no_network(weights: Path) -> None:
    with pytest.raises(ModelError, match=r"timm has no model 'tinynett' .did you mean 'tinynet'"):
        load_classifier("timm:tinynett,pretrained=false")
    with pytest.raises(ModelError, match=r"cannot fetch timm:tinynet without a network; .*"):
        load_classifier("timm:tinynet")
    assert load_classifier("timm:tinynet", weights=weights) is not None  # nothing is fetched


@pytest.mark.parametrize("name", ["timm", "torchvision", "transformers"])
def test_a_missing_library_is_named_with_what_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    source = {"transformers": "hf"}.get(name, name)
    with pytest.raises(MissingExtraError, match=f"{name} .*"):
        load_classifier(f"{source}:anything")


def test_a_bare_source_names_no_weights(weights: Path) -> None:
    source = MODELS.parse(f"timm:tinynet,weights={weights},head=new")
    assert MODELS.text(bare(source)) == "timm:tinynet,head=new,pretrained=false"
