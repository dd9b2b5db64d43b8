"""Runs of the transformers Trainer end in the weights of a plain loop, checkpoints included."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plain_loop import LEARNING, PENALTY, RATE, assert_same, images_and_labels, network, plain_loop
from steadygrad.errors import CheckpointError, HyperparameterError, ImageError, LabelError
from steadygrad.integrations import PenalizedTrainerMixin
from steadygrad.models import Classifier
from steadygrad.penalties import CrossEntropy

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_trainer_of_transformers(accumulation: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class InOrder(PenalizedTrainerMixin, transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=10,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config)
    images, labels = images_and_labels()
    rows = [
        {"pixel_values": v, "labels": y} for v, y in zip((images - 0.5) / 0.25, labels, strict=True)
    ]
    wrapped = Classifier(copy.deepcopy(model).train(), mean=[0.5], std=[0.25])
    expected = plain_loop(wrapped, 32 // accumulation, accumulation)

    def trainer(**settings: Any) -> Any:
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=1,
            per_device_train_batch_size=32 // accumulation,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
            learning_rate=RATE,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
        )
        chosen = {"mean": [0.5], "std": [0.25]} | settings
        return InOrder(
            model=model, args=arguments, train_dataset=rows, eval_dataset=rows, penalty=PENALTY,
            **chosen,
        )  # fmt: skip

    running = trainer()
    running.train()
    inner = {k.removeprefix("model."): t for k, t in expected.items() if k.startswith("model.")}
    assert_same(inner, dict(model.state_dict()))
    told = running.evaluate()
    with torch.no_grad():
        logits = wrapped.eval()(images)
    plain = nn.functional.cross_entropy(logits, labels).item()
    assert told["eval_loss"] == pytest.approx(plain, rel=1e-3)
    assert running.predict(rows[:5]).predictions.shape == (5, 10)
    with pytest.raises(ImageError, match="turn back into pixels"):
        trainer(mean=[0.1], std=[0.9]).train()
    with pytest.raises(ImageError, match="expected the mean and std"):
        trainer(mean=None, std=None)


def small_trainer(folder: Path, penalty: Any = PENALTY, **settings: Any) -> Any:
    """Return a Trainer of transformers for a tiny network of its own, which keeps its order."""
    transformers = pytest.importorskip("transformers")
    own = {
        name: settings.pop(name)
        for name in ("mean", "std", "loss", "image_processor", "processing_class", "train_dataset",
                     "compute_loss_func")
        if name in settings
    }  # fmt: skip

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.config = network(), transformers.PretrainedConfig()

        def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
            return {"logits": self.network(pixel_values)}

    class InOrder(PenalizedTrainerMixin, transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    images, labels = images_and_labels()
    rows = [{"pixel_values": v, "labels": y} for v, y in zip(images, labels, strict=True)]
    arguments = {
        "output_dir": str(folder), "num_train_epochs": 1, "per_device_train_batch_size": 32,
        "optim": "sgd", "learning_rate": RATE, "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0, "use_cpu": True, "report_to": [], "save_strategy": "no",
        "disable_tqdm": True,
    }  # fmt: skip
    known = {"image_processor", "processing_class"} & set(own)
    fallback = {} if known else {"mean": [0.0], "std": [1.0]}
    return InOrder(
        model=Network(),
        args=transformers.TrainingArguments(**(arguments | settings)),
        penalty=penalty,
        **({"train_dataset": rows, "eval_dataset": rows} | fallback | own),
    )


def weights_of(trainer: Any) -> dict[str, Tensor]:
    return dict(trainer.model.network.state_dict())


def test_a_checkpoint_of_transformers_holds_what_a_covariance_has_learned(tmp_path: Path) -> None:
    whole = small_trainer(tmp_path, LEARNING, num_train_epochs=2, save_strategy="epoch")
    whole.train()
    resumed = small_trainer(tmp_path, LEARNING, num_train_epochs=2, save_strategy="epoch")
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    for name, tensor in weights_of(whole).items():
        torch.testing.assert_close(weights_of(resumed)[name], tensor, rtol=0, atol=0)
    state = tmp_path / "checkpoint-3" / "penalty_state.pt"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged: resume from another checkpoint"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_label_smoothing_of_transformers_reaches_the_penalty(tmp_path: Path) -> None:
    smoothed = small_trainer(tmp_path, label_smoothing_factor=0.5)
    named = small_trainer(tmp_path, loss="cross-entropy:smoothing=0.5")
    plain = small_trainer(tmp_path)
    for trainer in (smoothed, named, plain):
        trainer.train()
    weights, others = weights_of(smoothed), weights_of(plain)
    for name, tensor in weights_of(named).items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=0)
    assert not torch.equal(weights["3.weight"], others["3.weight"])
    with pytest.raises(HyperparameterError, match="or label_smoothing_factor, got both"):
        small_trainer(tmp_path, label_smoothing_factor=0.5, loss=CrossEntropy())
    with pytest.raises(HyperparameterError, match="expected no compute_loss_func"):
        small_trainer(tmp_path, compute_loss_func=lambda *_, **__: 0)


class Processor:
    """An image processor that leaves pixels as they are, whatever its mean and std."""

    image_mean, image_std, do_normalize = 0.5, 0.25, False
    rescale_factor, rescale_offset = 1 / 255, False


class TimesTwoMinusOne(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * images - 1


def test_the_normalisation_of_transformers_is_that_of_the_processor(tmp_path: Path) -> None:
    expected = plain_loop(network(), 32)
    for name in ("image_processor", "processing_class"):
        trainer = small_trainer(tmp_path, **{name: Processor()})
        trainer.train()
        assert_same(expected, weights_of(trainer))
    images, labels = images_and_labels()
    rows = [{"pixel_values": 2 * v - 1, "labels": y} for v, y in zip(images, labels, strict=True)]
    halved = Processor()
    halved.rescale_factor, halved.rescale_offset = 1 / 127.5, True
    trainer = small_trainer(tmp_path, image_processor=halved, train_dataset=rows)
    trainer.train()
    expected = plain_loop(nn.Sequential(TimesTwoMinusOne(), network()), 32)
    assert_same({k[2:]: v for k, v in expected.items()}, weights_of(trainer))
    with pytest.raises(ImageError, match="got mean without std"):
        small_trainer(tmp_path, mean=[0.5], std=None)
    with pytest.raises(ImageError, match=r"expected pixel_values of shape \(batch, 3,"):
        small_trainer(tmp_path, mean=[0.0] * 3, std=[1.0] * 3).train()
    with pytest.raises(LabelError, match="with the tensors pixel_values and labels"):
        small_trainer(tmp_path, train_dataset=[{"pixel_values": image} for image in images]).train()


def test_transformers_recomputes_checkpointed_attention(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, num_channels=1, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, num_labels=10,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    ended = []
    for recomputes in (False, True):
        trainer = small_trainer(tmp_path, gradient_checkpointing=False)
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config)
        if recomputes:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        trainer.model = trainer.model_wrapped = model
        trainer.train()
        ended.append(model.state_dict())
    assert_same(*ended)
