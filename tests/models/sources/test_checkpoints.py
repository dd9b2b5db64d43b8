"""Laws of steadygrad.models.sources.checkpoints: what users' files look like."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from steadygrad.errors import CheckpointError
from steadygrad.models import load_weights


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    trained = network()
    trained(torch.rand(4, 1, 8, 8))  # the running statistics are no longer those of a fresh network
    return dict(trained.state_dict())


def loaded(path: Path, state: dict[str, Tensor], content: Any) -> tuple[str, ...]:
    """Return what was understood of a file, whose tensors must have arrived."""
    torch.save(content, path)
    model = network()
    notes = load_weights(model, path)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name].to(tensor.dtype), rtol=1e-2, atol=1e-2)
    return notes


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("", ()),
        ("module.", ("removed module. from its keys",)),
        ("model.", ("removed model. from its keys",)),
        ("module.module.", ("removed module.module. from its keys",)),
        ("_orig_mod.", ("removed _orig_mod. from its keys",)),
        (
            "module._orig_mod.",
            ("removed _orig_mod. from its keys", "removed module. from its keys"),
        ),
        ("my_backbone.", ("removed my_backbone. from its keys",)),
    ],
)
def test_prefixes_are_understood_and_named(
    tmp_path: Path, state: dict[str, Tensor], prefix: str, said: tuple[str, ...]
) -> None:
    named = {prefix + key: tensor for key, tensor in state.items()}
    assert loaded(tmp_path / "w.pt", state, named) == said


def test_a_prefix_that_only_the_model_has_is_added(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    torch.save(state, tmp_path / "w.pt")
    model = nn.ModuleDict({"inner": network()})
    assert load_weights(model, tmp_path / "w.pt") == ("put inner. before its keys",)
    assert torch.equal(model["inner"][0].weight, state["0.weight"])  # type: ignore[index]


def test_lightning_averages_and_other_wrappers(tmp_path: Path, state: dict[str, Tensor]) -> None:
    lightning = {f"model.{key}": tensor for key, tensor in state.items()}
    lightning["criterion.weight"] = torch.ones(3)
    assert loaded(tmp_path / "l.ckpt", state, {"state_dict": lightning, "epoch": 1}) == (
        "taken from its entry 'state_dict'",
        "removed model. from its keys",
        "left out 1 of its tensors, such as 'criterion.weight'",
    )
    both = {"net": state, "acc": 93.1, "ema": state}
    assert loaded(tmp_path / "n.pt", state, both) == ("taken from its entry 'net', not from ema",)
    own = network()
    own.load_state_dict(state)
    averaged = torch.optim.swa_utils.AveragedModel(own).state_dict()
    assert loaded(tmp_path / "s.pt", state, averaged) == (
        "removed module. from its keys",
        "the weights are averages (n_averaged)",
    )


def test_keys_of_another_implementation_are_matched_by_order(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    parts = {"0": "_stem", "1": "_bn0", "3": "_fc"}
    renamed = {parts[key.partition(".")[0]] + key[1:]: tensor for key, tensor in state.items()}
    (said,) = loaded(tmp_path / "r.pt", state, renamed)
    assert said.endswith("by order, shape and role, from '_stem.weight' for '0.weight' on")
    swapped = dict(reversed(renamed.items()))
    torch.save(swapped, tmp_path / "s.pt")
    with pytest.raises(CheckpointError, match="it lacks"):
        load_weights(network(), tmp_path / "s.pt")


class Attention(nn.Module):
    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            setattr(self, name, nn.Linear(4, 4))


@pytest.mark.parametrize(
    ("ours", "theirs", "is_clear"),
    [
        (("q", "k"), ("key", "query"), False),
        (("q", "k"), ("query", "key"), False),  # right by chance
        (("layer1", "layer2"), ("block0", "block1"), True),
        (("layer1", "layer2"), ("block10", "block9"), False),
        (("bn1", "blocks_bn1"), ("_bn0", "_blocks_0_bn1"), True),
    ],
)
def test_layers_of_equal_shapes_are_matched_by_order_only_where_names_say_so(
    tmp_path: Path, ours: tuple[str, ...], theirs: tuple[str, ...], is_clear: bool
) -> None:
    torch.manual_seed(0)
    model, other = Attention(*ours), Attention(*theirs)
    torch.save(other.state_dict(), tmp_path / "w.pt")
    if is_clear:
        load_weights(model, tmp_path / "w.pt")
        for name, its_name in zip(ours, theirs, strict=True):
            kept, stored = model.get_submodule(name), other.get_submodule(its_name)
            assert torch.equal(kept.weight, stored.weight)  # type: ignore[arg-type]
    else:
        with pytest.raises(CheckpointError, match="have equal shapes: which of them is"):
            load_weights(model, tmp_path / "w.pt")


def test_two_whole_networks_in_a_file_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    two = {
        prefix + key: tensor for prefix in ("backbone.", "ema.") for key, tensor in state.items()
    }
    torch.save(two, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"under backbone\. and under ema\.; save"):
        load_weights(network(), tmp_path / "w.pt")


def test_entries_of_entries_and_extra_state(tmp_path: Path, state: dict[str, Tensor]) -> None:
    nested = {"model": {"epoch": 1, "state_dict": state}}
    assert loaded(tmp_path / "n.pt", state, nested) == (
        "taken from its entry 'model'",
        "taken from its entry 'state_dict'",
    )
    extra = state | {"1._extra_state": {"scale": 2}}
    assert loaded(tmp_path / "e.pt", state, extra) == (
        "left out its extra state, which is no tensor",
    )

    class Remembering(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

        def set_extra_state(self, state: dict[str, int]) -> None:
            assert state == {"calls": 3}

    torch.save(Remembering(4, 4).state_dict(), tmp_path / "r.pt")
    load_weights(Remembering(4, 4), tmp_path / "r.pt")


def test_half_precision_and_old_batch_norms_fit(tmp_path: Path, state: dict[str, Tensor]) -> None:
    half = {k: t.half() if t.is_floating_point() else t for k, t in state.items()}
    assert loaded(tmp_path / "h.pt", state, half) == ()
    old = {k: t for k, t in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "o.pt")
    load_weights(network(), tmp_path / "o.pt")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight


def test_tied_weights_of_safetensors_save_model(tmp_path: Path) -> None:
    tied = Tied()
    save_model(tied, str(tmp_path / "t.safetensors"))
    model = Tied()
    load_weights(model, tmp_path / "t.safetensors")
    assert torch.equal(model.b.weight, tied.a.weight)


def test_safetensors_under_another_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "w.bin")
    model = network()
    load_weights(model, tmp_path / "w.bin")
    assert torch.equal(model[3].weight, state["3.weight"])


def test_a_folder_of_transformers_whole_and_in_shards(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    names = sorted(state)
    for number, part in enumerate((names[:3], names[3:])):
        save_file({name: state[name] for name in part}, tmp_path / f"shard-{number}.safetensors")
    places = {name: f"shard-{int(number >= 3)}.safetensors" for number, name in enumerate(names)}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    model = network()
    assert load_weights(model, tmp_path) == ("read model.safetensors.index.json",)
    assert torch.equal(model[0].weight, state["0.weight"])
    index.write_text(json.dumps({"weight_map": {"0.weight": "../elsewhere.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"outside its folder"):
        load_weights(network(), tmp_path)


def test_lazy_layers_and_the_meta_device_are_filled(tmp_path: Path) -> None:
    def lazy() -> nn.Sequential:
        return nn.Sequential(nn.LazyConv2d(2, 3), nn.Flatten(), nn.LazyLinear(3))

    ready = lazy()
    ready(torch.rand(1, 1, 8, 8))
    torch.save(ready.state_dict(), tmp_path / "z.pt")
    model = lazy()
    load_weights(model, tmp_path / "z.pt")
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(model(images), ready(images))
    with torch.device("meta"):
        empty = network()
    full = network().double()
    torch.save(full.state_dict(), tmp_path / "m.pt")
    load_weights(empty, tmp_path / "m.pt")
    assert not any(tensor.is_meta for tensor in empty.state_dict().values())
    assert empty[0].weight.dtype == torch.float32 and empty[0].weight.requires_grad


def html(path: Path, _state: dict[str, Tensor]) -> None:
    path.write_text("\n<!DOCTYPE html><html>Quota exceeded</html>")


def empty(path: Path, _state: dict[str, Tensor]) -> None:
    path.write_bytes(b"")


def half(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:1000])


def pointer(path: Path, _state: dict[str, Tensor]) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")


def noise(path: Path, _state: dict[str, Tensor]) -> None:
    path.write_bytes(bytes(range(1, 200)))


def integers(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(
        {k: t.to(torch.int8) if t.is_floating_point() else t for k, t in state.items()}, path
    )


def pickled(path: Path, _state: dict[str, Tensor]) -> None:
    torch.save(network(), path)


def namespace(path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=0.1)}, path)


def other_shape(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state | {"3.weight": torch.zeros(10, 72)}, path)


def beside_a_number(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state | {"epoch": 3}, path)


def listed(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(list(state.values()), path)


def missing_key(path: Path, state: dict[str, Tensor]) -> None:
    torch.save({k: t for k, t in state.items() if k != "3.bias"}, path)


def other_network(path: Path, _state: dict[str, Tensor]) -> None:
    torch.save({"stem.weight": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (html, "is a web page and holds no weights"),
        (empty, "is empty; fetch it again"),
        (half, "is damaged or incomplete"),
        (pointer, "is a Git LFS pointer"),
        (noise, "is damaged or no file of weights"),
        (integers, "expected '0.weight' as float32, got int8"),
        (pickled, "cannot be read without executing code: it holds .*; save model.state_dict"),
        (namespace, "cannot be read without executing code: it holds argparse.Namespace"),
        (other_shape, r"expected '3.weight' of shape \(3, 72\), got \(10, 72\)"),
        (beside_a_number, r"got a dict with 'epoch' \(int\) beside .* tensors"),
        (listed, "got an object of type list"),
        (missing_key, "it lacks '3.bias'"),
        (
            other_network,
            "it lacks '0.bias' .* the file such as 'stem.weight'",
        ),
    ],
)
def test_what_cannot_be_loaded_ends_in_one_sentence(
    tmp_path: Path,
    state: dict[str, Tensor],
    write: Callable[[Path, dict[str, Tensor]], None],
    sentence: str,
) -> None:
    path = tmp_path / "w.pt"
    write(path, state)
    with pytest.raises(CheckpointError, match=sentence) as refusal:
        load_weights(network(), path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_missing_file_or_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights at .*nowhere"):
        load_weights(network(), tmp_path / "nowhere.pt")
    with pytest.raises(CheckpointError, match=r"expected one of model.safetensors"):
        load_weights(network(), tmp_path)
