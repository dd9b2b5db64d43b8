"""Runs of Lightning end in the weights of a plain loop, and their checkpoints hold the penalty."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from plain_loop import LEARNING, PENALTY, RATE, assert_same, images_and_labels, network, plain_loop
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.integrations import PenalizedTraining, robustness_callback

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]


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


def test_lightning_in_two_processes(tmp_path: Path) -> None:
    """The two hold one covariance, of all training images, and log one accuracy."""
    pytest.importorskip("lightning")
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}\n"
        "import torch\n"
        "from test_lightning import lightning_module, lightning_trainer, loader\n"
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
