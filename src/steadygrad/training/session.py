"""A run in progress: everything that a step changes, and its state as one value."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from steadygrad._typing import Images, Labels
from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError
from steadygrad.penalties import parameter_gradient
from steadygrad.seeds import derive_seed, derived_generator
from steadygrad.training.config import TrainingConfig
from steadygrad.training.metrics import EpochMetrics, EpochTotals
from steadygrad.training.model_file import ModelSpec
from steadygrad.training.objectives import build_objective
from steadygrad.training.optimizer import build_optimizer
from steadygrad.training.schedule import multi_step_rate
from steadygrad.training.training_state import TrainingState
from steadygrad.training.validation import Performance

__all__ = ["TrainingSession"]


class TrainingSession:
    """Model, optimizer, objective, random streams and position of a run.

    Uses torch's global random state, for initialisation and dropout: the caller forks it.
    """

    def __init__(self, config: TrainingConfig, train: ImageDataset, device: torch.device) -> None:
        self.config, self.train, self.device = config, train, device
        self.spec = ModelSpec(
            config.model, train.input_shape, train.num_classes, config.second_order
        )
        torch.manual_seed(derive_seed(config.seed, "initialisation"))
        self.model = self.spec.build().to(device)
        self.optimizer = build_optimizer(config, self.model)
        self.objective = build_objective(config, train)
        self._augment = config.augmentation
        self._augmentation_draws = derived_generator(config.seed, "augmentation", device=device)
        self._attack_draws = derived_generator(config.seed, "attack", device=device)
        torch.manual_seed(derive_seed(config.seed, "dropout"))
        self.epochs_done = self.steps_done = 0
        self.totals = EpochTotals()
        self.history: list[EpochMetrics] = []
        self.set_rate()

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch has, the last partial one included."""
        return -(-len(self.train) // self.config.batch_size)

    @property
    def rate(self) -> float:
        """The learning rate of the epoch in progress."""
        return multi_step_rate(
            self.epochs_done + 1,
            learning_rate=self.config.rate,
            drop_at=self.config.drop_at,
            drop_factor=self.config.drop_factor,
        )

    def set_rate(self) -> None:
        """Give the optimizer the rate of the epoch in progress."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate

    def step(self, images: Images, labels: Labels) -> Tensor:
        """Take one optimizer step; return loss, data loss, penalty, correct and update similarity.

        The five numbers stay on the device, so that nothing waits for it.
        """
        images = self._augment(images, self._augmentation_draws)
        result = self.objective(self.model, images, labels, generator=self._attack_draws)
        plain_gradient = None
        if self.config.update_similarity:
            plain_gradient = parameter_gradient(result.data_loss, self.model.parameters())
        self.optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        similarity = result.loss.new_full((), torch.nan)
        if plain_gradient is not None:
            similarity = cosine_similarity(plain_gradient, self._gradient(), dim=0, eps=0)
        if self.config.clip_gradient is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient)
        self.optimizer.step()
        correct = (result.logits.detach().argmax(dim=1) == labels).sum()
        numbers = (result.loss, result.data_loss, result.penalty, correct, similarity)
        return torch.stack([number.detach().float() for number in numbers])

    def _gradient(self) -> Tensor:
        """Return what ``backward`` left in the parameters, as ``parameter_gradient`` orders it."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainable]
        return torch.cat([part.flatten() for part in parts])

    def end_epoch(
        self, validation: Performance | None = None, test: Performance | None = None
    ) -> EpochMetrics:
        """Close the epoch in progress and return its metrics.

        validation, test: of the network as it is now, if they were measured.
        """
        metrics = self.totals.metrics(
            epoch=self.epochs_done + 1,
            learning_rate=self.rate,
            validation=validation,
            test=test,
        )
        self.history.append(metrics)
        self.epochs_done, self.steps_done, self.totals = metrics.epoch, 0, EpochTotals()
        self.set_rate()
        return metrics

    @property
    def has_finite_weights(self) -> bool:
        """Whether every parameter and buffer is finite; waits for the device."""
        tensors = [t for t in self.model.state_dict().values() if t.is_floating_point()]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())

    def capture(self) -> TrainingState:
        """Return the state between two steps."""
        objective: dict[str, Any] = getattr(self.objective, "state_dict", dict)()
        return TrainingState(
            config=self.config.to_dict(),
            epochs_done=self.epochs_done,
            steps_done=self.steps_done,
            totals=asdict(self.totals),
            history=[metrics.to_dict() for metrics in self.history],
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            objective=objective,
            generators=self._generator_states(),
            device=self.device.type,
            train_size=len(self.train),
            threads=torch.get_num_threads(),
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from ``state``.

        Raises: CheckpointError, if it belongs to another device, training set or network.
        """
        if state.device != self.device.type:
            raise CheckpointError(
                f"the run was trained on {state.device} and cannot go on on {self.device.type}"
            )
        if state.train_size != len(self.train):
            raise CheckpointError(
                f"the run was trained on {state.train_size} images, the data now has "
                f"{len(self.train)}"
            )
        try:
            self.model.load_state_dict(state.model)
            self.optimizer.load_state_dict(state.optimizer)
            if state.objective:
                self.objective.load_state_dict(state.objective)  # type: ignore[attr-defined] # mirrors state_dict
            self._set_generator_states(state.generators)
            self.totals = EpochTotals(**state.totals)
            self.history = [EpochMetrics(**metrics) for metrics in state.history]
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"the training state does not fit the run: {error}") from error
        self.epochs_done, self.steps_done = state.epochs_done, state.steps_done
        self.set_rate()

    def _generator_states(self) -> dict[str, Tensor]:
        states = {
            "augmentation": self._augmentation_draws.get_state(),
            "attack": self._attack_draws.get_state(),
            "torch": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _set_generator_states(self, states: dict[str, Tensor]) -> None:
        self._augmentation_draws.set_state(states["augmentation"])
        self._attack_draws.set_state(states["attack"])
        torch.set_rng_state(states["torch"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.device)
