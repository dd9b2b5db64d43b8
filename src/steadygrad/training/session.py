"""A run in progress: everything that a step changes, and its state as one value."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from steadygrad._typing import Images, Labels
from steadygrad.batch_share import BatchShare, share_of_batch
from steadygrad.datasets import augment
from steadygrad.distributed import (
    current_ranks,
    same_as_main_rank,
    sum_gradients,
    sum_over_ranks,
)
from steadygrad.draws import DrawsOfParts
from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.layers.joint_batch_norm import joint_batch_norm
from steadygrad.models.model_file import ModelSpec
from steadygrad.penalties import (
    BackendAgreement,
    CapturedGradient,
    PenalizedLoss,
    first_agreement,
    note_first_agreement,
    parameter_gradient,
)
from steadygrad.seeds import derive_seed, derived_generator
from steadygrad.training.averaging import AveragedWeights
from steadygrad.training.config import TrainingConfig
from steadygrad.training.given_data import LoaderImages, TrainingImages, epoch_batches
from steadygrad.training.last_batch import joins_last_image, with_last_image_joined
from steadygrad.training.metrics import EpochMetrics, EpochTotals
from steadygrad.training.objective import Objective, data_facts
from steadygrad.training.training_state import TrainingState
from steadygrad.training.tuning import learning_groups
from steadygrad.training.validation import Performance

__all__ = ["TrainingSession"]


class TrainingSession:
    """Model, optimizer, objective, random streams and position of a run.

    Where there are several processes, each holds all of it, and computes with its share of every
    batch: after each step all hold what one process would hold.

    Uses torch's global random state, for initialisation and dropout: the caller forks it.
    """

    def __init__(self, config: TrainingConfig, train: TrainingImages, device: torch.device) -> None:
        self.config, self.train, self.device = config, train, device
        self.spec = ModelSpec(config.model, train.input_shape, train.num_classes)
        torch.manual_seed(derive_seed(config.seed, "initialisation"))
        self.model = self.spec.build().to(device)
        self.given_to_learn = [p.requires_grad for p in self.model.parameters()]
        self.ranks = current_ranks()
        same_as_main_rank(self.model.state_dict().values())
        self.optimizer = config.optimizer.build(learning_groups(self.model, config.tuning))
        self.objective = Objective(config, data_facts(train))
        self.averaged = None
        if config.averaging is not None:
            self.averaged = AveragedWeights(config.averaging, self.model)
        self._augmentation_draws = derived_generator(config.seed, "augmentation", device=device)
        self._attack_draws = derived_generator(config.seed, "attack", device=device)
        torch.manual_seed(derive_seed(config.seed, "dropout"))
        # A loader cuts its own batches.
        self.joins_last_image = not isinstance(train, LoaderImages) and joins_last_image(
            self.model, train, config.batch_size
        )
        self._counts = torch.ones((), device=device)
        self.captured = self._capturing()
        self.epochs_done = self.steps_done = 0
        self.totals = EpochTotals()
        self.history: list[EpochMetrics] = []
        self.set_rate()

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch has, the last partial one included unless it joins the one before."""
        if isinstance(self.train, LoaderImages):
            return self.train.steps_per_epoch
        return -(-len(self.train) // self.config.batch_size) - self.joins_last_image

    def remaining_batches(self) -> Iterator[tuple[Images, Labels]]:
        """Yield the batches that the epoch in progress still has."""
        if self.steps_done >= self.steps_per_epoch:
            return iter(())
        order = derive_seed(self.config.seed, f"order of epoch {self.epochs_done + 1}")
        rest = epoch_batches(self.train, self.config.batch_size, seed=order, start=self.steps_done)
        return with_last_image_joined(rest) if self.joins_last_image else rest

    @property
    def position(self) -> float:
        """Epochs done so far, with the fraction of the one in progress."""
        return self.epochs_done + self.steps_done / self.steps_per_epoch

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate_after(self.steps_done)

    def _rate_after(self, steps_done: int) -> float:
        position = self.epochs_done + steps_done / self.steps_per_epoch
        factor = self.config.schedule.factor(position, self.config.epochs)
        return self.config.optimizer.learning_rate * factor

    def set_rate(self) -> None:
        """Give the optimizer the rate of the next step."""
        rate = self.rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)

    @property
    def network(self) -> nn.Module:
        """What the run is for: the averaged network, or the raw one where nothing is averaged."""
        return self.model if self.averaged is None else self.averaged.network

    def step(self, images: Images, labels: Labels) -> Tensor:
        """Take one optimizer step; return loss, data loss, penalty, correct and update similarity.

        The five numbers are those of the whole batch, in every process. They stay on the device, so
        that nothing waits for it.

        Args:
            images: of the whole batch, the same in every process.
            labels: of these.
        """
        config, share = self.config, BatchShare(self.ranks, len(images))
        self.set_rate()
        images = augment(images, config.augmentation, self._augmentation_draws)
        targets = labels
        if config.mixing is not None:
            images, targets = config.mixing.mix(
                images, labels, self.train.num_classes, self._augmentation_draws
            )
        counts = self._penalty_counts()
        if self.captured is None:
            sums, similarity = self._gradient_of_batch(images, targets, labels, share, counts)
        else:
            self._counts.fill_(counts or 0.0)
            sums = self._sums(self.captured(images, targets), labels, share)
            similarity = sums.new_full((), torch.nan)
        if config.clipping is not None:
            config.clipping.clip(self.model.parameters())
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update(self.model)
        return torch.cat((sum_over_ranks(sums), similarity.detach().float().unsqueeze(0)))

    def _penalty_counts(self) -> float | None:
        """Return by how much the penalty counts in the next step; None where it is left out.

        The run's first step takes it in any case: what a penalty refuses is refused at once.
        """
        config = self.config
        step = self.epochs_done * self.steps_per_epoch + self.steps_done
        if step % config.penalty_every:
            return None
        ramped = 1.0 if config.ramp is None else config.ramp.factor(self.position, config.epochs)
        return config.penalty_every * ramped if ramped or step == 0 else None

    def _gradient_of_batch(
        self,
        images: Images,
        targets: Labels,
        labels: Labels,
        share: BatchShare,
        counts: float | None,
    ) -> tuple[Tensor, Tensor]:
        """Leave the whole batch's gradient in the parameters, part by part.

        Args:
            images, targets, labels: of the whole batch.
            counts: by how much the penalty does; None leaves it out.

        Returns:
            This process's loss, data loss, penalty and correct; the update similarity.
        """
        apart = self.objective.penalised_apart(self.model, share.total)
        parts = share.parts(self.config.accumulate, apart)
        self._seed_dropout()
        draws = DrawsOfParts(self._attack_draws, len(parts), self.ranks)
        self.optimizer.zero_grad()
        plain_gradient, sums = (
            torch.zeros((), device=self.device),
            torch.zeros(4, device=self.device),
        )
        for part in parts:
            own, own_targets, own_labels = (part.own(whole) for whole in (images, targets, labels))
            is_attacked = self.objective.attack is not None
            so_far = self._taken_gradients() if is_attacked else None  # a library leaves its own
            with share_of_batch(part), self._as_one_process(), self._precision():
                result = self.objective(
                    self.model, own, own_targets, share=counts, generator=draws.of_part()
                )
            if so_far is not None:
                self._taken_gradients(so_far)
            if self.config.update_similarity:
                plain_gradient = plain_gradient + parameter_gradient(
                    self._part(result.data_loss, part), self.model.parameters()
                )
            self._part(result.loss, part).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            sums = sums + self._sums(result, own_labels, part)
        if self.objective.attack is not None:
            draws.settle()
        sum_gradients(self.model.parameters())
        similarity = sums.new_full((), torch.nan)
        if self.config.update_similarity:
            plain_gradient = sum_over_ranks(plain_gradient)
            similarity = cosine_similarity(plain_gradient, self._gradient(), dim=0, eps=0)
        return sums, similarity

    def _sums(self, result: PenalizedLoss, labels: Labels, part: BatchShare) -> Tensor:
        """Return loss, data loss, penalty and correct of a part, to be added to the others'."""
        correct = (result.logits.detach().argmax(dim=1) == labels)[: part.size].sum()
        means = (result.loss, result.data_loss, result.penalty)
        numbers = [self._part(number.detach(), part).float() for number in means]
        return torch.stack([*numbers, correct.float()])

    def _capturing(self) -> CapturedGradient | None:
        """Return what records the step, where the configuration wants that.

        Raises: HyperparameterError, if a step does what a recording cannot hold.
        """
        if not self.config.cuda_graph:
            return None
        obstacles = {
            f"device {self.device.type}, which has none": self.device.type != "cuda",
            f"{self.ranks.count} processes": self.ranks.count > 1,
            "an attack, which looks at its results": self.config.attack is not None,
            "update_similarity": self.config.update_similarity,
            "a batch in parts (accumulate)": self.config.accumulate > 1,
            "penalty_every, steps of two kinds": self.config.penalty_every > 1,
            "a covariance that learns": "covariance" in self.objective.state_dict(),
        }
        for obstacle, is_there in obstacles.items():
            if is_there:
                raise HyperparameterError(
                    f"expected steps that a CUDA graph can hold for cuda_graph, got {obstacle}"
                )
        is_ramped = self.config.ramp is not None

        def objective(model: nn.Module, images: Images, targets: Labels) -> PenalizedLoss:
            share = self._counts if is_ramped else 1.0
            with self._precision():
                return self.objective(model, images, targets, share=share)

        return CapturedGradient(self.model, objective)

    def _seed_dropout(self) -> None:
        """Seed the dropout of the other processes: a checkpoint holds the main one's state."""
        if not self.ranks.is_main:
            purpose = f"dropout of process {self.ranks.rank} in step {self.steps_done + 1}"
            torch.manual_seed(
                derive_seed(self.config.seed, f"{purpose} of epoch {self.epochs_done + 1}")
            )

    def _part(self, mean: Tensor, share: BatchShare) -> Tensor:
        """Return this share's part of a mean over the whole batch, to be added to the others'."""
        return mean if share.ranks.count == 1 else mean * share.weight

    def _as_one_process(self) -> AbstractContextManager[None]:
        """Return a context in which batch norms are those of all processes' images."""
        return nullcontext() if self.ranks.count == 1 else joint_batch_norm()

    def _precision(self) -> AbstractContextManager[Any]:
        """Return a context in which the network computes as precisely as was asked.

        Casts of the weights are not kept from pass to pass: an attack, a finite difference and the
        penalty go through the network under different rules for gradients.
        """
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _taken_gradients(self, given: list[Tensor | None] | None = None) -> list[Tensor | None]:
        """Take the parameters' gradients away, or put those given in their place."""
        parameters = list(self.model.parameters())
        taken = [parameter.grad for parameter in parameters]
        for parameter, gradient in zip(parameters, given or [None] * len(taken), strict=True):
            parameter.grad = gradient
        return taken

    def _gradient(self) -> Tensor:
        """Return what ``backward`` left in the parameters, as ``parameter_gradient`` orders it."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainable]
        return torch.cat([part.flatten() for part in parts])

    def end_epoch(
        self,
        validation: Performance | None = None,
        test: Performance | None = None,
        raw_validation: Performance | None = None,
    ) -> EpochMetrics:
        """Close the epoch in progress and return its metrics.

        validation, test: of ``network`` as it is now, if they were measured; raw_validation: of the
        raw weights, where ``network`` holds averaged ones.
        """
        metrics = self.totals.metrics(
            epoch=self.epochs_done + 1,
            # Of the last step, which a resumed run may not have seen.
            learning_rate=self._rate_after(self.steps_per_epoch - 1),
            validation=validation,
            test=test,
            raw_validation=raw_validation,
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
        return TrainingState(
            config=self.config.to_dict(),
            epochs_done=self.epochs_done,
            steps_done=self.steps_done,
            totals=asdict(self.totals),
            history=[metrics.to_dict() for metrics in self.history],
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            objective=self.objective.state_dict(),
            averaged={} if self.averaged is None else self.averaged.state_dict(),
            agreement=self._agreement(),
            generators=self._generator_states(),
            device=self.device.type,
            train_size=len(self.train),
            threads=torch.get_num_threads(),
        )

    def _agreement(self) -> dict[str, float] | None:
        agreement = first_agreement(self.model)
        return None if agreement is None else asdict(agreement)

    def restore(self, state: TrainingState) -> None:
        """Go on from ``state``.

        Raises: CheckpointError, if it belongs to another device, training set or network.
        """
        if state.device != self.device.type:
            raise CheckpointError(
                f"the run was trained on {state.device} and cannot continue on {self.device.type}"
            )
        if state.train_size != len(self.train):
            raise CheckpointError(
                f"the run was trained on {state.train_size} images, the data now has "
                f"{len(self.train)}"
            )
        try:
            self.model.load_state_dict(state.model)
            self.optimizer.load_state_dict(state.optimizer)
            self.objective.load_state_dict(state.objective)
            if self.averaged is not None:
                self.averaged.load_state_dict(state.averaged)
            self._set_generator_states(state.generators)
            if state.agreement is not None:  # the first batch is not compared again
                note_first_agreement(self.model, BackendAgreement(**state.agreement))
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
