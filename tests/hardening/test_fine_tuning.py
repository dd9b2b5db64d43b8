"""Laws of steadygrad.hardening.fine_tuning and its report."""

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import steadygrad
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import DatasetError, HyperparameterError, ModelError, OutputError
from steadygrad.hardening import Hardened, harden
from steadygrad.models import Classifier, load_weights, smooth_activations
from steadygrad.training import LoaderImages, SilentProgress

EPS = 0.1


@pytest.fixture
def hardened(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> Callable[..., Hardened]:
    def run(train_data: Any = digits, validation: Any = held_out, **settings: Any) -> Hardened:
        chosen: dict[str, Any] = {
            "eps": EPS,
            "epochs": 2,
            "out": tmp_path / "out",
            "audited": False,
            "optimizer": "adamw:learning_rate=0.002",
            "device": "cpu",
        }
        return harden(trained, train_data, validation, **(chosen | settings))

    return run


def test_a_network_holds_still_afterwards_and_the_given_one_is_left_alone(
    hardened: Callable[..., Hardened], trained: nn.Module
) -> None:
    assert steadygrad.harden is harden
    before = copy.deepcopy(trained.state_dict())
    done = hardened(load_dataset("digits", "train"), epochs=8, activation="gelu")
    assert all(torch.equal(t, before[name]) for name, t in trained.state_dict().items())
    assert any(isinstance(module, nn.ReLU) for module in trained.modules())
    assert not any(isinstance(module, nn.ReLU) for module in done.model.modules())
    assert done.report is not None and done.is_finished
    worst = done.report.before.worst_case(EPS).accuracy, done.report.after.worst_case(EPS).accuracy
    assert worst[1] > worst[0] + 0.1
    assert done.report.robust_change.p_value < 0.01
    assert done.report.after.clean.accuracy > done.report.before.clean.accuracy - 0.05
    assert done.report.to_json()["activation"] == "gelu"
    told = 'call `steadygrad.models.smooth_activations(network, "gelu")`'
    for page in ("report.md", "export/hub/README.md"):
        assert told in (done.folder / page).read_text()
    card = json.loads((done.folder / "export/hub/config.json").read_text())
    assert card["activation"] == "gelu"
    again = copy.deepcopy(trained).eval()
    smooth_activations(again, "gelu")
    again.load_state_dict(torch.load(done.folder / "export/state_dict.pt"))
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(again(images), done.model(images))


def test_batch_norms_hold_their_statistics_unless_the_activation_is_new(
    hardened: Callable[..., Hardened], tmp_path: Path
) -> None:
    def chosen(**settings: Any) -> Any:
        hardened(epochs=2, limit_train=64, validation=None, overwrite=True, **settings)
        config = json.loads((tmp_path / "out" / "run" / "config.json").read_text())
        return config["tuning"]["batch_norm"], config["penalty"]["backend"]["statistics"]

    assert chosen() == ("hold", "batch")
    assert chosen(activation="gelu") == ("learn", "batch")
    assert chosen(batch_norm="learn") == ("learn", "batch")


def test_limits_hold_for_images_that_a_program_gave_and_loaders_have_none(
    hardened: Callable[..., Hardened], digits: ImageDataset, tmp_path: Path
) -> None:
    hardened(limit_train=40, epochs=1, validation=None)
    (epoch,) = (tmp_path / "out" / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(epoch)["images"] == 40
    loader = DataLoader(TensorDataset(digits.images(), digits.labels), batch_size=32)
    cases: dict[str, tuple[Any, dict[str, Any]]] = {
        "no limit_train for a loader": (LoaderImages(loader, 10), {"limit_train": 40}),
        "expected validation_size 0": (digits, {"validation_size": 40}),
        "expected test_images 0": (digits, {"test_images": 40}),
    }
    for message, (images, settings) in cases.items():
        with pytest.raises(HyperparameterError, match=message):
            hardened(images, out=tmp_path / "other", overwrite=True, **settings)


@pytest.mark.slow
def test_the_report_tells_both_sides_of_a_quick_audit(
    hardened: Callable[..., Hardened], trained: nn.Module, tmp_path: Path
) -> None:
    done = hardened(epochs=1, audited=True, report_images=20)
    assert done.report is not None
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    worst = done.report.after.worst_case(EPS)
    assert record["after"]["worst_case"]["correct"] == worst.correct and worst.n == 20
    assert worst.correct <= done.report.after.curve.points[2].correct
    assert record["training"]["penalty"]["eps"] == EPS
    page = (tmp_path / "out" / "report.md").read_text()
    assert "worst case of the quick audit at 25.5/255" in page
    for file in ("original.safetensors", "robustness.png", "audits/after/audit.json"):
        assert (tmp_path / "out" / file).is_file()
    mine = copy.deepcopy(trained)
    load_weights(mine, tmp_path / "out" / "export" / "state_dict.pt")


def test_a_killed_hardening_goes_on_to_the_same_weights(
    hardened: Callable[..., Hardened], tmp_path: Path
) -> None:
    class Stop(SilentProgress):
        def step(self, epoch: int, step: int, latest: Any) -> None:
            if (epoch, step) == (2, 3):
                import signal

                signal.raise_signal(signal.SIGINT)

    whole = hardened(out=tmp_path / "whole")
    stopped = hardened(progress=Stop())
    assert not stopped.is_finished and stopped.report is None
    with pytest.raises(OutputError, match="is not empty"):
        hardened()
    gone_on = hardened(resume=True)
    assert gone_on.is_finished
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, gone_on.model.state_dict()[name]), name


def test_a_loader_trains_like_a_set_in_memory(
    hardened: Callable[..., Hardened], digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    def loader(images: ImageDataset) -> DataLoader[Any]:
        return DataLoader(TensorDataset(images.images(), images.labels), 64, shuffle=True)

    with pytest.raises(DatasetError, match="expected the number of classes of TensorDataset"):
        hardened(loader(digits), None)
    done = hardened(loader(digits), loader(held_out), num_classes=10, report_images=40)
    assert done.report is not None and done.report.data["n"] == 40
    again = hardened(loader(digits), None, num_classes=10, out=tmp_path / "again")
    assert again.report is None
    for name, tensor in done.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    given = LoaderImages(loader(digits), 10)
    whole, rest = list(given.batches(5)), list(given.batches(5, start=7))
    assert all(torch.equal(a, b) for a, b in zip(whole[7][0], rest[0][0], strict=True))


def test_frozen_layers_stay_and_early_layers_move_less(
    hardened: Callable[..., Hardened], trained: nn.Module, tmp_path: Path
) -> None:
    done = hardened(freeze=["0", "1"], batch_norm="hold")
    for name in ("0.weight", "1.running_mean", "1.weight"):
        assert torch.equal(done.model.state_dict()[name], trained.state_dict()[name])
    assert not torch.equal(done.model.state_dict()["6.weight"], trained.state_dict()["6.weight"])
    slow = hardened(early_rate=0.01, averaging=None, out=tmp_path / "slow")
    fast = hardened(averaging=None, out=tmp_path / "fast")
    moved = [
        (run.model.state_dict()["0.weight"] - trained.state_dict()["0.weight"]).norm()
        for run in (slow, fast)
    ]
    assert moved[0] < 0.2 * moved[1]


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"eps": 8}, HyperparameterError, "did you mean 8/255"),
        ({"eps": 0}, HyperparameterError, "expected eps > 0"),
        ({"freeze": ["layer9"]}, HyperparameterError, "module to freeze, got 'layer9'; there are"),
        ({"freeze": ["*"]}, HyperparameterError, "expected at least one trainable parameter"),
        ({"plain_epochs": 5}, HyperparameterError, "expected plain_epochs from 0 to below 2"),
        ({"epochs": 0}, HyperparameterError, "expected epochs >= 1, got 0"),
        (
            {"epochs": 1, "activation": "gelu"},
            HyperparameterError,
            "at least 2 epochs with activation gelu, .* give more epochs, or plain_epochs below 1",
        ),
        ({"report_images": 0}, HyperparameterError, "expected report_images >= 1, got 0"),
        ({"report_images": -3}, HyperparameterError, "expected report_images >= 1, got -3"),
        ({"epoch": 5}, HyperparameterError, "no setting 'epoch' .did you mean 'epochs'"),
        ({"mixing": "mixup", "attack": "fgsm:eps=0.1"}, HyperparameterError, "not both"),
        ({"data": "mnist"}, HyperparameterError, "as train_data alone, got a setting 'data'"),
    ],
)
def test_bad_settings_end_in_one_sentence(
    hardened: Callable[..., Hardened],
    settings: dict[str, Any],
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        hardened(**settings)


def test_a_network_that_was_given_frozen_is_told_so(
    trained: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    frozen = copy.deepcopy(trained).requires_grad_(False)
    with pytest.raises(HyperparameterError, match="requires_grad is False for all"):
        harden(frozen, digits, eps=EPS, epochs=1, out=tmp_path / "out", audited=False)
    assert not (tmp_path / "out").exists()


def test_a_compiled_network_is_hardened_as_the_network_inside(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    states = []
    for name in ("plain", "compiled"):
        given = trained if name == "plain" else torch.compile(trained, backend="aot_eager")
        done = harden(
            given, digits.first(64), held_out.first(8), eps=EPS, epochs=1, device="cpu",
            out=tmp_path / name, audited=False,
        )  # fmt: skip
        assert done.taken is not None and "model.pt2" in done.taken.files
        states.append(done.model.state_dict())
    assert [*states[1]] == [*trained.state_dict()]
    assert all(torch.equal(states[1][key], tensor) for key, tensor in states[0].items())


class Named(nn.Module):
    """Returns more than logits, as libraries' networks do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(images), "features": images.flatten(1)}


def test_a_network_that_returns_more_than_logits_keeps_its_own_keys(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    given = Named(trained)
    done = harden(given, digits, held_out, eps=EPS, epochs=1, out=tmp_path / "out", audited=False)
    assert done.report is not None and done.taken is not None
    again = Named(copy.deepcopy(trained))
    load_weights(again, tmp_path / "out" / "export" / "state_dict.safetensors")
    images = held_out.images()[:5]
    with torch.no_grad():
        torch.testing.assert_close(again(images)["logits"], done.model(images))


def test_lazy_layers_must_have_seen_an_image(digits: ImageDataset, tmp_path: Path) -> None:
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    with pytest.raises(ModelError, match="seen no image yet; call it on one first"):
        harden(lazy, digits, eps=EPS, out=tmp_path / "out")


def test_a_wrong_order_of_classes_is_noticed(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    names = tuple(reversed(digits.class_names))
    model = Classifier(trained, class_names=names)
    with pytest.raises(DatasetError, match="class 0 is '9'; in digits it is '0'"):
        harden(model, digits, held_out, eps=EPS, epochs=1, out=tmp_path / "out")
    assert "steadygrad.hardening" in sys.modules
