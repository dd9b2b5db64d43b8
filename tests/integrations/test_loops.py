"""Runs of transformers, Lightning and Accelerate end in the weights of a plain loop."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import load_dataset
from steadygrad.errors import (
    CheckpointError,
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
)
from steadygrad.integrations import PenalizedTrainerMixin, PenalizedTraining, robustness_callback
from steadygrad.models import Classifier
from steadygrad.penalties import CrossEntropy, NormPenalty

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]
PENALTY = NormPenalty(eps=0.05)
RATE = 0.05


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 10))


def images_and_labels(count: int = 96) -> tuple[Tensor, Tensor]:
    digits = load_dataset("digits", "train").first(count)
    return digits.images(), digits.labels


def plain_loop(model: nn.Module, batch: int, accumulation: int = 1) -> dict[str, Tensor]:
    """Return the weights after one epoch of SGD in the stored order."""
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    pairs = list(zip(*(t.split(batch) for t in images_and_labels()), strict=True))
    for number, (images, labels) in enumerate(pairs, start=1):
        (PENALTY(model, images, labels).loss / accumulation).backward()
        if number % accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
    return dict(model.state_dict())


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-6)


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


def lightning_module(penalty: Any = PENALTY, **methods: Any) -> Any:
    """Return a small LightningModule with a penalty, and with methods in place of its own."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Small(PenalizedTraining, lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.penalty, self.network = penalty, network()

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)

        def validation_step(self, batch: Any, _index: int) -> None:
            assert not torch.is_grad_enabled()

        def test_step(self, batch: Any, _index: int) -> None:
            assert not torch.is_grad_enabled()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), RATE)

    return type("Changed", (Small,), methods)()


def lightning_trainer(**settings: Any) -> Any:
    lightning = pytest.importorskip("lightning.pytorch")
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return lightning.Trainer(**(quiet | settings))


def loader(data: Any = None) -> Any:
    return DataLoader(data or TensorDataset(*images_and_labels()), 32)


def test_lightning() -> None:
    module = lightning_module()
    robustness = robustness_callback("fgsm:eps=0.1", images=40)
    trainer = lightning_trainer(max_epochs=1, callbacks=[robustness])
    trainer.fit(module, loader(), loader())
    assert_same(plain_loop(network(), 32), dict(module.network.state_dict()))
    logged = dict(trainer.callback_metrics)
    assert logged["train_penalty"] > 0 and 0 <= logged["val_robust_accuracy"] <= 1
    (tested,) = trainer.test(module, loader(), verbose=False)
    assert tested["test_robust_accuracy"] == pytest.approx(float(logged["val_robust_accuracy"]))


def test_lightning_takes_batches_with_more_in_them_and_mappings() -> None:
    images, labels = images_and_labels()
    pairs = zip(images, labels, strict=True)
    rows = [(image, label, number) for number, (image, label) in enumerate(pairs)]
    for data in (rows, [{"image": image, "label": label} for image, label, _ in rows]):
        module = lightning_module()
        robustness = robustness_callback("fgsm:eps=0.1", images=40)
        lightning_trainer(max_epochs=1, callbacks=[robustness]).fit(
            module, loader(data), loader(data)
        )
        assert_same(plain_loop(network(), 32), dict(module.network.state_dict()))


def test_lightning_steps_by_hand() -> None:
    with pytest.raises(HyperparameterError, match=r"self\.manual_backward"):
        lightning_trainer(max_epochs=1).fit(
            lightning_module(automatic_optimization=False), loader()
        )

    def training_step(self: Any, batch: Any, _index: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.penalized_loss(*batch).loss)
        optimizer.step()

    module = lightning_module(automatic_optimization=False, training_step=training_step)
    lightning_trainer(max_epochs=1).fit(module, loader())
    assert_same(plain_loop(network(), 32), dict(module.network.state_dict()))


def test_a_compiled_module_of_lightning_is_refused_in_one_sentence() -> None:
    compiled = torch.compile(lightning_module(), backend="aot_eager")
    with pytest.raises(ModelError, match=r"the model from before torch\.compile"):
        lightning_trainer(max_epochs=1).fit(compiled, loader())


LEARNING = "sgr:strength=5,covariance=stationary,covariance.source=gradient"


def test_a_checkpoint_of_lightning_holds_what_a_covariance_has_learned(tmp_path: Path) -> None:
    whole = lightning_module(LEARNING)
    lightning_trainer(max_epochs=2).fit(whole, loader())
    begun = lightning_trainer(max_epochs=1)
    begun.fit(lightning_module(LEARNING), loader())
    begun.save_checkpoint(tmp_path / "first.ckpt")
    resumed = lightning_module(LEARNING)
    lightning_trainer(max_epochs=2).fit(resumed, loader(), ckpt_path=str(tmp_path / "first.ckpt"))
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], tensor, rtol=0, atol=0)


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


def test_lightning_in_two_processes(tmp_path: Path) -> None:
    """The two hold one covariance, of all training images, and log one accuracy."""
    pytest.importorskip("lightning")
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch\n"
        "from test_loops import lightning_module, lightning_trainer, loader\n"
        "from steadygrad.integrations import robustness_callback\n"
        "module = lightning_module('sgr:strength=0.1,covariance=dataset')\n"
        "robustness = robustness_callback('fgsm:eps=0.02', images=95)\n"
        "trainer = lightning_trainer(max_epochs=1, devices=2, strategy='ddp',\n"
        "                            callbacks=[robustness])\n"
        "trainer.fit(module, loader(), loader())\n"
        "point = torch.zeros(1, 1, 8, 8)\n"
        "point[0, 0, 3, 3] = 1\n"
        "row = module._ready._prepared.covariance.apply(point).flatten()\n"
        "told = torch.cat((row, torch.tensor([trainer.callback_metrics['val_robust_accuracy'],\n"
        "                                     float(robustness.total)])))\n"
        f"torch.save(told, {str(tmp_path)!r} + f'/{{trainer.global_rank}}.pt')\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first[:-1], second[:-1])
    assert (first[-1], second[-1]) == (48, 47)
    alone = lightning_module("sgr:strength=0.1,covariance=dataset")
    lightning_trainer(max_epochs=1).fit(alone, loader())
    point = torch.zeros(1, 1, 8, 8)
    point[0, 0, 3, 3] = 1
    ready: Any = alone._ready
    torch.testing.assert_close(ready._prepared.covariance.apply(point).flatten(), first[:-2])


def test_accelerate_with_accumulation() -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = network()
    loader = DataLoader(TensorDataset(*images_and_labels()), 16)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for images, labels in loader:
        with accelerator.accumulate(model):
            accelerator.backward(PENALTY(model, images, labels).loss)
            optimizer.step()
            optimizer.zero_grad()
    assert_same(plain_loop(network(), 16, 2), dict(model.state_dict()))


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("own_loop", "torch"),
        ("accelerate_loop", "accelerate"),
        ("lightning_module", "lightning"),
        ("transformers_trainer", "transformers"),
    ],
)
def test_recipes_run(name: str, library: str, recipe: Callable[[str], ModuleType]) -> None:
    pytest.importorskip(library)
    recipe(name).main()


def test_accelerate_in_two_processes_and_bf16(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    script = tmp_path / "two.py"
    example = Path(__file__).parents[2] / "examples"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(example)!r})\n"
        "from accelerate_loop import main\n"
        "assert main(epochs=1, precision='bf16') < 2.4\n"
    )
    launch = ("-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu")
    done = subprocess.run(
        [sys.executable, *launch, "--num_machines", "1", script],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
