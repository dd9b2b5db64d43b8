"""Laws of steadygrad.models.sources.unnamed: callables, run folders and objects."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from checkpointed_attention import Attending
from steadygrad.errors import CheckpointError, HyperparameterError, ModelError, UnknownNameError
from steadygrad.models import (
    MODELS,
    CallableModel,
    Classifier,
    ModelSpec,
    ObjectModel,
    load_classifier,
    load_model,
    model_source,
    registry,
    save_model,
)
from steadygrad.models.registry import with_weights
from steadygrad.models.smooth import Smooth
from steadygrad.models.sources import new_head
from steadygrad.penalties import NormPenalty

NETWORKS = """
import torch
from torch import nn
from steadygrad.models import Classifier

def build(width=2, name="x", at=(), classes=3):
    network = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(),
                            nn.Linear(36 * width, classes))
    network.given = (width, name, at)
    return network

class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = build()
        self.register_buffer("calls", torch.zeros(()))
    def forward(self, images):
        self.calls += 1
        return self.inside(images)

KEPT = Counting()

def kept():
    return KEPT

def classifier():
    return Classifier(build(), class_names=("a", "b", "c"), mean=(0.5,), std=(0.5,))

def compiled():
    return torch.compile(build(), backend="eager")

def parallel():
    return nn.DataParallel(build())

class Squeezed(nn.Module):
    # Weighs channels by dense layers inside, and ends in a head that is registered first.
    def __init__(self, head, channels=8):
        super().__init__()
        self.head = head
        self.stem = nn.Conv2d(1, channels, 3)
        self.gate = nn.Sequential(nn.Linear(channels, 4), nn.ReLU(), nn.Linear(4, channels))
    def forward(self, images):
        maps = self.stem(images)
        maps = maps * self.gate(maps.mean((2, 3))).sigmoid()[:, :, None, None]
        if isinstance(self.head, nn.Conv2d):
            return self.head(maps).mean((2, 3))
        return self.head(maps.mean((2, 3)))

def squeezed(dense=True, classes=3):
    return Squeezed(nn.Linear(8, classes) if dense else nn.Conv2d(8, classes, 1))

def headless():
    return Squeezed(nn.Conv2d(8, 3, (1, 2)))

def marks(path=None):
    open(path, "w").close()
    return build()
"""
SHAPE = (1, 8, 8)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "small.py").write_text(NETWORKS)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "nets"]:
        del sys.modules[name]


@pytest.mark.usefixtures("place")
def test_arguments_reach_the_callable_and_the_text_prints_back() -> None:
    text = "nets.small:build,width=3,name=wide,at=1+2,resize=8,mean=0.5,std=0.25"
    source = MODELS.parse(text)
    assert isinstance(source, CallableModel) and MODELS.text(source) == text
    assert MODELS.build(MODELS.table(source)) == source
    model = source.build(input_shape=SHAPE, num_classes=3)
    assert model.model.given == (3, "wide", (1, 2))
    images = torch.rand(2, *SHAPE)
    torch.testing.assert_close(model(images), model.model((images - 0.5) / 0.25))


@pytest.mark.usefixtures("place")
def test_weights_head_and_classes_of_a_callable(place: Path) -> None:
    torch.save(load_classifier("nets.small:build").model.state_dict(), place / "w.pt")
    text = "nets.small:build,weights=w.pt"
    with pytest.raises(ModelError, match=r"has 3 classes, but the data has 5; head=new"):
        load_classifier(text, input_shape=SHAPE, num_classes=5)
    model = load_classifier(f"{text},head=new", input_shape=SHAPE, num_classes=5)
    assert torch.equal(model.model[0].weight, torch.load(place / "w.pt")["0.weight"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_new_head_that_a_run_trained_comes_back_with_its_weights(
    place: Path, wrapped: bool
) -> None:
    own = MODELS.parse("nets.small:squeezed,head=new,resize=6")
    spec = ModelSpec(Smooth(model=own) if wrapped else own, SHAPE, 5)
    trained = spec.build().eval()
    file = place / "runs, all" / "model.safetensors"
    file.parent.mkdir()
    save_model(file, trained, spec)
    source, images = with_weights(spec.model, file), torch.rand(2, *SHAPE)
    for kept in (
        load_classifier(source),
        load_classifier(source, input_shape=SHAPE, num_classes=5),
        load_classifier(MODELS.text(spec.model), weights=file),
    ):
        assert torch.equal(kept(images), trained(images)) and kept.class_names == ()
    other = load_classifier(source, input_shape=SHAPE, num_classes=4)
    assert other(images).shape == (2, 4)
    assert torch.equal(other.model.stem.weight, trained.model.stem.weight)
    unlike = with_weights(MODELS.parse("nets.small:squeezed,head=new,classes=5"), file)
    with pytest.raises(ModelError, match="the number of classes for a new last layer"):
        load_classifier(unlike)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("text", ["dense=true", "dense=false", "dense=true,classes=8", "resize=6"])
def test_a_new_head_replaces_the_layer_that_runs_last(text: str) -> None:
    text = f"nets.small:squeezed,head=new,{text}"
    model = load_classifier(text, input_shape=SHAPE, num_classes=5)
    assert model(torch.rand(2, *SHAPE)).shape == (2, 5)
    assert len(model.model.head.weight) == 5 and model.model.gate[2].out_features == 8


@pytest.mark.parametrize(
    ("dtype", "device"), [(torch.float64, "cpu"), (torch.bfloat16, "cpu"), (torch.float32, "meta")]
)
@pytest.mark.parametrize("is_dense", [True, False])
def test_a_new_head_is_of_the_dtype_and_on_the_device_of_the_old_one(
    dtype: torch.dtype, device: str, is_dense: bool
) -> None:
    last = nn.Linear(64, 3) if is_dense else nn.Conv2d(64, 3, 1)
    shape = (-1,) if is_dense else (64, 1, 1)
    network = nn.Sequential(nn.Flatten(), nn.Unflatten(1, shape), last, nn.Flatten())
    network = network.to(dtype=dtype, device=device)
    new_head(network, 5)
    images = torch.rand(2, *SHAPE, dtype=dtype).to(device)
    assert network(images).shape == (2, 5)
    assert all(p.dtype == dtype and p.device.type == device for p in network.parameters())


@pytest.mark.usefixtures("place")
def test_a_new_head_of_a_classifier_is_of_classes_without_the_old_names() -> None:
    kept = load_classifier("nets.small:classifier")
    new = load_classifier("nets.small:classifier,head=new", input_shape=SHAPE, num_classes=5)
    assert (kept.class_names, new.class_names) == (("a", "b", "c"), ())
    assert new(torch.rand(2, *SHAPE)).shape == (2, 5)


@pytest.mark.usefixtures("place")
def test_a_network_without_a_layer_of_its_logits_has_no_head_to_replace() -> None:
    with pytest.raises(ModelError, match=r"a dense last layer of 3 outputs, one a logit, in Sq"):
        load_classifier("nets.small:headless,head=new", input_shape=SHAPE, num_classes=5)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            "nets.small:biuld",
            ModelError,
            r"has no 'biuld' \(did you mean 'build'\?\); it has build",
        ),
        ("nets.none:build", ModelError, "no module 'nets.none'"),
        ("nets.small:build,width", HyperparameterError, "expected key=value, got 'width'"),
        ("nets.small:build,widht=3", ModelError, "unexpected keyword argument 'widht'"),
        ("nets.small:build,resize=0", HyperparameterError, "expected resize >= 1"),
        (
            "nets.small:classifier,resize=8,mean=0.1,std=0.2",
            HyperparameterError,
            "is a Classifier with preprocessing of its own, beside which mean and std and resize",
        ),
        ("nets.small:classifier,resize=8", HyperparameterError, "which resize would have no"),
        ("tim:resnet50", UnknownNameError, "did you mean 'timm'"),
        ("nowhere/at/all", ModelError, "the folder of a run at nowhere/at/all, got none"),
        ("nets/", ModelError, "found no config.json in it; hf:nets/"),
    ],
)
def test_bad_input_ends_in_one_sentence(text: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        load_classifier(text)


def test_the_folder_of_a_hardening_is_told_from_others(place: Path) -> None:
    (place / "hd" / "run").mkdir(parents=True)
    (place / "hd" / "run" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json in it; the hardened network is in hd/run$"):
        load_classifier("hd")


def test_a_file_alone_does_not_decide_which_code_runs(place: Path) -> None:
    mark = place / "mark"
    source = MODELS.parse(f"nets.small:marks,path={mark}")
    spec = ModelSpec(source, SHAPE, 3)
    save_model(place / "m.safetensors", spec.build(), spec)
    mark.unlink()
    with pytest.raises(
        CheckpointError, match=r"whose code a file must not run; name the model yourself"
    ):
        load_model(place / "m.safetensors")
    smooth = MODELS.parse(f"smooth:model=callable:nets.small:marks,model.arguments=path={mark}")
    assert MODELS.parse(MODELS.text(smooth)) == smooth
    save_model(place / "s.safetensors", spec.build(), ModelSpec(smooth, SHAPE, 3))
    mark.unlink()
    with pytest.raises(CheckpointError, match=r"must not run"):
        load_model(place / "s.safetensors")
    assert not mark.exists()
    with pytest.raises(CheckpointError, match=r"must not run; name") as refused:
        load_model(place / "s.safetensors")
    advised = MODELS.parse(str(refused.value).partition(" yourself, as ")[2])
    assert advised == with_weights(smooth, place / "s.safetensors")
    model, _ = load_model(place / "m.safetensors", source=source)
    assert mark.exists() and isinstance(model, Classifier)


def test_an_object_stands_for_itself_and_says_so_when_it_is_gone() -> None:
    network = nn.Linear(2, 2)
    source = ObjectModel.of(network)
    assert source.build() is network
    assert source == ObjectModel.of(nn.Linear(2, 2)) != ObjectModel.of(nn.Linear(2, 3))
    read = MODELS.build(MODELS.table(source))
    assert read == source
    with pytest.raises(ModelError, match=r"given by a Python program and cannot be built"):
        read.build()
    with pytest.raises(HyperparameterError, match=r"expected weights for a model from outside"):
        model_source(network, "w.pt")


@pytest.mark.parametrize("frozen", [(), ("key",), ("key", "head")])
def test_an_object_with_fused_attention_gets_a_second_derivative(frozen: tuple[str, ...]) -> None:
    network = Attending(8, 4, recomputes=False)
    for name in frozen:
        getattr(network, name).requires_grad_(False)
    model = ObjectModel.of(network).build(input_shape=(1, 8, 8), num_classes=4)
    assert isinstance(model, Classifier) and model.model is network
    images = torch.rand(2, 1, 8, 8)
    NormPenalty(eps=0.1)(model, images.requires_grad_(), torch.tensor([0, 1])).loss.backward()
    torch.testing.assert_close(model(images), network(images))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    assert ObjectModel.of(plain).build(input_shape=(1, 8, 8), num_classes=4) is plain


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["KEPT", "kept"])
def test_a_network_that_a_module_keeps_is_copied_before_it_is_trained(name: str) -> None:
    spec = ModelSpec(MODELS.parse(f"nets.small:{name}"), SHAPE, 3)
    first, second = spec.build(), spec.build()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    third = spec.build()
    for one, other in zip(second.state_dict().values(), third.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not third.state_dict()["model.calls"], "the look at its logits left a trace"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["KEPT", "kept"])
def test_weights_and_a_new_head_leave_the_network_that_a_module_keeps(
    place: Path, name: str
) -> None:
    target, images = f"nets.small:{name}", torch.rand(2, *SHAPE)
    as_given = load_classifier(target)
    logits = as_given(images)
    weights = {key: tensor + 1 for key, tensor in as_given.model.state_dict().items()}
    torch.save(weights, place / "more.pt")
    more = load_classifier(f"{target},weights=more.pt")
    logits_of_more = more(images)
    new = load_classifier(f"{target},weights=more.pt,head=new", input_shape=SHAPE, num_classes=5)
    assert new(images).shape == (2, 5)
    assert torch.equal(as_given(images), logits)
    assert torch.equal(more(images), logits_of_more) and not torch.equal(logits_of_more, logits)


def test_an_object_is_copied_before_it_is_trained_and_left_without_a_trace() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network.register_buffer("calls", torch.zeros(()))
    network.register_forward_pre_hook(_count)
    made = ModelSpec(ObjectModel.of(network), SHAPE, 3).build()
    assert made is not network and not network.calls and not made.calls


def test_what_is_built_anew_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[nn.Module] = []
    monkeypatch.setattr(registry, "copied", lambda network: copies.append(network) or network)
    ModelSpec(MODELS.of("digits-gelu"), SHAPE, 3).build()
    ModelSpec(MODELS.of("smooth:model=digits-real"), SHAPE, 3).build()
    assert not copies
    ModelSpec(ObjectModel.of(nn.Sequential(nn.Flatten(), nn.Linear(64, 3))), SHAPE, 3).build()
    assert len(copies) == 1


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network.lock = threading.Lock()  # type: ignore[assignment]
    wanted = r"a network that copy\.deepcopy can copy, got .* TypeError"
    with pytest.raises(ModelError, match=wanted):
        ModelSpec(ObjectModel.of(network), SHAPE, 3).build()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["compiled", "parallel"])
def test_a_builder_s_wrapped_network_has_its_own_keys_and_loads_again(
    place: Path, name: str
) -> None:
    spec = ModelSpec(MODELS.parse(f"nets.small:{name}"), SHAPE, 3)
    made = spec.build()
    assert [*made.state_dict()] == [f"model.{key}" for key in load_plain().state_dict()]
    save_model(place / "m.safetensors", made, spec)
    again = load_classifier(f"nets.small:{name},weights=m.safetensors")
    for one, other in zip(made.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def _count(network: nn.Module, _images: object) -> None:
    network.calls += 1


def load_plain() -> nn.Module:
    model: nn.Module = load_classifier("nets.small:build").model  # type: ignore[assignment]
    return model
