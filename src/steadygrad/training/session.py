"""A run in progress: everything that a step changes, and its state as one value."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.checks import check_images
from steadygrad.datasets import augment
from steadygrad.distributed import current_ranks, same_as_main_rank, sum_over_ranks
from steadygrad.errors import CheckpointError
from steadygrad.models import ModelSource, bare
from steadygrad.models.model_file import ModelSpec
from steadygrad.penalties import BackendAgreement, first_agreement, note_first_agreement
from steadygrad.seeds import derive_seed, derived_generator
from steadygrad.training.averaging import AveragedWeights
from steadygrad.training.batch_gradient import BatchGradient
from steadygrad.training.config import TrainingConfig
from steadygrad.training.given_data import LoaderImages, TrainingImages, epoch_batches
from steadygrad.training.last_batch import joins_last_image, with_last_image_joined
from steadygrad.training.metrics import EpochMetrics, EpochTotals
from steadygrad.training.mixing import mixed
from steadygrad.training.objective import Objective, data_facts
from steadygrad.training.optimizers import built_optimizer
from steadygrad.training.schedules import factor_of
from steadygrad.training.training_state import TrainingState
from steadygrad.training.tuning import learning_groups
from steadygrad.training.validation import Performance
from steadygrad.training.weights import weights_of_run

__all__ = ["TrainingSession"]


class TrainingSession:
    """Model, optimizer, objective, random streams and position of a run.

    Where there are several processes, each computes with its share of every batch: after each step
    all hold what one process would hold, or their part of it where the weights are divided.

    weights: how the processes hold ``model`` and its average.

    Uses torch's global random state, for initialisation and dropout: the caller forks it.
    """

    def __init__(
        self,
        config: TrainingConfig,
        train: TrainingImages,
        device: torch.device,
        source: ModelSource | None = None,
    ) -> None:
        """Build what the run needs.

        Args:
            config: of the run.
            train: what it learns from.
            device: where it computes.
            source: builds the network in place of ``config.model``, for a run to be restored.
        """
        self.config, self.train, self.device = config, train, device
        source = source or config.model
        # Once: a run that the network comes from may be replaced or removed in the meantime.
        self.spec = ModelSpec(bare(source), train.input_shape, train.num_classes)
        torch.manual_seed(derive_seed(config.seed, "initialisation"))
        self.model = replace(self.spec, model=source).build().to(device)
        self.given_to_learn = [p.requires_grad for p in self.model.parameters()]
        self.ranks = current_ranks()
        same_as_main_rank(self.model.state_dict().values())
        self.joins_last_image = joins_last_image(self.model, train, config.batch_size)
        self.averaged = None
        if config.averaging is not None:
            self.averaged = AveragedWeights(config.averaging, self.model)
        self.weights = weights_of_run(
            self.model,
            () if self.averaged is None else (self.averaged.network,),
            self.ranks,
            divided=config.shard,
        )
        groups = learning_groups(self.model, config.tuning)
        self.optimizer = built_optimizer(config.optimizer, groups)
        self.objective = Objective(config, data_facts(train))
        self._augmentation_draws = derived_generator(config.seed, "augmentation", device=device)
        self._attack_draws = derived_generator(config.seed, "attack", device=device)
        torch.manual_seed(derive_seed(config.seed, "dropout"))
        self._gradient = BatchGradient(
            config, self.objective, self.weights, self.ranks, self._attack_draws
        )
        self.epochs_done = self.steps_done = 0
        self.totals = EpochTotals()
        self.history: list[EpochMetrics] = []
        self.set_rate()

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch has, the last partial one included unless it joins the one before."""
        if isinstance(self.train, LoaderImages):
            return self.train.steps_per_epoch - self.joins_last_image
        return -(-len(self.train) // self.config.batch_size) - self.joins_last_image

    def remaining_batches(self) -> Iterator[tuple[Images, Labels]]:
        """Yield the batches that the epoch in progress still has."""
        if self.steps_done >= self.steps_per_epoch:
            return iter(())
        order = derive_seed(self.config.seed, f"order of epoch {self.epochs_done + 1}")
        rest = epoch_batches(
            self.train,
            self.config.batch_size,
            seed=order,
            start=self.steps_done,
            epoch=self.epochs_done,
        )
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
        factor = factor_of(self.config.schedule, position, self.config.epochs)
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

    def whole_network(self) -> nn.Module:
        """Return ``network`` as anyone can use it; every process has to call this."""
        return self.weights.taken_out(self.network, lambda: self.spec.build().to(self.device))

    def step(self, images: Images, labels: Labels) -> Tensor:
        """Take one optimizer step; return loss, data loss, penalty, correct and update similarity.

        The five numbers are those of the whole batch, in every process. They stay on the device, so
        that nothing waits for it.

        Args:
            images: of the whole batch, the same in every process.
            labels: of these.
        """
        config = self.config
        self.set_rate()
        images = augment(images, config.augmentation, self._augmentation_draws)
        targets = labels
        if config.mixing is not None:
            images, targets = mixed(
                config.mixing, images, labels, self.train.num_classes, self._augmentation_draws
            )
        if config.augmentation or config.mixing is not None:
            check_images(images, wait=False)
        self._seed_dropout()
        sums, similarity = self._gradient(images, targets, labels, self._penalty_counts())
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
        ramped = 1.0
        if config.ramp is not None:
            ramped = factor_of(config.ramp, self.position, config.epochs)
        return config.penalty_every * ramped if ramped or step == 0 else None

    def _seed_dropout(self) -> None:
        """Seed the dropout of the other processes: a checkpoint holds the main one's state."""
        if not self.ranks.is_main:
            purpose = f"dropout of process {self.ranks.rank} in step {self.steps_done + 1}"
            torch.manual_seed(
                derive_seed(self.config.seed, f"{purpose} of epoch {self.epochs_done + 1}")
            )

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

    def capture(self) -> TrainingState:
        """Return the state between two steps."""
        return TrainingState(
            config=self.config.to_dict(),
            epochs_done=self.epochs_done,
            steps_done=self.steps_done,
            totals=asdict(self.totals),
            history=[metrics.to_dict() for metrics in self.history],
            model=self.weights.whole(self.model.state_dict()),
            optimizer=self.weights.whole(self.optimizer.state_dict()),
            objective=self.objective.state_dict(),
            averaged={}
            if self.averaged is None
            else self.weights.whole(self.averaged.state_dict()),
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
            weights, averaged = self.weights, self.averaged
            self.model.load_state_dict(weights.of_network(state.model, self.model))
            self.optimizer.load_state_dict(weights.of_optimizer(state.optimizer, self.optimizer))
            self.objective.load_state_dict(state.objective)
            if averaged is not None:
                average = weights.of_network(state.averaged["network"], averaged.network)
                averaged.load_state_dict(state.averaged | {"network": average})
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
